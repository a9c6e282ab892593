"""Retry and fork: a new run that begins where another one stood.

What is kept of the other run is found by folding its history here, and travels as a snapshot with
the command. The other run is only read.
"""

from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from fastapi import Request

from penstock.api import beginnings, folding, past, queries_runs
from penstock.api.auth import Caller
from penstock.api.drawings import accepted, stored
from penstock.api.errors import Problem, detail, invalid
from penstock.api.folding import Source
from penstock.api.gates import Entry, gates_at
from penstock.api.histories import RunKey
from penstock.api.idempotency import Identity, identity
from penstock.api.limits import refuse_payload
from penstock.api.parts import Parts, sender_of
from penstock.api.payloads import Allowance, Payloads
from penstock.api.registry import now_ms
from penstock.api.schemas_control import Fork
from penstock.api.starts import variables_read
from penstock.domain.payload import Payload
from penstock.domain.run.commands import StartRun
from penstock.domain.run.events import Origin, RunStarted
from penstock.domain.run.rewind import (
    Plan,
    for_fork,
    for_retry,
    planned,
    reading_input,
    resumable,
    rewound,
    unchanged,
)
from penstock.domain.run.snapshot import encoded
from penstock.domain.run.state import Run, RunStatus, StepStatus
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition
from penstock.infra.gates import Asker
from penstock.infra.postgres.engine import Row
from penstock.infra.schemas import check_value
from penstock.messages.envelope import Reply

RETRY = "retry"
FORK = "fork"

Values = dict[str, msgspec.Raw]
"""Variables by name, each as its JSON text."""


class Beginning(NamedTuple):
    """Where a new run begins. state: of the run it goes on from, as the new one takes it over."""

    origin: Origin
    started: RunStarted
    state: Run
    plan: Plan
    definition: Definition | None = None


class Asked(NamedTuple):
    """One request for a new run. sent: the body as it came; what: `retry` or `fork`.

    made: the new run's id and the hash of its request, where they do not follow from this request.
    """

    request: Request
    parts: Parts
    caller: Caller
    row: Row
    sent: Any
    what: str
    made: Identity | None = None


def key_of_row(caller: Caller, row: Row) -> RunKey:
    """A run's row as what its history is found by."""
    run_id = str(row["id"])
    return RunKey(caller.tenant_id, run_id, row["created_at"], row["correlation_id"] or run_id)


async def stood(parts: Parts, caller: Caller, row: Row, place: past.Until) -> past.Past:
    """The run of a row as it stood at a place. Raises Problem 404 where it had not begun.

    Problem 409 for one that never did: there is nothing to go on from.
    """
    key = key_of_row(caller, row)
    graph = await parts.definitions.graph(caller.tenant_id, row["definition"])
    payloads = parts.payloads(key.tenant_id, partial(parts.histories.decision_of, key))
    then = await folding.stood(Source(parts.histories, payloads, key, graph), place)
    if then.run.started is None and then.run.is_over:
        said = "the run ended before it began: execute its workflow again"
        raise Problem(409, said, code="RUN_NOT_STARTED")
    if then.run.status is RunStatus.QUEUED:
        said = "the run waits for its start: there is nothing to go on from yet"
        raise Problem(409, said, code="RUN_QUEUED")
    if then.run.started is None:
        raise Problem(404, "the run had not begun yet")
    return then


async def retried(parts: Parts, caller: Caller, row: Row) -> Beginning:
    """Where the retry of a run begins. Raises Problem 409 unless it has ended without success."""
    then = await stood(parts, caller, row, past.Until())
    run = then.run
    if not run.is_over:
        raise Problem(409, "the run has not ended: cancel it first", code="RUN_NOT_FINISHED")
    if run.status is RunStatus.SUCCEEDED:
        raise Problem(409, "the run has succeeded: nothing is left to retry", code="RUN_SUCCEEDED")
    return beginning(then, for_retry(run), run.drawn, resumes=True)


async def forked(parts: Parts, caller: Caller, row: Row, asked: Fork) -> Beginning:
    """Where a fork of a run begins.

    Raises Problem 404 for a place or a step that it does not have, 400 for a definition that is
    not valid or an input that does not fit.
    """
    definition = None
    if asked.definition is not None:
        named = await parts.seals.texts.opened(caller.tenant_id, row["workflow_name"])
        definition = accepted(asked.definition, name=named, at="/definition").definition
    then = await stood(parts, caller, row, past.until(asked.at, pointer="/at"))
    run = then.run
    graph = run.drawn if definition is None else Graph.of(definition)
    if "input" in asked.model_fields_set:
        refuse_input(graph, asked.input)
    if asked.from_step is not None:
        return beginning(then, for_fork(run, asked.from_step), graph, definition)
    if definition is not None or (asked.at is None and run.is_over):
        kept = for_retry(run)
        if "input" in asked.model_fields_set:
            kept -= reading_input(run.drawn)
        begin = beginning(then, kept, graph, definition)
        if definition is None and not begin.plan.again:
            raise Problem(409, "nothing would run again", code="NOTHING_TO_RUN")
        return begin
    if run.is_over:
        raise Problem(409, "the run had ended there: nothing is left to run", code="RUN_FINISHED")
    assert run.started is not None
    settled = frozenset(s for s in graph.order if run.step(s).status is StepStatus.SUCCEEDED)
    plan = planned(run, graph, settled)
    return Beginning(origin_of(then), run.started, run, plan)


def beginning(
    then: past.Past,
    kept: frozenset[str],
    graph: Graph,
    definition: Definition | None = None,
    *,
    resumes: bool = False,
) -> Beginning:
    """A beginning that keeps some steps of a run, as far as its drawing still has them.

    resumes: loops that had failed go on where they are.
    """
    run = then.run
    assert run.started is not None
    if graph is not run.drawn:
        kept = unchanged(run.drawn, graph, kept)
    loops = resumable(run, kept) if resumes else frozenset()
    state = rewound(run, kept, graph=graph, started=run.started, loops=loops)
    plan = planned(run, graph, kept, loops)
    return Beginning(origin_of(then), run.started, state, plan, definition)


def origin_of(then: past.Past) -> Origin:
    """The place that a history was folded up to."""
    return Origin(run_id=then.run.id, position=then.position)


def refuse_input(graph: Graph, value: Any) -> None:
    """Raise Problem 400 unless an input is what the definition asks for."""
    schema = graph.definition.input_schema
    findings = [] if schema is None else check_value(schema, value)
    if findings:
        faults = [detail(f"/input{at}", "SCHEMA_INVALID", said) for at, said in findings]
        raise invalid("the input does not fit the workflow's inputSchema", *faults)


async def begun(asked: Asked, begin: Beginning, given: Any = ...) -> tuple[UUID, Reply | None]:
    """The new run's id and the scheduler's answer. given: its input, the other run's if missing.

    Raises Problem 409 for an Idempotency-Key that stands for another request.
    """
    request, parts, caller, row = asked[:4]
    limits = await beginnings.open_for(parts, caller.tenant_id)
    made = asked.made or identity(request, caller.tenant_id, asked.sent)
    run_id = made.id
    if made.request_hash:
        await beginnings.earlier(parts, caller.tenant_id, run_id)
    definition, tenant = row["definition"], caller.tenant_id
    graph = begin.state.drawn
    if begin.definition is not None:
        definition = (await stored(parts, tenant, begin.definition)).content_hash
    payloads = parts.payloads(tenant, partial(parts.histories.decision_in, tenant))
    state = await payloads.state(str(run_id), encoded(begin.state))
    entry = begin.started.input
    if given is not ...:
        text = msgspec.json.encode(given)
        refuse_payload(limits, text, what="the input", pointer="/input")
        entry = await payloads.made(str(run_id), text)
    sender = sender_of(request, caller.actor)
    read = await variables_kept(parts, payloads, caller, run_id, begin)
    (name,) = await payloads.kept([begin.started.workflow_name])
    asker = Asker(tenant, begin.started.workflow_id, name)
    command = StartRun(
        workflow_id=begin.started.workflow_id,
        workflow_name=name,
        version=begin.started.version,
        definition=definition,
        input=entry,
        created_at=now_ms(),
        vars=read,
        trigger=asked.what,
        tags=await payloads.kept(begin.started.tags),
        priority=begin.started.priority,
        request_hash=made.request_hash,
        traceparent=sender.traceparent,
        forked_from=begin.origin,
        state=state,
        gates=await gates_at(
            payloads, graph.definition, asker, Entry(str(run_id), entry, read, "/input"), limits
        ),
    )
    return run_id, await beginnings.sent(parts, tenant, run_id, command, sender)


async def variables_kept(
    parts: Parts, payloads: Payloads, caller: Caller, run_id: UUID, begin: Beginning
) -> Payload | None:
    """The variables of the new run: what the other one has recorded stays as it was.

    So a run that is repeated reads what it read before, and its kept steps fit the others. Names
    that the other run has not recorded, because they were no variables then or because only
    another definition reads them, are read as they are now.
    """
    names, recorded = begin.state.drawn.vars, begin.started.vars
    now = await variables_read(parts, caller.tenant_id, run_id, begin.state.drawn)
    if now is None or recorded is None:
        return now
    told = msgspec.json.decode(await payloads.text(now, Allowance()), type=Values)
    kept = msgspec.json.decode(await payloads.text(recorded, Allowance()), type=Values)
    merged = told | {name: value for name, value in kept.items() if name in names}
    found = msgspec.json.encode(merged, order="sorted")
    return await payloads.made(str(run_id), found)


def preview(begin: Beginning) -> dict[str, Any]:
    """What a fork would do, without doing it."""
    return {
        "forkedFrom": {"runId": begin.origin.run_id, "position": begin.origin.position},
        "kept": list(begin.plan.kept),
        "runsAgain": list(begin.plan.again),
        "goesOn": list(begin.plan.resumed),
        "repeatsEffects": list(begin.plan.repeats),
    }


async def row_of(parts: Parts, caller: Caller, run_id: UUID) -> Row | None:
    """The new run's row, None while the read models do not have it."""
    return await queries_runs.find(parts.engine, caller.tenant_id, run_id)
