"""The queues of a run, kept so that what stands at the head of one is what is done next."""

from collections.abc import Iterator
from typing import assert_never

from msgspec.structs import replace

from penstock.domain.queue import Queue
from penstock.domain.run.paths import (
    ROOT,
    Evaluation,
    evaluated_for,
    inside,
    iteration,
    iteration_of,
    owner_of,
    scope_of,
)
from penstock.domain.run.state import PLAIN, SETTLED, Answer, Run, StepStatus
from penstock.domain.workflow.graph import Graph

ENDED_BY_ITSELF = frozenset({StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.TIMED_OUT})


def with_flow(run: Run, **changes: object) -> Run:
    """The run with some fields of its flow changed."""
    return replace(run, flow=replace(run.flow, **changes))


def answered(run: Run, answer: Answer) -> Run:
    """The run with one more waiting step that has something to say."""
    return with_flow(run, answers=run.flow.answers.added(answer))


def stopped(run: Run) -> Run:
    """A run that is being ended: nothing is on its way to begin any more."""
    run = replace(run, agenda=Queue(), waiting=Queue())
    if run.flow is PLAIN:
        return run
    return with_flow(run, hungry=(), closing=Queue(), answers=Queue())


def trimmed(run: Run) -> Run:
    """The run without what stands at the head of a queue and is settled by now.

    In a run that has nothing but steps (`PLAIN`) nothing is ever settled out of its turn.
    """
    agenda, waiting, flow = run.agenda, run.waiting, run.flow
    while agenda.head is not None and is_past(run, agenda.head, StepStatus.PENDING):
        agenda = agenda.taken()
    while waiting.head is not None and is_past(run, waiting.head, StepStatus.READY):
        waiting = waiting.taken()
    if agenda is not run.agenda or waiting is not run.waiting:
        run = replace(run, agenda=agenda, waiting=waiting)
    if flow is PLAIN:
        return run
    closing, answers = flow.closing, flow.answers
    while closing.head is not None and run.step(closing.head).status in SETTLED:
        closing = closing.taken()
    while answers.head is not None and run.step(answers.head.step_id).status in SETTLED:
        answers = answers.taken()
    if closing is flow.closing and answers is flow.answers:
        return run
    return with_flow(run, closing=closing, answers=answers)


def is_past(run: Run, step_id: str, status: StepStatus) -> bool:
    """Whether what was queued in some status is not in it any more, or nobody needs it now."""
    if run.step(step_id).status is not status:
        return True
    if "@" not in step_id:
        return False
    owner = owner_of(step_id)
    if owner == ROOT or step_id.endswith(f"@{Evaluation.EDGES}"):
        return False
    return run.step(owner).status in SETTLED


def is_wanted(run: Run, path: str) -> bool:
    """Whether anybody still waits for the work at a path: of evaluations, whom it is done for."""
    found = evaluated_for(path)
    if found is None or run.ending is not None:
        return found is None
    owner, purpose = found
    match purpose:
        case Evaluation.EDGES:
            scope = scope_of(owner)
            return not scope or scope in run.flow.scopes
        case Evaluation.WHILE:
            return run.step(iteration_of(owner)[0]).status not in SETTLED
        case Evaluation.COLLECT:
            return run.step(owner).status not in SETTLED
        case Evaluation.OUTPUT:
            return True
        case _:
            assert_never(purpose)


def is_undecided(run: Run, graph: Graph, scope: str = ROOT) -> bool:
    """Whether a step of a scope has settled and nobody knows yet which of its edges are taken.

    Until then it is not known whether its failure is taken up, even where nothing is behind it that
    has not settled for other reasons.
    """
    for node_id, edges in graph.expressions.items():
        if edges:
            step = run.step(inside(scope, node_id))
            if step.edges is None and step.status in ENDED_BY_ITSELF:
                return True
    return False


def open_steps(run: Run, graph: Graph, scope: str = ROOT) -> Iterator[str]:
    """Every step of a scope without a last word, in order; those inside a loop before the loop."""
    for node_id in graph.order:
        yield from open_at(run, graph, scope, node_id)


def open_at(run: Run, graph: Graph, scope: str, node_id: str) -> Iterator[str]:
    """The step of one node unless it is settled, and before it what is open inside of it."""
    step_id = inside(scope, node_id)
    loop = run.flow.loops.get(step_id)
    if loop is not None:
        for index in loop.active:
            yield from open_steps(run, graph.bodies[node_id], iteration(step_id, index))
    if run.step(step_id).status not in SETTLED:
        yield step_id


def rivals_out(run: Run, step_id: str) -> Run:
    """The run with what a join with `cancelOthers` does not need any more on its way out."""
    graph, node_id = run.located(step_id)
    rivals = graph.cancelled_by(node_id)
    if not rivals:
        return run
    queue = run.flow.closing
    for rival in rivals:
        for inner in open_at(run, graph, scope_of(step_id), rival):
            queue = queue.added(inner)
    return with_flow(run, closing=queue)
