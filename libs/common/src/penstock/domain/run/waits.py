"""How a step goes to rest, and how it hears what it waits for, also when that came before it."""

from typing import assert_never

from msgspec.structs import replace

from penstock.domain.payload import Payload
from penstock.domain.run import loops
from penstock.domain.run.events import (
    ApprovalDecided,
    SignalReceived,
    StepError,
    StepRetryScheduled,
    StepWaiting,
    Verdict,
    WaitKind,
)
from penstock.domain.run.flow import answered, with_flow
from penstock.domain.run.state import (
    PLAIN,
    SETTLED,
    Answer,
    Flow,
    Run,
    StepStatus,
    Timer,
    TimerKind,
    Wait,
)
from penstock.domain.workflow.model import EdgeType

RECEIVED = "received"
"""The branch of a wait that was signalled in time."""

REJECTED = "REJECTED"


def put_to_rest(run: Run, event: StepWaiting | StepRetryScheduled) -> Run:
    """The step holds no executor until its timer fires, or what it waits for comes."""
    step = run.step(event.step_id)
    is_evaluation = "@" in event.step_id
    if isinstance(event, StepWaiting):
        timer = Timer(TimerKind.WAIT, event.until, event.step_id)
        wait = Wait(
            kind=event.kind,
            name=event.name,
            child_id=event.child_id,
            exceeds=event.exceeds,
            on_timeout=event.on_timeout,
            workflow_id=event.workflow_id,
            version=event.version,
        )
        step = replace(
            step,
            status=StepStatus.WAITING,
            output=event.output,
            input=event.input,
            timer_id=event.timer_id,
            wait=wait,
        )
    else:
        timer = Timer(TimerKind.RETRY, event.due_at, event.step_id)
        step = replace(
            step, status=StepStatus.RETRYING, tries=step.tries + 1, timer_id=event.timer_id
        )
    timers = run.timers.set(event.timer_id, timer) if event.timer_id else run.timers
    run = replace(run, steps=run.steps.set(event.step_id, step), timers=timers, held=run.held - 1)
    if is_evaluation:
        return with_flow(run, evaluating=run.flow.evaluating - 1)
    return listening(run, event) if isinstance(event, StepWaiting) else run


def listening(run: Run, event: StepWaiting) -> Run:
    """The run after a step has begun to wait: it may be that what it waits for is there."""
    match event.kind:
        case WaitKind.DELAY:
            return run
        case WaitKind.LOOP:
            return loops.begun(run, event)
        case WaitKind.CHILD:
            return with_flow(run, children=run.flow.children + 1)
        case WaitKind.SIGNAL:
            return listening_for(run, event.step_id, event.name)
        case WaitKind.APPROVAL:
            answer = run.flow.approvals.get(event.step_id)
            if answer is None:
                return run
            approvals = run.flow.approvals.delete(event.step_id)
            return answered(with_flow(run, approvals=approvals), answer)
        case _:
            assert_never(event.kind)


def listening_for(run: Run, step_id: str, name: str) -> Run:
    """The run with a step that takes the oldest signal of a name, or the next one."""
    signals = run.flow.signals.get(name, ())
    if not signals:
        others = run.flow.listeners.get(name, ())
        return with_flow(run, listeners=run.flow.listeners.set(name, (*others, step_id)))
    first, *rest = signals
    left = run.flow.signals.set(name, tuple(rest)) if rest else run.flow.signals.delete(name)
    return answered(with_flow(run, signals=left), Answer(step_id, output=first, branch=RECEIVED))


def signalled(run: Run, event: SignalReceived) -> Run:
    """The run after a signal."""
    run = with_flow(run, heard=run.flow.heard.set(event.signal_id, True))
    return taken_or_kept(run, event.name, event.payload)


def taken_or_kept(run: Run, name: str, signal: Payload) -> Run:
    """The run after a signal: the step that has waited longest takes it, else it is kept."""
    first, *rest = run.flow.listeners.get(name, ()) or ("",)
    if not first:
        kept = (*run.flow.signals.get(name, ()), signal)
        return with_flow(run, signals=run.flow.signals.set(name, kept))
    listeners = run.flow.listeners
    left = listeners.set(name, tuple(rest)) if rest else listeners.delete(name)
    return answered(
        with_flow(run, listeners=left),
        Answer(first, output=signal, branch=RECEIVED),
    )


def told_before(run: Run, flow: Flow) -> Run:
    """A run that has taken over another one's state, with what it was told before its start."""
    if flow is PLAIN:
        return run
    run = with_flow(run, heard=run.flow.heard.update(flow.heard))
    for name in sorted(flow.signals):
        for signal in flow.signals[name]:
            run = taken_or_kept(run, name, signal)
    for step_id in sorted(flow.approvals):
        if step_id not in run.flow.decisions and run.step(step_id).status not in SETTLED:
            run = decided(run, flow.approvals[step_id], flow.decisions[step_id])
    return run


def approved(run: Run, event: ApprovalDecided) -> Run:
    """The run after a decision about a step that waits for it, or will."""
    return decided(run, verdict_of(run, event), event.decision)


def decided(run: Run, answer: Answer, decision: Verdict) -> Run:
    """The run with a step that knows what it says as soon as it waits for that."""
    step_id = answer.step_id
    run = with_flow(run, decisions=run.flow.decisions.set(step_id, decision))
    wait = run.step(step_id).wait
    if wait is not None and wait.kind is WaitKind.APPROVAL:
        return answered(run, answer)
    return with_flow(run, approvals=run.flow.approvals.set(step_id, answer))


def verdict_of(run: Run, event: ApprovalDecided) -> Answer:
    """What a step says when it was decided about.

    A rejection that no branch takes up is a failure: nobody who forgot to draw one means that the
    run goes on as if it had been approved.
    """
    if event.decision is Verdict.REJECT and not takes_branches(run, event.step_id):
        error = StepError(code=REJECTED, message="the approval was rejected", details=event.output)
        return Answer(event.step_id, error=error)
    return Answer(event.step_id, output=event.output, branch=str(event.decision))


def takes_branches(run: Run, step_id: str) -> bool:
    """Whether an edge of a step asks for the branch that it chose."""
    graph, node_id = run.located(step_id)
    return any(edge.condition.type is EdgeType.BRANCH for edge in graph.outgoing[node_id])
