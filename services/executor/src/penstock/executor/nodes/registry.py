"""The step registry: which function runs a node of which type.

A type that never waits is a plain function and runs at once, in the turn of the event loop that
brought its task; one that calls the outside is a coroutine function and gets a task of its own.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from penstock.domain.workflow.model import Node
from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput
from penstock.executor.nodes import (
    ai_completion,
    condition,
    database_query,
    delay,
    email,
    emit_event,
    fallback,
    hearing,
    http_request,
    loop,
    noop,
    sub_workflow,
    switch,
    transform,
    webhook,
)
from penstock.executor.outcome import Outcome, StepFault

Immediate = Callable[[StepContext, Mapping[str, Any], StepInput], Outcome]
Waiting = Callable[[StepContext, Mapping[str, Any], StepInput], Awaitable[Outcome]]


class Handler(Struct, frozen=True):
    """How a node is run: exactly one of `immediate` and `waiting` is set.

    looks: whether it looks into its input, which is then opened before.
    """

    immediate: Immediate | None = None
    waiting: Waiting | None = None
    looks: bool = False


PASSES_ON = Handler(immediate=noop.run)
HANDLERS: Mapping[str, Handler] = {
    "noop": PASSES_ON,
    "trigger": PASSES_ON,
    "error_handler": PASSES_ON,
    "condition": Handler(immediate=condition.run),
    "switch": Handler(immediate=switch.run),
    "fallback": Handler(immediate=fallback.run),
    "emit_event": Handler(immediate=emit_event.run, looks=True),
    "delay": Handler(immediate=delay.run),
    "approval": Handler(immediate=hearing.approval),
    "wait_for_signal": Handler(immediate=hearing.wait_for_signal),
    "loop": Handler(immediate=loop.run),
    "sub_workflow": Handler(immediate=sub_workflow.run),
    "transform": Handler(immediate=transform.run, looks=True),
    "http_request": Handler(waiting=http_request.run, looks=True),
    "webhook": Handler(waiting=webhook.run, looks=True),
    "ai_completion": Handler(waiting=ai_completion.run, looks=True),
    "email": Handler(waiting=email.run),
    "database_query": Handler(waiting=database_query.run),
}


def handler_of(node: Node) -> Handler:
    """The handler of `node`. Raises StepFault for a type that this executor does not have."""
    if node.type == "webhook" and "url" not in node.config:
        return PASSES_ON
    handler = HANDLERS.get(node.type)
    if handler is None:
        raise StepFault("NODE_TYPE_UNKNOWN", f"this executor has no step type {node.type!r:.100}")
    return handler
