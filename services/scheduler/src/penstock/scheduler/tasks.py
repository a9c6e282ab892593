"""A task: one attempt of one step, with all that its node reads and nothing else."""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from penstock.domain import payload as payloads
from penstock.domain.payload import Payload
from penstock.domain.run.paths import (
    ROOT,
    Evaluation,
    evaluated_for,
    inside,
    iteration_of,
    scope_of,
)
from penstock.domain.run.settling import is_taken
from penstock.domain.run.state import Run, Step, StepStatus
from penstock.domain.workflow.model import EdgeType
from penstock.domain.workflow.reads import Reads
from penstock.messages.envelope import Gathered, Task

TASK_MAX_BYTES = 256 * 1024
"""Payloads are inline while a task stays within this; beyond, executors read them by reference."""

RUN_INPUT = "run.input"
VARS = "vars"
ITEM = "item"
ITEMS = "items"

Named = tuple[str, Payload]


def task_of(run: Run, step_id: str, recent: Mapping[str, Raw]) -> Task:
    """The task of a step's present attempt, or of an evaluation.

    recent: payloads that lie in the log, by place, as far as they are still at hand.
    """
    assert run.started is not None
    purpose = evaluated_for(step_id)
    taken: tuple[str, ...] = ()
    gathered = None
    if purpose is None:
        taken = contributors(run, step_id)
        wanted = dict(read_by_step(run, step_id, taken))
    else:
        owner, what = purpose
        if what is Evaluation.EDGES:
            taken = contributors(run, owner)
        if what is Evaluation.COLLECT:
            gathered = gathered_by(run, owner)
        wanted = dict(read_by_evaluation(run, owner, what, taken))
    return Task(
        run_id=run.id,
        step_id=step_id,
        attempt=run.step(step_id).attempt,
        definition=run.started.definition,
        started_at=run.started.created_at,
        payloads=brought_inline(wanted, recent),
        taken=taken,
        gathered=gathered,
        traceparent=run.started.traceparent,
    )


def contributors(run: Run, step_id: str) -> tuple[str, ...]:
    """The nodes whose edges to the step were taken, in the order of the edges."""
    graph, node_id = run.located(step_id)
    scope = scope_of(step_id)
    taken = []
    for edge in graph.incoming[node_id]:
        is_told = edge.condition.type is EdgeType.EXPRESSION
        number = graph.outgoing[edge.source].index(edge) if is_told else 0
        goes_on = graph.nodes[edge.source].continue_on_error
        if is_taken(edge, run.step(inside(scope, edge.source)), number, goes_on=goes_on):
            taken.append(edge.source)
    return tuple(dict.fromkeys(taken)) if len(taken) > 1 else tuple(taken)


def read_by_step(run: Run, step_id: str, taken: tuple[str, ...]) -> Iterator[Named]:
    """By name, the payloads that a node reads: for the input rule, and by its templates."""
    graph, node_id = run.located(step_id)
    reads = graph.reads[node_id]
    scope = scope_of(step_id)
    if reads.input:
        for source in taken:
            yield from said_by(run, inside(scope, source), source)
        if not reads.run_input and scope == ROOT and not graph.incoming[node_id]:
            reads = replace(reads, run_input=True)
    yield from named(run, step_id, reads)


def read_by_evaluation(
    run: Run, owner: str, purpose: Evaluation, taken: tuple[str, ...]
) -> Iterator[Named]:
    """By name, the payloads that an evaluation on behalf of `owner` reads."""
    match purpose:
        case Evaluation.EDGES:
            yield from read_by_step(run, owner, taken)
            yield from said_by(run, owner, run.located(owner)[1])
        case Evaluation.WHILE:
            loop_id, index = iteration_of(owner)
            graph, node_id = run.located(loop_id)
            yield from read_by_step(run, loop_id, contributors(run, loop_id))
            yield from named(run, loop_id, replace(graph.while_reads[node_id], item=False))
            yield from last_result(run, loop_id, index)
        case Evaluation.COLLECT:
            for index, result in run.flow.loops[owner].results.items():
                for sink, said in result.sinks:
                    yield f"results.{index}.{sink}", said
        case Evaluation.OUTPUT:
            yield from read_by_output(run)


def read_by_output(run: Run) -> Iterator[Named]:
    """By name, the payloads that make a run's output: what its template reads, or its sinks."""
    graph = run.drawn
    if graph.output_reads is not None:
        yield from named(run, ROOT, replace(graph.output_reads, run_input=True))
        return
    for sink in graph.sinks:
        yield from said_by(run, sink, sink)


def named(run: Run, step_id: str, reads: Reads) -> Iterator[Named]:
    """By name, the payloads that templates of a step name, and the item it is about."""
    assert run.started is not None
    if reads.run_input:
        yield RUN_INPUT, run.started.input
    if reads.vars and run.started.vars is not None:
        yield VARS, run.started.vars
    for node_id in reads.nodes:
        path = run.drawn.named(step_id, node_id) if step_id else node_id
        yield from said_by(run, path, node_id)
    if reads.item:
        yield from item_of(run, step_id)


def item_of(run: Run, step_id: str) -> Iterator[Named]:
    """What an iteration is about: its loop's items, or what the iteration before came to."""
    loop_id, index = iteration_of(scope_of(step_id))
    loop = run.flow.loops[loop_id]
    if loop.items is not None:
        yield ITEMS, loop.items
    else:
        yield from last_result(run, loop_id, index)


def last_result(run: Run, loop_id: str, index: int) -> Iterator[Named]:
    """What the iteration before this one came to, nothing for the first one."""
    result = run.flow.loops[loop_id].results.get(index - 1)
    if result is None:
        return
    for sink, said in result.sinks:
        yield (f"{ITEM}.{sink}" if result.keyed else ITEM), said


def gathered_by(run: Run, loop_id: str) -> Gathered:
    """What the loop's output is made of."""
    loop = run.flow.loops[loop_id]
    graph, node_id = run.located(loop_id)
    return Gathered(count=loop.opened, keyed=len(graph.bodies[node_id].sinks) > 1)


def said_by(run: Run, step_id: str, node_id: str) -> Iterator[Named]:
    """What a settled step passes on: its output, or its error and what it had worked on.

    In place of a failed step's output stands what a fallback behind it came to.
    """
    step, name = run.step(step_id), f"nodes.{node_id}"
    if step.status is StepStatus.SUCCEEDED and step.output is not None:
        yield f"{name}.output", step.output
    if step.error is None:
        return
    error = msgspec.to_builtins(replace(step.error, details=None))
    yield f"{name}.error", payloads.of_value(error)
    if step.error.details is not None:
        yield f"{name}.error.details", step.error.details
    if step.input is not None:
        yield f"{name}.input", step.input
    instead = fallback_of(run, step_id, node_id)
    if instead is not None:
        yield f"{name}.output", instead


def fallback_of(run: Run, step_id: str, node_id: str) -> Payload | None:
    """What the first fallback behind a failed step said, where one did."""
    graph, _ = run.located(step_id)
    scope = scope_of(step_id)
    steps: Iterator[Step] = (run.step(inside(scope, f)) for f in graph.fallbacks[node_id])
    return next((s.output for s in steps if s.status is StepStatus.SUCCEEDED), None)


def brought_inline(wanted: dict[str, Payload], recent: Mapping[str, Raw]) -> dict[str, Payload]:
    """The payloads, those at hand inline as long as the task stays within its bound.

    A loop's items stay where they are: all of its iterations read the same, and an executor that
    has read them once has them.
    """
    if all(payload.at is None for payload in wanted.values()):
        return wanted
    size = sum(p.size for p in wanted.values() if p.inline)
    brought = {}
    for name, payload in wanted.items():
        held = recent.get(payload.at) if payload.at is not None else None
        if held is not None and name != ITEMS and size + payload.size <= TASK_MAX_BYTES:
            size += payload.size
            payload = replace(payload, inline=held, at=None)  # noqa: PLW2901
        brought[name] = payload
    return brought
