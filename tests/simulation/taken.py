"""The tale of a run that goes on from where another stood: read off the state it begins with."""

from penstock.domain.run.events import CancelCause
from penstock.domain.run.paths import RUN_OUTPUT, iteration_of
from penstock.domain.run.snapshot import DECODER
from penstock.domain.run.state import Run, Step, StepStatus
from penstock.domain.run.waits import RECEIVED
from tests.simulation.history import RunTale
from tests.simulation.tales import LoopTale, StepTale

SAME = {StepStatus.TIMED_OUT: "failed"}


def take_over(tale: RunTale, run: Run, state: bytes) -> None:
    """Let a tale go on with what a run has kept of another one, in a state.

    What it heard while it waited for its start, it has heard.
    """
    kept = DECODER.decode(state).flow
    tale.tales = {path: step_tale(step) for path, step in run.steps.items()}
    tale.loops = {}
    for path, loop in run.flow.loops.items():
        taken = LoopTale(loop.count, loop.width, loop.most, loop.tolerant, loop.opened)
        taken.closed = set(range(loop.opened)) - set(loop.active)
        taken.fallen = set()
        taken.doomed = loop.error is not None
        tale.loops[path] = taken
    for scope, here in run.flow.scopes.items():
        path, index = iteration_of(scope)
        if here.is_closing:
            tale.loops[path].fallen.add(index)
    tale.paused = run.paused
    tale.heard |= set(kept.heard)
    tale.decisions |= kept.decisions
    for name, signals in kept.signals.items():
        tale.signals.setdefault(name, []).extend(held.sha256 for held in signals)
    for answer in kept.answers:
        wait = run.step(answer.step_id).wait
        if wait is not None and answer.branch == RECEIVED and answer.output is not None:
            tale.signals.setdefault(wait.name, []).append(answer.output.sha256)
    if run.ending is not None and run.ending.told:
        tale.called_off = run.ending.cause
    if run.ending is not None and run.ending.cause is CancelCause.FAILURE:
        tale.failed = run.ending.error.step_id or RUN_OUTPUT


def step_tale(step: Step) -> StepTale:
    """What the state says about a step."""
    wait = step.wait
    status = SAME.get(step.status, str(step.status))
    return StepTale(
        status="lost" if status == "pending" and step.losses and step.attempt else status,
        attempt=step.attempt,
        failures=step.tries,
        losses=step.losses,
        branch=step.branch,
        discarded=step.discarded,
        edges=step.edges,
        kind=None if wait is None else wait.kind,
        name="" if wait is None else wait.name,
        child="" if wait is None else wait.child_id,
    )
