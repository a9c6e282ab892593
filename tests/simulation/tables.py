"""The simulated read models: rows and a checkpoint that one transaction moves together.

What an event changes in a row is the projector's own code; the tables are dicts.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args
from zlib import crc32

from msgspec.structs import replace

from penstock.domain.run.events import RunForked, RunQueued, StepSucceeded
from penstock.domain.run.paths import iteration_of, scope_of
from penstock.infra.nats import subjects
from penstock.messages.envelope import Decision
from penstock.projector.projections.evaluations import edges_of, evaluated
from penstock.projector.projections.forks import kept
from penstock.projector.projections.run_steps import StepRow, counting, evaluating, step_after
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
LIVE = frozenset({RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.PAUSED})


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
            if row.run.status in LIVE and crc32(run_id.encode()) % subjects.PARTITIONS == partition
        ]


def row_after(
    row: Row | None, tenant: str, seq: int, decision: Decision, blobs: Mapping[str, bytes]
) -> Row:
    """The rows of a run after one more decision."""
    if row is None:
        row = Row(tenant, first_row(decision), (0,) * len(COUNTERS), {})
    draft = Draft(row)
    for event in decision.events:
        if type(event) in OF_THE_RUN:
            draft.run = run_after(draft.run, event, decision.at)  # type: ignore[arg-type]
            if isinstance(event, RunForked):
                draft.take_over(event, blobs)
        elif "@" in event.step_id:  # type: ignore[union-attr]
            draft.evaluate(event)
        else:
            draft.move(event, decision.at)
    return Row(tenant, replace(draft.run, last_seq=seq), tuple(draft.counts), draft.steps)


def first_row(decision: Decision) -> RunRow:
    """The row of a run that has just begun, or waits for its gates."""
    first = decision.events[0]
    started = first.start if isinstance(first, RunQueued) else first
    origin = Origin(
        workflow_id=b"",
        started=started,  # type: ignore[arg-type]
        recorded_at=decision.at,
        correlation_id="",
        traceparent="",
    )
    return born(origin, None)


class Draft:
    """A run's rows while a decision is taken in."""

    def __init__(self, row: Row) -> None:
        self.run = row.run
        self.counts = list(row.counts)
        self.steps = dict(row.steps)

    def move(self, event: Any, at: int) -> None:
        """The row of a step after one of its events."""
        scope = scope_of(event.step_id)
        if scope:
            loop_id, index = iteration_of(scope)
            if loop_id in self.steps:
                self._put(counting(self.steps[loop_id], index))
        after = step_after(self.steps.get(event.step_id), event, at)
        if after is not None:
            self._put(after)

    def evaluate(self, event: Any) -> None:
        """What an evaluation changes; it has no row of its own."""
        told = edges_of(event) if isinstance(event, StepSucceeded) else None
        if told is not None and told[0] in self.steps:
            self._put(replace(self.steps[told[0]], edges=told[1]))
        loop_id, _, purpose = evaluated(event)
        if loop_id in self.steps:
            self._put(evaluating(self.steps[loop_id], purpose))

    def take_over(self, event: RunForked, blobs: Mapping[str, bytes]) -> None:
        """The rows that a fork begins with."""
        found = kept(blobs.get(event.state.blob or "", bytes(event.state.inline)))
        for row in found.rows:
            self._put(row)
        if found.is_paused:
            self.run = replace(self.run, status=RunStatus.PAUSED)

    def _put(self, row: StepRow) -> None:
        before = self.steps.get(row.step_id)
        if row is before:
            return
        self.steps[row.step_id] = row
        count(self.counts, before, -1)
        count(self.counts, row, 1)


def count(counts: list[int], row: StepRow | None, by: int) -> None:
    """Add to the counter of a row's status, where it has one."""
    place = None if row is None else COUNTED.get(row.status)
    if place is not None:
        counts[place] += by
