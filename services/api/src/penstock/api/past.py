"""A run as it stood at some place of its history: the fold of what came before, shown as rows.

`evolve` says what the run had become; when things happened is noted beside it, for no rule asks
for that. The rows have the columns of the read models, so that both are shown by the same code.
What never changes about a run (its workflow, its tags, its input) is taken from its row.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, field

from penstock.api.answers import MS
from penstock.api.errors import detail, invalid
from penstock.api.positions import EVENTS, LAST_NTH, SEQ_MAX, is_position, parse
from penstock.api.queries_steps import PENDING
from penstock.domain.payload import Payload
from penstock.domain.run.events import (
    TERMINAL,
    ApprovalDecided,
    ResultDiscarded,
    RunEvent,
    RunSnapshotTaken,
    RunStarted,
    SecretUsed,
    StepAbandoned,
    StepDispatched,
    StepError,
    StepLost,
    StepReady,
    StepRetryScheduled,
    StepWaiting,
    WaitKind,
)
from penstock.domain.run.evolve import evolve
from penstock.domain.run.paths import evaluated_for, iteration_of, scope_of
from penstock.domain.run.rest import at_rest
from penstock.domain.run.state import SETTLED, Run, RunStatus, Step, StepStatus, unborn
from penstock.domain.workflow.graph import Graph
from penstock.infra.postgres.engine import Row
from penstock.messages.envelope import Decision

MS_MAX = 2**63
EPOCH = datetime.fromtimestamp(0, UTC)

SHOWN = {StepStatus.DISPATCHED: StepStatus.READY}
"""A status of the rules that clients see under another name."""
COUNTED = {
    "succeeded": {StepStatus.SUCCEEDED},
    "failed": {StepStatus.FAILED, StepStatus.TIMED_OUT},
    "skipped": {StepStatus.SKIPPED},
    "running": {StepStatus.RUNNING},
}
STILL = frozenset({*SETTLED, StepStatus.WAITING})
"""Statuses of steps that do not get on by themselves."""
TIMEOUT = "TIMEOUT"
ABANDONED = StepError(code="ABANDONED", message="nobody answered the cancel in time")


class Until(NamedTuple):
    """Up to where a history is folded, all of it inclusive. at: milliseconds since the epoch."""

    seq: int = SEQ_MAX
    nth: int = LAST_NTH
    at: int = MS_MAX

    def covers(self, seq: int, nth: int, at: int) -> bool:
        """Whether an event stands before this place, or is it."""
        return (seq, nth) <= (self.seq, self.nth) and at <= self.at


def until(text: str | None, pointer: str = "/query/at") -> Until:
    """The place that `at` names, a position or a time; the end for none. Raises Problem 400."""
    if text is None:
        return Until()
    if is_position(text):
        position = parse(text, pointer)
        if position.log == EVENTS:
            return Until(seq=position.seq, nth=position.nth)
    try:
        moment = datetime.fromisoformat(text)
        return Until(at=(moment - EPOCH) // timedelta(milliseconds=1))
    except (ValueError, TypeError, OverflowError):
        said = "must be a position of a run, such as 17.0, or a time with its offset from UTC"
        fault = detail(pointer, "SCHEMA_INVALID", said)
        raise invalid("that is no place in a history", fault) from None


class Attempt(Struct, rename="camel", omit_defaults=True):
    """An attempt that is over, as the column `attempts` lists it; moments in ms."""

    attempt: int
    status: str
    executor_id: str | None = None
    started_at: int | None = None
    finished_at: int | None = None
    error: StepError | None = None


class Noted(Struct):
    """When and where a step got on; moments in ms, 0 for not yet.

    opened, items: of a loop, its iterations of which something was heard, and what it goes over.
    """

    ready_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    attempt_started_at: int = 0
    executor_id: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    abandoned: bool = False
    opened: int = 0
    items: Payload | None = None

    def note(self, event: Any, at: int, settled: bool) -> None:
        """One more event of the step, decided at `at`; settled: whether it was the last word."""
        if isinstance(event, StepDispatched | ResultDiscarded | SecretUsed | ApprovalDecided):
            return
        if isinstance(event, StepReady):
            self.ready_at = self.ready_at or at
            self.attempt_started_at, self.executor_id = 0, ""
            return
        if isinstance(event, StepWaiting):
            self.items = event.items
        self.attempt_started_at = getattr(event, "started_at", 0) or self.attempt_started_at
        self.started_at = self.started_at or self.attempt_started_at
        self.executor_id = getattr(event, "executor_id", "") or self.executor_id
        if isinstance(event, StepRetryScheduled):
            status = "timed_out" if event.error.code == TIMEOUT else "failed"
            self._over(event.attempt, status, event.finished_at, event.error)
        elif isinstance(event, StepLost):
            self._over(event.attempt, "lost", at, StepError(code="LOST", message=event.reason))
        elif settled:
            self.finished_at = getattr(event, "finished_at", 0) or at
            self.abandoned = isinstance(event, StepAbandoned)

    def _over(self, attempt: int, status: str, finished_at: int, error: StepError) -> None:
        self.attempts.append(
            Attempt(
                attempt,
                status,
                self.executor_id or None,
                self.attempt_started_at or None,
                finished_at,
                error,
            )
        )


Hear = Callable[[int, RunEvent], None]
"""Is told an event and the moment of its decision, ms."""


class Past:
    """A run's history up to some place, folded.

    position: of its last event. events: how many there were. hear: is told each of them, with the
    moment of its decision, ms.

    A history may also be absorbed from a snapshot on: the run is then the same, but for what has
    ended; of the rows, what happened before is missing.
    """

    def __init__(self, run_id: str, graph: Graph, hear: Hear | None = None) -> None:
        self.run: Run = unborn(run_id, graph)
        self.position = ""
        self.events = 0
        self._hear = hear
        self._started_at = 0
        self._ended: Any = None
        self._ended_at = 0
        self._noted: dict[str, Noted] = {}
        self._scopes: set[str] = set()

    @property
    def is_born(self) -> bool:
        """Whether anything had happened yet."""
        return self.run.status is not RunStatus.UNBORN

    def absorb(self, seq: int, decision: Decision, until: Until) -> bool:
        """One more decision, as far as `until` covers it; whether it covers all of it."""
        for nth, event in enumerate(decision.events):
            if not until.covers(seq, nth, decision.at):
                return False
            self.position = f"{seq}.{nth}"
            self._absorb(at_rest(event, self.position), decision.at)
        return True

    def _absorb(self, event: RunEvent, at: int) -> None:
        if not self.is_born or not isinstance(event, RunSnapshotTaken):  # which tells nothing new
            self.run = evolve(self.run, event)
        self.events += 1
        if self._hear is not None:
            self._hear(at, event)
        if isinstance(event, RunStarted):
            self._started_at = at
        elif isinstance(event, TERMINAL):
            self._ended, self._ended_at = event, at
        step_id: str = getattr(event, "step_id", "")
        if step_id:
            self._count_iteration(step_id)
            settled = self.run.step(step_id).status in SETTLED
            self._noted.setdefault(step_id, Noted()).note(event, at, settled)

    def _count_iteration(self, step_id: str) -> None:
        scope = scope_of(step_id)
        if scope and "@" not in step_id and scope not in self._scopes:
            self._scopes.add(scope)
            loop_id, index = iteration_of(scope)
            loop = self._noted.setdefault(loop_id, Noted())
            loop.opened = max(loop.opened, index + 1)

    def _total(self) -> int:
        """The steps of the definition, and those of the iterations that something was heard of."""
        graph, inside = self.run.drawn, 0
        for scope in self._scopes.union(self.run.flow.scopes):
            around, loop = graph.scope(iteration_of(scope)[0])
            inside += len(around.bodies[loop].order)
        return len(graph.order) + inside

    def run_row(self, now: Row) -> Row:
        """The run's row as it was; `now` is the row of the read models."""
        ended = self._ended
        statuses = [
            shown(step) for step_id, step in self.run.steps.items() if not evaluated_for(step_id)
        ]
        counts = {
            name: sum(status in counted for status in statuses) for name, counted in COUNTED.items()
        }
        return {
            **now,
            **counts,
            "total": self._total(),
            "status": standing(self.run),
            "started_at": moment(self._started_at),
            "finished_at": moment(self._ended_at),
            "output": text(getattr(ended, "output", None)),
            "sinks": list(getattr(ended, "sinks", ())),
            "is_keyed": getattr(ended, "keyed", False),
            "error": text(getattr(ended, "error", None)),
        }

    async def step_rows(self, step_ids: Sequence[str]) -> list[Row]:
        """The rows of those of the steps that something had happened to."""
        steps = self.run.steps
        return [self._step_row(step_id) for step_id in step_ids if step_id in steps]

    def _step_row(self, step_id: str) -> Row:
        step, noted = self.run.step(step_id), self._noted.get(step_id, Noted())
        loop = self.run.flow.loops.get(step_id)
        opened = max(noted.opened, loop.opened if loop is not None else 0)
        return {
            **PENDING,
            "step_id": step_id,
            "status": str(shown(step)),
            "attempt": step.attempt,
            "ready_at": moment(noted.ready_at),
            "started_at": moment(noted.started_at),
            "attempt_started_at": moment(noted.attempt_started_at),
            "finished_at": moment(noted.finished_at),
            "executor_id": noted.executor_id or None,
            "branch": step.branch,
            "input": text(step.input),
            "output": text(step.output),
            "error": text(ABANDONED if noted.abandoned else step.error),
            "attempts": text(noted.attempts or None),
            "edges": text(step.edges),
            "items": text(noted.items or (loop.items if loop is not None else None)),
            "loop": text({"opened": opened}) if opened else None,
        }


def shown(step: Step) -> StepStatus:
    """A step's status under the name that clients know; the iterations of a loop run."""
    return StepStatus.RUNNING if is_loop(step) else SHOWN.get(step.status, step.status)


def is_loop(step: Step) -> bool:
    """Whether a step is a loop that goes on."""
    return step.wait is not None and step.wait.kind is WaitKind.LOOP


def standing(run: Run) -> str:
    """A run's status as clients see it: it waits where some steps do and nothing gets on."""
    if not run.is_live:
        return str(run.status)
    if run.paused and not (run.ending is not None and run.ending.told):
        return "paused"
    steps = [step for step in run.steps.values() if not is_loop(step)]
    waits = any(step.status is StepStatus.WAITING for step in steps)
    return "running" if not waits or any(map(stirs, steps)) else "waiting"


def stirs(step: Step) -> bool:
    """Whether a step gets on without anybody else's word."""
    is_untouched = step.status is StepStatus.PENDING and step.attempt == 0
    return step.status not in STILL and not is_untouched


def moment(at_ms: int) -> datetime | None:
    """Milliseconds since the epoch as the rows have them; None for 0."""
    return datetime.fromtimestamp(at_ms / MS, UTC) if at_ms else None


def text(value: object) -> bytes | None:
    """A value as a column of JSON holds it."""
    return None if value is None else msgspec.json.encode(value)
