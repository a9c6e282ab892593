"""The rows that a run begins with when it goes on from where another one stood.

Of what is kept nobody knows any more when it happened, or how often it was tried: such moments
and attempts are of the other run, whose rows have them.
"""

from msgspec import Struct

from penstock.domain.run.events import WaitKind
from penstock.domain.run.snapshot import DECODER, Snapshot
from penstock.domain.run.state import SETTLED, Step, StepStatus
from penstock.projector.projections.evaluations import loop_of
from penstock.projector.projections.run_steps import LoopMark, Status, StepRow

SHOWN = {StepStatus.DISPATCHED: StepStatus.READY}
"""A status of the rules that clients see under another name."""


class Kept(Struct, frozen=True):
    """What a run takes over. scopes: iterations that go on. evaluating: as in `RunRow`."""

    rows: tuple[StepRow, ...]
    scopes: tuple[str, ...]
    evaluating: int
    is_paused: bool


def kept(state: bytes) -> Kept:
    """What a snapshot says, as rows. Raises msgspec.DecodeError, ValueError for what is none."""
    found = DECODER.decode(state)
    owed = [path for path, step in found.steps.items() if "@" in path and is_owed(step)]
    asking = [loop_of(path) for path in owed]
    loops = dict(asking)
    return Kept(
        rows=tuple(
            row_of(path, step, found, loops.get(path))
            for path, step in found.steps.items()
            if "@" not in path and (step.attempt or step.status is not StepStatus.PENDING)
        ),
        scopes=tuple(found.flow.scopes),
        evaluating=sum(not loop_id for loop_id, _ in asking),
        is_paused=found.paused and (found.ending is None or not found.ending.told),
    )


def is_owed(step: Step) -> bool:
    """Whether an evaluation was asked for and has not come to an end."""
    return step.attempt > 0 and step.status not in SETTLED


def row_of(path: str, step: Step, snapshot: Snapshot, evaluation: str | None) -> StepRow:
    """The row of one step that is kept."""
    timer = snapshot.timers.get(step.timer_id)
    loop = snapshot.flow.loops.get(path)
    is_loop = step.wait is not None and step.wait.kind is WaitKind.LOOP
    status = StepStatus.RUNNING if is_loop else SHOWN.get(step.status, step.status)
    return StepRow(
        step_id=path,
        status=Status(status.value),
        attempt=step.attempt,
        wake_at=None if timer is None else timer.due_at,
        branch=step.branch,
        input=step.input,
        output=step.output,
        error=step.error,
        edges=step.edges,
        items=None if loop is None else loop.items,
        loop=None if loop is None else LoopMark(loop.opened, evaluation if is_loop else None),
    )
