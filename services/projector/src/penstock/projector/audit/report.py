"""What an audit found."""

from enum import StrEnum
from typing import Any

from msgspec import Struct, field

PROBLEMS_MAX = 1_000
"""Problems that are told one by one; all are counted."""

DETAIL_MAX = 300
"""Characters of a detail that are kept."""


class Kind(StrEnum):
    """What is wrong."""

    GAP = "gap"
    SUBJECT_CHAIN = "subject_chain"
    LOG_CHAIN = "log_chain"
    TENANT_CHAIN = "tenant_chain"
    CHECKPOINT = "checkpoint"
    STREAM = "stream"
    HISTORY = "history"
    DEFINITION = "definition"
    MISSING_ROW = "missing_row"
    EXTRA_ROW = "extra_row"
    WRONG_ROW = "wrong_row"


class Problem(Struct, frozen=True):
    """One finding. where: `events 17`, or a table and the key of a row."""

    kind: Kind
    where: str
    detail: str


class Report(Struct, kw_only=True, rename="camel"):
    """The outcome. heads: by log, the last sequence and the hash of the log's chain there.

    stream: by log, how many messages were compared with the stream; None where NATS did not
    answer. quarantined: messages whose events the rows leave out, which is no problem of theirs.
    expired: messages of runs that are kept no more, of which only the hashes are left. deleted:
    messages of runs of deleted tenants, whose rows are not compared but must be gone in the end.
    """

    ok: bool = True
    decisions: int = 0
    runs: int = 0
    steps: int = 0
    quarantined: int = 0
    expired: int = 0
    deleted: int = 0
    heads: dict[str, dict[str, str | int]] = {}
    stream: dict[str, int | None] = {}
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)

    def add(self, kind: Kind, where: str, detail: str) -> None:
        """One more problem."""
        self.ok = False
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(kind, where, detail[:DETAIL_MAX]))

    def compare(self, where: str, expected: dict[str, Any], found: dict[str, Any]) -> None:
        """A problem for every column of a row that is not as expected."""
        for column, value in expected.items():
            if found[column] != value:
                detail = f"{column}: is {found[column]!r}, should be {value!r}"
                self.add(Kind.WRONG_ROW, where, detail)
