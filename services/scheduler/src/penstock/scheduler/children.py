"""Runs that runs begin: how a child comes into being, is called off, and tells its parent its end.

All of it is said by commands that change nothing when they come again. A parent that hears nothing
asks once more for the child it has asked for, and a child that is over answers that with its end;
so a word that is lost on either way is said again.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import msgspec

from penstock.domain.gate.events import GateUse
from penstock.domain.payload import NULL, Payload, of_value
from penstock.domain.run.commands import CancelRun, ContinueRun, EndChild, RunCommand, StartRun
from penstock.domain.run.events import Parent, RunError, StepError
from penstock.domain.run.reports import depth_of
from penstock.domain.run.state import Run, RunStatus, Wait
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition
from penstock.infra.definitions import Definitions
from penstock.infra.eventlog.log import EventLog
from penstock.infra.gates import (
    Asker,
    KeyFailed,
    breaker_of,
    gates_of,
    reads_key,
    scope_of,
)
from penstock.infra.nats import subjects
from penstock.infra.nats.publish import Publisher
from penstock.infra.schemas import check_value
from penstock.infra.telemetry import logs
from penstock.messages.codec import Undecodable
from penstock.messages.envelope import CommandMessage, encode
from penstock.scheduler.payloads import LOST, Payloads
from penstock.scheduler.registry import Registry, Runnable, Unrunnable
from penstock.scheduler.watch import RunKey

TRIGGER = "sub_workflow"
NOT_STARTED = "CHILD_NOT_STARTED"

FINDINGS_MAX = 5
"""Of what is wrong with an input, told in an error's message."""

UNREADABLE = (*LOST, Undecodable, msgspec.MsgspecError)
"""What no further attempt would mend: a definition, an input or a history cannot be read."""

CODES = {
    RunStatus.FAILED: "CHILD_FAILED",
    RunStatus.CANCELLED: "CHILD_CANCELLED",
    RunStatus.TIMED_OUT: "CHILD_TIMED_OUT",
}


logger = logs.logger(__name__)


class Sources(NamedTuple):
    """Where a child's beginning is found."""

    registry: Registry
    definitions: Definitions
    payloads: Payloads
    log: EventLog


class Order(NamedTuple):
    """A child run that a step waits for, as it was asked for."""

    key: RunKey
    parent: Parent
    wait: Wait
    input: Payload
    priority: int
    traceparent: str


class Children:
    """Sends what parents and children have to say to each other. now: ms since the epoch."""

    def __init__(
        self, publisher: Publisher, sources: Sources, *, me: str, now: Callable[[], int]
    ) -> None:
        self._publisher = publisher
        self._registry, self._definitions, self._payloads, self._log = sources
        self._me = me
        self._now = now
        self._under_way: set[asyncio.Task[int]] = set()

    def begin(self, key: RunKey, run: Run, step_id: str) -> "asyncio.Future[int]":
        """Ask for the child run that a step of `run` waits for; the future of its command."""
        order = ordered(key, run, step_id)
        return self._soon(self._begin(order))

    def end(self, key: RunKey, run: Run) -> "asyncio.Future[int]":
        """Tell the parent of a run how that has ended."""
        return self._soon(self._end(key, run))

    def call_off(self, key: RunKey, child_id: str, reason: str) -> "asyncio.Future[int]":
        """Bring a child of `key` to its end."""
        return self._send(
            RunKey(key.tenant, child_id), CancelRun(reason=reason), id=f"{child_id}/call-off"
        )

    def _soon(self, saying: Coroutine[Any, Any, int]) -> "asyncio.Future[int]":
        """A future of what takes a while to be said."""
        task = asyncio.get_running_loop().create_task(saying)
        self._under_way.add(task)
        task.add_done_callback(self._said)
        return task

    def _said(self, task: "asyncio.Task[int]") -> None:
        """What could not be said is said again when the letter that led to it comes again."""
        self._under_way.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.warning("a word between parent and child must wait", error=repr(error))

    async def _begin(self, order: Order) -> int:
        """Start the child, or tell the parent why there can be none."""
        child = RunKey(order.key.tenant, order.wait.child_id)
        try:
            command = await self._start(child, order)
        except (Unrunnable, *UNREADABLE) as why:
            if await self._log.last(subjects.run_events(*child)) is not None:
                return await self._send(child, ContinueRun(), id=f"{child.run_id}/ask")
            return await self._send(order.key, not_started(order, told(why)), id=child.run_id)
        return await self._send(
            child, command, id=f"{child.run_id}/start", traceparent=order.traceparent
        )

    async def _start(self, child: RunKey, order: Order) -> StartRun:
        """The command that begins the child. Raises `Unrunnable`."""
        wait = order.wait
        found = await self._registry.runnable(child.tenant, wait.workflow_id, wait.version)
        name = await self._payloads.kept(found.workflow_name, tenant=child.tenant)
        found = found._replace(workflow_name=name)
        graph = await self._definitions.graph(child.tenant, found.content_hash)
        await self._refuse_input(found, graph, order)
        variables = await self._variables(child, graph)
        return StartRun(
            workflow_id=found.workflow_id,
            workflow_name=found.workflow_name,
            version=found.version,
            definition=found.content_hash,
            input=await self._payloads.handed(
                order.input, tenant=child.tenant, run_id=child.run_id
            ),
            created_at=self._now(),
            vars=variables,
            trigger=TRIGGER,
            priority=order.priority,
            request_hash=request_hash(order),
            parent=order.parent,
            gates=await self._gates(order, found, graph.definition, variables),
        )

    async def _gates(
        self, order: Order, found: Runnable, definition: Definition, variables: Payload | None
    ) -> tuple[GateUse, ...]:
        """What the child passes before it starts. Raises `Unrunnable` for a key that fails."""
        scope, marks, tenant = None, None, order.key.tenant
        if reads_key(definition):
            marks = await self._payloads.marks(tenant)
            given = msgspec.json.decode(await self._payloads.text(order.input, tenant=tenant))
            values = {}
            if variables is not None:
                read = await self._payloads.text(variables, tenant=tenant)
                values = msgspec.json.decode(read)
            scope = scope_of(order.wait.child_id, given, values)
        asker = Asker(tenant, found.workflow_id, found.workflow_name)
        try:
            return breaker_of(asker, order.parent) + gates_of(definition, asker, scope, marks)
        except KeyFailed as why:
            words = await self._payloads.words(str(why), tenant=tenant)
            raise Unrunnable(words) from why

    async def _refuse_input(self, found: Runnable, graph: Graph, order: Order) -> None:
        """Raise `Unrunnable` where the input does not fit the workflow's schema."""
        schema = graph.definition.input_schema
        if schema is None:
            return
        given = await self._payloads.text(order.input, tenant=order.key.tenant)
        value = msgspec.json.decode(given)
        findings = check_value(schema, value)
        if findings:
            said = "; ".join(f"{at or '/'}: {why}" for at, why in findings[:FINDINGS_MAX])
            words = await self._payloads.words(said, tenant=order.key.tenant)
            raise Unrunnable(f"the input does not fit {found.workflow_name}: {words}")

    async def _variables(self, child: RunKey, graph: Graph) -> Payload | None:
        """The variables that a definition reads, None for none; those that are missing left out."""
        if not graph.vars:
            return None
        values = {}
        for name in sorted(graph.vars):
            variable = await self._registry.variable(child.tenant, name)
            if variable is not None:
                text = await self._payloads.text(variable.value, tenant=child.tenant)
                values[name] = text
        data = msgspec.json.encode(values)
        return await self._payloads.said(data, tenant=child.tenant, run_id=child.run_id)

    async def _end(self, key: RunKey, run: Run) -> int:
        """Say how the child has ended."""
        parent = run.start.parent if run.start is not None else None
        assert parent is not None, "only a child has somebody to tell"
        output, error = None, None
        if run.status is RunStatus.SUCCEEDED:
            said = output_of(run)
            output = await self._payloads.handed(said, tenant=key.tenant, run_id=parent.run_id)
        else:
            error = error_of(run)
        command = EndChild(
            step_id=parent.step_id,
            attempt=parent.attempt,
            child_id=run.id,
            output=output,
            error=error,
        )
        return await self._send(RunKey(key.tenant, parent.run_id), command, id=f"{run.id}/end")

    def _send(
        self,
        key: RunKey,
        command: RunCommand,
        *,
        id: str,  # noqa: A002 - the envelope's word
        traceparent: str = "",
    ) -> "asyncio.Future[int]":
        message = CommandMessage(
            id=id,
            actor=f"scheduler:{self._me}",
            at=self._now(),
            command=command,
            traceparent=traceparent,
        )
        return self._publisher.publish(
            subjects.command(key.tenant, "run", key.run_id), encode(message)
        )


def ordered(key: RunKey, run: Run, step_id: str) -> Order:
    """The child run that a step waits for."""
    step = run.step(step_id)
    assert run.started is not None
    assert step.wait is not None
    above = run.started.parent
    parent = Parent(
        run_id=run.id,
        step_id=step_id,
        attempt=step.attempt,
        depth=depth_of(run) + 1,
        root=run.id if above is None else above.root,
        workflows=(*(() if above is None else above.workflows), run.started.workflow_id),
        above=(*(() if above is None else above.above), run.id),
    )
    return Order(
        key=key,
        parent=parent,
        wait=step.wait,
        input=NULL if step.input is None else step.input,
        priority=run.started.priority,
        traceparent=run.started.traceparent,
    )


def request_hash(order: Order) -> str:
    """The same however often the child is asked for, whatever is published meanwhile."""
    version = "" if order.wait.version is None else str(order.wait.version)
    text = f"{order.wait.workflow_id}\0{version}\0{order.input.sha256}"
    return hashlib.sha256(text.encode()).hexdigest()


def told(why: Exception) -> str:
    """Why there can be no child, in words."""
    return str(why) if isinstance(why, Unrunnable) else f"what it needs is lost: {why!r}"


def not_started(order: Order, why: str) -> EndChild:
    """The end of a child that there cannot be."""
    return EndChild(
        step_id=order.parent.step_id,
        attempt=order.parent.attempt,
        child_id=order.wait.child_id,
        error=StepError(code=NOT_STARTED, message=why),
    )


def output_of(run: Run) -> Payload:
    """What a run that has succeeded came to: its output, else what its one sink said."""
    if run.flow.output is not None:
        return run.flow.output
    said = [run.step(sink).output for sink in run.drawn.sinks]
    return next((output for output in said if output is not None), NULL)


def error_of(run: Run) -> StepError:
    """What the end of a child that has not succeeded is to the step that waits for it."""
    never = RunError(code="NOT_ADMITTED", message="it ended before it could start")
    why = run.ending.error if run.ending is not None else never
    details = {
        "runId": run.id,
        "status": str(run.status),
        "error": {"code": why.code, "message": why.message, "stepId": why.step_id},
    }
    message = f"the child run {run.id}: {why.code}: {why.message}"
    return StepError(code=CODES[run.status], message=message, details=of_value(details))
