"""Why a run is not further: for everything in it that waits, what it waits for and since when."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from penstock.domain.run.consequences import queue_of
from penstock.domain.run.events import RunEvent, WaitKind
from penstock.domain.run.flow import open_steps
from penstock.domain.run.paths import inside, owner_of, scope_of
from penstock.domain.run.state import SETTLED, Run, Step, StepStatus
from penstock.domain.run.timeline import WAITS, Cause

WAITS_MAX = 1_000
"""Waiting steps that are told of."""

ON_MAX = 20
"""Predecessors, or approvers, that are named for one step."""

MESSAGE_CHARACTERS_MAX = 200
"""Of what an approval asks."""


class Waiting(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One thing that waits, or is being worked on.

    step_id: empty for the run itself. since: ms since the epoch, 0 where it never had its turn.
    until: when a timer ends it. on: what it waits for: steps, a child run, a signal, a queue, a
    gate, approvers. detail: the same as a sentence.
    """

    step_id: str
    cause: Cause
    since: int = 0
    until: int = 0
    on: tuple[str, ...] = ()
    detail: str


def explained(run: Run, since: Mapping[str, int]) -> list[Waiting]:
    """Everything that waits in a run that has not ended; at most `WAITS_MAX` steps.

    since: `last_changes`, as far as they are known.
    """
    found = list(own(run, since.get("", 0)))
    if not run.is_live:
        return found
    busy = [step_id for step_id in run.steps if "@" in step_id]
    for step_id in [*open_steps(run, run.drawn), *sorted(busy)]:
        if len(found) >= WAITS_MAX:
            break
        if run.step(step_id).status not in SETTLED and step_id not in run.flow.loops:
            found.append(of_step(run, step_id, since.get(step_id, 0)))
    return found


def last_changes(history: Iterable[tuple[int, RunEvent]]) -> dict[str, int]:
    """When each step, and under the empty name the run itself, last changed.

    history: pairs of the moment of the decision and the event.
    """
    return {changed(event): at for at, event in history}


def changed(event: RunEvent) -> str:
    """The step that an event is about, the empty name where it is the run itself."""
    return getattr(event, "step_id", None) or ""


def own(run: Run, since: int) -> Iterator[Waiting]:
    """What the run itself waits for."""
    gate = run.gate
    if gate is not None:
        detail = f"waits for its turn at {gate.label or 'the gate of its workflow'}"
        yield Waiting(step_id="", cause=Cause.GATE, since=since, on=(gate.gate_id,), detail=detail)
    if run.is_live and run.paused:
        detail = "is paused: nothing new starts until it is resumed"
        yield Waiting(step_id="", cause=Cause.PAUSE, since=since, detail=detail)
    if run.is_live and run.ending is not None:
        detail = f"is being brought to its end: {run.ending.error.message}"
        yield Waiting(step_id="", cause=Cause.STOPPING, since=since, detail=detail)


def of_step(run: Run, step_id: str, since: int) -> Waiting:
    """What one step waits for, or that it is being worked on."""
    step = run.step(step_id)
    match step.status:
        case StepStatus.PENDING:
            return dependent(run, step_id)
        case StepStatus.READY:
            return to_be_admitted(run, step_id, since)
        case StepStatus.DISPATCHED:
            queue = queue_of(run, step_id)
            detail = f"was handed out to the executors of queue {queue}, and none has begun"
            return Waiting(
                step_id=step_id, cause=Cause.EXECUTOR, since=since, on=(queue,), detail=detail
            )
        case StepStatus.RUNNING:
            detail = f"runs, attempt {step.attempt}"
            return Waiting(step_id=step_id, cause=Cause.RUNNING, since=since, detail=detail)
        case StepStatus.RETRYING:
            timer = run.timers.get(step.timer_id)
            until = 0 if timer is None else timer.due_at
            detail = f"failed at attempt {step.attempt} and rests before the next one"
            return Waiting(
                step_id=step_id, cause=Cause.BACKOFF, since=since, until=until, detail=detail
            )
        case _:
            return at_rest(run, step_id, step, since)


def to_be_admitted(run: Run, step_id: str, since: int) -> Waiting:
    """A step that is ready: it waits for its turn at the executors of its queue."""
    if run.paused:
        detail = "is ready and has not been handed out yet"
        return Waiting(step_id=step_id, cause=Cause.PAUSE, since=since, detail=detail)
    queue = queue_of(run, step_id)
    detail = f"is ready and waits for its turn at the executors of queue {queue}"
    return Waiting(step_id=step_id, cause=Cause.ADMISSION, since=since, on=(queue,), detail=detail)


def dependent(run: Run, step_id: str) -> Waiting:
    """A step whose turn has not come: the steps before it that have not settled."""
    graph, node_id = run.located(owner_of(step_id))
    scope = scope_of(owner_of(step_id))
    before = (inside(scope, source) for source in graph.predecessors(node_id))
    on = tuple(s for s in before if run.step(s).status not in SETTLED)[:ON_MAX]
    detail = f"waits for {', '.join(on)}" if on else "is about to have its turn"
    return Waiting(step_id=step_id, cause=Cause.DEPENDENCY, on=on, detail=detail)


def at_rest(run: Run, step_id: str, step: Step, since: int) -> Waiting:
    """A step that holds no executor while it waits."""
    wait = step.wait
    kind = WaitKind.DELAY if wait is None else wait.kind
    timer = run.timers.get(step.timer_id)
    details: dict[WaitKind, tuple[tuple[str, ...], str]] = {
        WaitKind.DELAY: ((), "waits for a moment"),
        WaitKind.APPROVAL: asked_of(run, step_id),
    }
    if wait is not None:
        details[WaitKind.SIGNAL] = ((wait.name,), f"waits for the signal {wait.name}")
        details[WaitKind.CHILD] = ((wait.child_id,), f"waits for the run {wait.child_id}")
    on, detail = details.get(kind, ((), "waits"))
    return Waiting(
        step_id=step_id,
        cause=WAITS.get(kind, Cause.TIMER),
        since=since,
        until=0 if timer is None else timer.due_at,
        on=on,
        detail=detail,
    )


def asked_of(run: Run, step_id: str) -> tuple[tuple[str, ...], str]:
    """Whom an approval is meant for and what it asks, as the definition says it."""
    graph, node_id = run.located(step_id)
    config = graph.node(node_id).config
    approvers = tuple(config.get("approvers", ()))[:ON_MAX]
    whom = " or ".join(approvers) or "somebody"
    message = config.get("message")
    asked = f': "{message[:MESSAGE_CHARACTERS_MAX]}"' if message else ""
    return approvers, f"waits for {whom} to approve or reject{asked}"
