"""What the names in a step's templates stand for; only those that are read are decoded."""

from collections.abc import Mapping
from typing import Any

from penstock.domain.payload import Payload
from penstock.domain.template import Scope
from penstock.executor.inputs import (
    RUN_INPUT,
    VARS,
    StepInput,
    decode,
    error_value,
    item_of,
    last_result,
    needed,
    raw_of,
)
from penstock.executor.moments import moment_text
from penstock.executor.positions import position_of
from penstock.executor.templates import Prepared
from penstock.messages.envelope import Task


def scope_of(
    template: Prepared,
    task: Task,
    payloads: Mapping[str, Payload],
    given: StepInput,
    *,
    continued: frozenset[str] = frozenset(),
    upcoming: bool = False,
) -> Scope:
    """What the names stand for that `template` reads.

    continued: nodes that go on after a failure. upcoming: whether item and index are those of the
    iteration that a WHILE is about, not of the one that its loop stands in.
    """
    scope: dict[str, Any] = {}
    roots = template.roots
    if "input" in roots:
        scope["input"] = given.value
    if "run" in roots:
        scope["run"] = run_scope(task, payloads)
    if VARS in roots:
        scope[VARS] = decode(raw_of(needed(payloads, VARS)))
    if "nodes" in roots:
        nodes = template.nodes
        scope["nodes"] = {node: node_scope(node, payloads, continued) for node in nodes}
    if "item" in roots:
        scope["item"] = (last_result if upcoming else item_of)(payloads).value
    if "index" in roots:
        position = position_of(task.step_id)
        scope["index"] = position.upcoming if upcoming else position.index
    return scope


def run_scope(task: Task, payloads: Mapping[str, Payload]) -> dict[str, Any]:
    """What `run.` reads: the id, the moment of the start (RFC 3339, UTC), the input."""
    run: dict[str, Any] = {"id": task.run_id, "startedAt": moment_text(task.started_at)}
    if RUN_INPUT in payloads:
        run["input"] = decode(raw_of(payloads[RUN_INPUT]))
    return run


def node_scope(
    node: str, payloads: Mapping[str, Payload], continued: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """What `nodes.<id>.` reads: an output, an error, or neither when the node said nothing.

    A failed node has an output where a fallback stands in for it, or where it goes on after a
    failure: then it is `{error}`.
    """
    said: dict[str, Any] = {}
    if f"nodes.{node}.error" in payloads:
        said["error"] = error_value(node, payloads)
        if node in continued:
            said["output"] = {"error": said["error"]}
    if f"nodes.{node}.output" in payloads:
        said["output"] = decode(raw_of(needed(payloads, f"nodes.{node}.output")))
    return said
