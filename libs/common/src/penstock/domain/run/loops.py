"""A loop's life: it opens iterations, each a scope of its own, and gathers what they came to."""

from msgspec.structs import replace

from penstock.domain.payload import Payload
from penstock.domain.run.events import StepError, StepWaiting
from penstock.domain.run.flow import answered, is_undecided, open_steps, trimmed, with_flow
from penstock.domain.run.paths import Evaluation, evaluation, inside, iteration, iteration_of
from penstock.domain.run.state import SETTLED, Answer, Loop, Result, Run, Scope, StepStatus
from penstock.domain.workflow.graph import Graph

LOOP_LIMIT = "LOOP_LIMIT"


def begun(run: Run, event: StepWaiting) -> Run:
    """The run with a loop that can open its first iteration, or has none."""
    loop = Loop(
        count=event.count,
        items=event.items,
        width=event.width,
        most=event.most,
        tolerant=event.tolerant,
    )
    run = with_flow(run, loops=run.flow.loops.set(event.step_id, loop))
    return went_on(run, event.step_id)


def went_on(run: Run, loop_id: str) -> Run:
    """The run after a loop has changed: what is next for it is on its way."""
    loop = run.flow.loops[loop_id]
    status = run.step(loop_id).status
    if status is StepStatus.SUCCEEDED:
        return with_flow(run, loops=run.flow.loops.delete(loop_id))
    if status in SETTLED:
        return run
    if loop.error is not None:
        if loop.active:
            return run
        return answered(run, Answer(loop_id, error=loop.error, timed_out=loop.timed_out))
    if loop.count is None and not loop.active:
        if loop.opened == loop.most:
            error = StepError(code=LOOP_LIMIT, message=f"the loop went on after {loop.most} rounds")
            return called_off(run, loop_id, error)
        check = evaluation(iteration(loop_id, loop.opened), Evaluation.WHILE)
        return replace(run, agenda=run.agenda.added(check))
    if loop.count == loop.opened and not loop.active and not loop.again:
        collect = evaluation(loop_id, Evaluation.COLLECT)
        return replace(run, agenda=run.agenda.added(collect))
    if loop.count is not None and can_open(loop) and loop_id not in run.flow.hungry:
        return with_flow(run, hungry=(*run.flow.hungry, loop_id))
    return run


def can_open(loop: Loop) -> bool:
    """Whether a loop over items may open one more iteration."""
    return (
        loop.error is None
        and loop.count is not None
        and (loop.opened < loop.count or bool(loop.again))
        and len(loop.active) < loop.width
    )


def next_index(loop: Loop) -> int:
    """The iteration that is opened next."""
    return loop.again[0] if loop.again else loop.opened


def checked(run: Run, loop_id: str, *, goes_on: bool) -> Run:
    """The run after a loop's `while` was evaluated: it has one more iteration, or is done."""
    loop = run.flow.loops[loop_id]
    if goes_on:
        graph, node_id = run.located(loop_id)
        return opened(run, iteration(loop_id, loop.opened), graph.bodies[node_id].roots)
    done = replace(loop, count=loop.opened)
    return went_on(with_flow(run, loops=run.flow.loops.set(loop_id, done)), loop_id)


def opened(run: Run, scope: str, first: tuple[str, ...]) -> Run:
    """The run with one more iteration; first: nodes of its body that are on the agenda then."""
    loop_id, index = iteration_of(scope)
    graph, node_id = run.located(loop_id)
    body = graph.bodies[node_id]
    loop = run.flow.loops[loop_id]
    loop = replace(
        loop,
        opened=max(loop.opened, index + 1),
        active=(*loop.active, index),
        again=loop.again and tuple(other for other in loop.again if other != index),
    )
    hungry = run.flow.hungry
    if hungry and not can_open(loop):
        hungry = tuple(other for other in hungry if other != loop_id)
    agenda = run.agenda
    for root in first:
        agenda = agenda.added(inside(scope, root))
    run = replace(run, agenda=agenda, unsettled=run.unsettled + len(body.order))
    return with_flow(
        run,
        loops=run.flow.loops.set(loop_id, loop),
        scopes=run.flow.scopes.set(scope, Scope(len(body.order))),
        hungry=hungry,
    )


def counted_off(run: Run, scope: str) -> Run:
    """The run after one more step of an iteration has said its last word."""
    here = run.flow.scopes[scope]
    here = replace(here, unsettled=here.unsettled - 1)
    return with_flow(run, scopes=run.flow.scopes.set(scope, here))


def closed_if_done(run: Run, scope: str) -> Run:
    """The run without an iteration all of whose steps have said their last word."""
    here = run.flow.scopes.get(scope)
    if here is None or here.unsettled:
        return run
    loop_id, index = iteration_of(scope)
    if not here.is_closing and is_undecided(run, body_of(run, loop_id), scope):
        return run
    loop = run.flow.loops[loop_id]
    results = loop.results
    if not here.is_closing:
        results = results.set(index, result_of(run, scope))
    elif loop.tolerant:
        results = results.set(index, Result())
    at = loop.active.index(index)
    loop = replace(loop, active=loop.active[:at] + loop.active[at + 1 :], results=results)
    run = with_flow(
        run, loops=run.flow.loops.set(loop_id, loop), scopes=run.flow.scopes.delete(scope)
    )
    return went_on(run, loop_id)


def body_of(run: Run, loop_id: str) -> Graph:
    """The drawing of a loop's body."""
    graph, node_id = run.located(loop_id)
    return graph.bodies[node_id]


def result_of(run: Run, scope: str) -> Result:
    """What an iteration came to: what those of its body's sinks said that succeeded."""
    loop_id, _ = iteration_of(scope)
    graph, node_id = run.located(loop_id)
    sinks = graph.bodies[node_id].sinks
    said: list[tuple[str, Payload]] = []
    for sink in sinks:
        step = run.step(inside(scope, sink))
        if step.status is StepStatus.SUCCEEDED and step.output is not None:
            said.append((sink, step.output))
    return Result(tuple(said), keyed=len(sinks) > 1)


def fell(run: Run, scope: str, step_id: str, error: StepError) -> Run:
    """The run after a failure in an iteration that nothing handles: it is put out.

    Its loop is too, unless it goes on without the iterations that fail.
    """
    loop_id, index = iteration_of(scope)
    loop = run.flow.loops[loop_id]
    if loop.tolerant or loop.error is not None:
        return put_out(run, loop_id, (index,))
    why = replace(error, message=f"{step_id}: {error.message}", retryable=False)
    return called_off(run, loop_id, why)


def called_off(run: Run, loop_id: str, error: StepError, *, timed_out: bool = False) -> Run:
    """The run with a whole loop put out; the loop's own last word will be `error`."""
    loop = replace(run.flow.loops[loop_id], error=error, timed_out=timed_out)
    hungry = tuple(other for other in run.flow.hungry if other != loop_id)
    run = with_flow(run, loops=run.flow.loops.set(loop_id, loop), hungry=hungry)
    if not loop.active:
        return went_on(run, loop_id)
    return put_out(run, loop_id, loop.active)


def left(run: Run, loop_id: str) -> Run:
    """The run after a loop has had its last word; what is open inside of it is put out."""
    hungry = tuple(other for other in run.flow.hungry if other != loop_id)
    run = put_out(with_flow(run, hungry=hungry), loop_id, run.flow.loops[loop_id].active)
    return went_on(run, loop_id) if loop_id in run.flow.loops else run


def resumed(loop: Loop) -> Loop:
    """A loop that had been brought to its end, as a retry goes on with it."""
    missing = tuple(index for index in range(loop.opened) if index not in loop.results)
    if loop.count is None:  # a round needs what the one before it came to
        loop = replace(loop, opened=missing[0] if missing else loop.opened)
        missing = ()
    return replace(loop, active=(), again=missing, error=None, timed_out=False)


def put_out(run: Run, loop_id: str, iterations: tuple[int, ...]) -> Run:
    """The run with all open steps of some iterations on the list of what is to be put out."""
    graph, node_id = run.located(loop_id)
    body = graph.bodies[node_id]
    queue = run.flow.closing
    fresh = []
    for index in iterations:
        scope = iteration(loop_id, index)
        here = run.flow.scopes.get(scope)
        if here is None or here.is_closing:
            continue
        for step_id in open_steps(run, body, scope):
            queue = queue.added(step_id)
        scopes = run.flow.scopes.set(scope, replace(here, is_closing=True))
        run = with_flow(run, scopes=scopes)
        fresh.append(scope)
    run = trimmed(with_flow(run, closing=queue))
    for scope in fresh:
        run = closed_if_done(run, scope)
    return run
