"""What a step's last word does to a run: to its edges, its iteration, and the run itself.

Everything here costs O(degree of the step), but for putting out what is left of an iteration that
failed, which costs what opening it had cost.
"""

from typing import assert_never

from msgspec.structs import replace

from penstock.domain.run.events import CancelCause, RunError, StepError, WaitKind
from penstock.domain.run.flow import stopped, trimmed, with_flow
from penstock.domain.run.loops import closed_if_done, counted_off, fell, left
from penstock.domain.run.paths import ROOT, Evaluation, evaluation, scope_of
from penstock.domain.run.state import (
    HELD,
    NOTHING,
    PLAIN,
    Arrival,
    Ending,
    Run,
    Step,
    StepStatus,
    Wait,
)
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import AtLeast, Edge, EdgeType, Join

FAILED = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT})
TOLD = FAILED | {StepStatus.SUCCEEDED}
"""How a step stands that came to an end of its own, so that its edges have a say."""


def settled(run: Run, step_id: str, step: Step) -> Run:
    """The run after a step's last word, with what it means for the steps behind it."""
    before = run.step(step_id)
    timers = run.timers.delete(before.timer_id) if before.timer_id else run.timers
    run = replace(
        run,
        steps=run.steps.set(step_id, replace(step, timer_id="", wait=None)),
        timers=timers,
        held=run.held - (before.status in HELD),
        unsettled=run.unsettled - 1,
    )
    if before.wait is not None:
        run = waited(run, step_id, before.wait)
    if run.ending is not None:
        return run
    if before.status not in HELD or run.flow is not PLAIN:
        run = trimmed(run)
    scope = scope_of(step_id)
    if scope == ROOT:
        return passed_on(run, step_id, step)
    run = counted_off(run, scope)
    if not run.flow.scopes[scope].is_closing:
        run = passed_on(run, step_id, step)
    return run if run.ending is not None else closed_if_done(run, scope)


def passed_on(run: Run, step_id: str, step: Step) -> Run:
    """The run after a settled step has had its say, or has its edges' expressions evaluated."""
    graph, node_id = run.located(step_id)
    if step.edges is None and step.status in TOLD and graph.expressions[node_id]:
        return replace(run, agenda=run.agenda.added(evaluation(step_id, Evaluation.EDGES)))
    if step.error is not None and not is_handled(graph, node_id, step):
        return fallen(run, step_id, step.error)
    return arrived(run, step_id, step)


def waited(run: Run, step_id: str, wait: Wait) -> Run:
    """The run after a step that waited for something does not any more."""
    match wait.kind:
        case WaitKind.CHILD:
            return with_flow(run, children=run.flow.children - 1)
        case WaitKind.LOOP:
            return left(run, step_id)
        case WaitKind.SIGNAL:
            listeners = run.flow.listeners
            others = tuple(s for s in listeners.get(wait.name, ()) if s != step_id)
            if others:
                return with_flow(run, listeners=listeners.set(wait.name, others))
            if wait.name in listeners:
                return with_flow(run, listeners=listeners.delete(wait.name))
            return run
        case WaitKind.DELAY | WaitKind.APPROVAL:
            return run
        case _:
            assert_never(wait.kind)


def fallen(run: Run, step_id: str, error: StepError) -> Run:
    """The run after a failure that nothing handles: its end, or that of its iteration."""
    scope = scope_of(step_id)
    if scope != ROOT:
        return fell(run, scope, step_id, error)
    why = RunError(code=error.code, message=error.message, step_id=step_id)
    return stopped(replace(run, ending=Ending(CancelCause.FAILURE, why)))


def arrived(run: Run, step_id: str, step: Step) -> Run:
    """The run after a settled step has been counted at every step behind it."""
    graph, node_id = run.located(step_id)
    arrivals, agenda = run.arrivals, run.agenda
    prefix = step_id[: -len(node_id)]
    goes_on = graph.nodes[node_id].continue_on_error
    for number, edge in enumerate(graph.outgoing[node_id]):
        target = prefix + edge.target
        arrival = arrivals.get(target, NOTHING)
        taken = arrival.taken + is_taken(edge, step, number, goes_on=goes_on)
        arrival = Arrival(arrival.settled + 1, taken, arrival.queued)
        if not arrival.queued and is_joined(graph, edge.target, arrival):
            arrival = Arrival(arrival.settled, taken, queued=True)
            agenda = agenda.added(target)
        arrivals = arrivals.set(target, arrival)
    run = replace(run, arrivals=arrivals, agenda=agenda)
    return run if run.flow is PLAIN else trimmed(run)


def is_joined(graph: Graph, node_id: str, arrival: Arrival) -> bool:
    """Whether enough has come in to say that the step becomes ready, or never will."""
    edges = len(graph.incoming[node_id])
    if arrival.settled == edges:
        return True
    join = graph.nodes[node_id].join
    if isinstance(join, AtLeast):
        can_come = arrival.taken + edges - arrival.settled
        return arrival.taken >= join.at_least or can_come < join.at_least
    return join is Join.ANY and arrival.taken > 0


def is_entered(graph: Graph, node_id: str, arrival: Arrival) -> bool:
    """Whether a step whose join is decided becomes ready; else it is skipped."""
    if not graph.incoming[node_id]:
        return True
    join = graph.nodes[node_id].join
    return arrival.taken >= (join.at_least if isinstance(join, AtLeast) else 1)


def is_taken(edge: Edge, step: Step, number: int, *, goes_on: bool = False) -> bool:
    """Whether a settled step lets its successor behind `edge` go on.

    number: of the edge among those that leave the step. goes_on: its node has `continueOnError`.
    """
    if step.status not in TOLD:
        return False
    succeeded = step.status is StepStatus.SUCCEEDED
    match edge.condition.type:
        case EdgeType.ALWAYS:
            return True
        case EdgeType.ON_SUCCESS:
            return succeeded or goes_on
        case EdgeType.ON_FAILURE:
            return not succeeded
        case EdgeType.BRANCH:
            return succeeded and step.branch == edge.condition.branch
        case EdgeType.EXPRESSION:
            return step.edges is not None and number in step.edges
        case _:
            assert_never(edge.condition.type)


def is_handled(graph: Graph, node_id: str, step: Step) -> bool:
    """Whether a failed step's failure is taken up: by an edge that is taken, or by the node."""
    if not graph.handles_failure(node_id):
        return False
    edges = enumerate(graph.outgoing[node_id])
    return graph.nodes[node_id].continue_on_error or any(
        is_taken(edge, step, number) for number, edge in edges
    )
