"""A task: one attempt of one step, with all that its node reads and nothing else."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from penstock.domain import payload as payloads
from penstock.domain.payload import Payload
from penstock.domain.run.evolve import is_taken
from penstock.domain.run.state import Run, Step, StepStatus
from penstock.messages.envelope import Task

TASK_MAX_BYTES = 256 * 1024
"""Payloads are inline while a task stays within this; beyond, executors read them by reference."""

RUN_INPUT = "run.input"


def task_of(run: Run, step_id: str, recent: Mapping[str, Raw]) -> Task:
    """The task of a step's present attempt.

    recent: payloads that lie in the log, by place, as far as they are still at hand.
    """
    assert run.started is not None
    taken = contributors(run, step_id)
    wanted = dict(payloads_read(run, step_id, taken))
    return Task(
        run_id=run.id,
        step_id=step_id,
        attempt=run.step(step_id).attempt,
        definition=run.started.definition,
        started_at=run.started.created_at,
        payloads=brought_inline(wanted, recent),
        taken=taken,
        traceparent=run.started.traceparent,
    )


def contributors(run: Run, step_id: str) -> tuple[str, ...]:
    """The predecessors whose edges to the step were taken, in the order of the edges."""
    edges = run.drawn.incoming[step_id]
    taken = [e.source for e in edges if is_taken(e, run.step(e.source))]
    return tuple(dict.fromkeys(taken))


def payloads_read(run: Run, step_id: str, taken: tuple[str, ...]) -> list[tuple[str, Payload]]:
    """By name, the payloads that the node reads: for the input rule, and by its templates."""
    graph, found = run.drawn, []
    reads = graph.reads[step_id]
    assert run.started is not None
    if reads.run_input or (reads.input and not graph.incoming[step_id]):
        found.append((RUN_INPUT, run.started.input))
    if reads.input:
        for source in taken:
            found.extend(said_by(source, run.step(source)))
    for source in reads.nodes:
        found.extend(said_by(source, run.step(source)))
    return found


def said_by(step_id: str, step: Step) -> list[tuple[str, Payload]]:
    """What a settled step passes on: its output, or its error and what it had worked on."""
    name = f"nodes.{step_id}"
    if step.status is StepStatus.SUCCEEDED and step.output is not None:
        return [(f"{name}.output", step.output)]
    if step.error is None:
        return []
    error = msgspec.to_builtins(replace(step.error, details=None))
    found = [(f"{name}.error", payloads.of_value(error))]
    if step.error.details is not None:
        found.append((f"{name}.error.details", step.error.details))
    if step.input is not None:
        found.append((f"{name}.input", step.input))
    return found


def brought_inline(wanted: dict[str, Payload], recent: Mapping[str, Raw]) -> dict[str, Payload]:
    """The payloads, those at hand inline as long as the task stays within its bound."""
    size = sum(p.size for p in wanted.values() if p.inline)
    brought = {}
    for name, payload in wanted.items():
        held = recent.get(payload.at) if payload.at is not None else None
        if held is not None and size + payload.size <= TASK_MAX_BYTES:
            size += payload.size
            payload = replace(payload, inline=held, at=None)  # noqa: PLW2901
        brought[name] = payload
    return brought
