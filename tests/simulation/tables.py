"""The simulated read models: rows and a checkpoint that one transaction moves together.

What an event changes in a row is the projector's own code; the tables are dicts.
"""

from typing import NamedTuple, get_args
from zlib import crc32

from msgspec.structs import replace

from penstock.infra.nats import subjects
from penstock.messages.envelope import Decision
from penstock.projector.projections.run_steps import StepRow, step_after
from penstock.projector.projections.runs import (
    COUNTED,
    COUNTERS,
    Origin,
    RunEvent,
    RunRow,
    RunStatus,
    born,
    run_after,
)

OF_THE_RUN = frozenset(get_args(RunEvent))


class Row(NamedTuple):
    """A run's row, its counters, and the rows of its steps."""

    tenant: str
    run: RunRow
    counts: tuple[int, ...]
    steps: dict[str, StepRow]


class Staged(NamedTuple):
    """A transaction before its commit. before, after: the checkpoint."""

    before: int
    after: int
    rows: dict[str, Row]


class Tables:
    """What is committed."""

    def __init__(self) -> None:
        self.checkpoint = 0
        self.rows: dict[str, Row] = {}

    def commit(self, staged: Staged) -> bool:
        """All of it or nothing: nothing where another projector was faster."""
        if staged.before != self.checkpoint:
            return False
        self.rows |= staged.rows
        self.checkpoint = staged.after
        return True

    def live_runs(self, partition: int) -> list[tuple[str, str]]:
        """Tenant and id of the runs of a partition that have not ended."""
        return [
            (row.tenant, run_id)
            for run_id, row in self.rows.items()
            if row.run.status is RunStatus.RUNNING
            and crc32(run_id.encode()) % subjects.PARTITIONS == partition
        ]


def row_after(row: Row | None, tenant: str, seq: int, decision: Decision) -> Row:
    """The rows of a run after one more decision."""
    if row is None:
        started = decision.events[0]
        origin = Origin(
            workflow_id=b"",
            started=started,  # type: ignore[arg-type]
            started_at=decision.at,
            correlation_id="",
            traceparent="",
        )
        row = Row(tenant, born(origin, None), (0,) * len(COUNTERS), {})
    run, counts, steps = row.run, list(row.counts), dict(row.steps)
    for event in decision.events:
        if type(event) in OF_THE_RUN:
            run = run_after(run, event, decision.at)  # type: ignore[arg-type]
            continue
        before = steps.get(event.step_id)  # type: ignore[union-attr]
        after = step_after(before, event, decision.at)  # type: ignore[arg-type]
        if after is None or after is before:
            continue
        steps[after.step_id] = after
        count(counts, before, -1)
        count(counts, after, 1)
    return Row(tenant, replace(run, last_seq=seq), tuple(counts), steps)


def count(counts: list[int], row: StepRow | None, by: int) -> None:
    """Add to the counter of a row's status, where it has one."""
    place = None if row is None else COUNTED.get(row.status)
    if place is not None:
        counts[place] += by
