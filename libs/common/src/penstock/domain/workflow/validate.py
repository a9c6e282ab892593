"""Every reason why a drawing cannot run, all of them at once.

Expressions and JSON Schemas are checked by functions that are handed in: the domain knows
neither's engine.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import Struct, ValidationError, structs

from penstock.domain.workflow.model import Definition, Node, body_from_wire, canonical_bytes
from penstock.domain.workflow.node_types import NODE_TYPES
from penstock.domain.workflow.parse import LIMITS, Limits, Parsed, parse
from penstock.domain.workflow.problems import PROBLEMS_MAX, Code, Problem, not_yet
from penstock.domain.workflow.references import (
    CheckExpression,
    Scope,
    definition_reference_problems,
    edge_reference_problems,
    node_reference_problems,
)
from penstock.domain.workflow.shape import Shape, shape_problems

CheckConfig = Callable[[str, Mapping[str, Any]], list[tuple[str, str]]]
"""By node type and config: a pointer into the config and what is wrong there, for each problem."""

CheckSchema = Callable[[object], list[tuple[str, str]]]
"""What is wrong with a user's JSON Schema: a pointer into it and a message, for each problem.

Nothing when values can be checked against it.
"""


class Checks(Struct, frozen=True, kw_only=True):
    """What the domain cannot check by itself."""

    expression: CheckExpression
    config: CheckConfig
    schema: CheckSchema


def check(
    document: object, checks: Checks, *, name: str | None = None, limits: Limits = LIMITS
) -> Parsed:
    """Reads and validates a document in any spelling; with problems there is no definition.

    `name` is taken where the document has none. Pointers lead into the given document.
    """
    parsed = parse(document, name=name, limits=limits)
    if parsed.definition is None:
        return parsed
    if not parsed.is_whole:
        # The rest would be blamed for the absence of what was not even read.
        return structs.replace(parsed, definition=None)
    found = validate(parsed.definition, checks, limits=limits)
    located = [
        structs.replace(problem, pointer=parsed.places.locate(problem.pointer)) for problem in found
    ]
    problems = [*parsed.problems, *located][:PROBLEMS_MAX]
    definition = None if problems else parsed.definition
    return structs.replace(parsed, definition=definition, problems=problems)


def validate(definition: Definition, checks: Checks, *, limits: Limits = LIMITS) -> list[Problem]:
    """Every problem of a definition, at most PROBLEMS_MAX; pointers lead into its wire form."""
    return list(islice(problems_of(definition, checks, limits), PROBLEMS_MAX))


def problems_of(definition: Definition, checks: Checks, limits: Limits) -> Iterator[Problem]:
    """The problems one by one: of the whole, then of each drawing: its shape, then its nodes."""
    size = len(canonical_bytes(definition))
    if size > limits.bytes:
        message = f"{size} bytes are more than {limits.bytes}"
        yield Problem("", Code.LIMIT_EXCEEDED, message)
    if definition.input_schema is not None:
        for pointer, message in checks.schema(definition.input_schema):
            yield Problem(f"/inputSchema{pointer}", Code.SCHEMA_INVALID, message)
    scope = Scope(Shape(definition))
    yield from definition_reference_problems(scope, checks.expression)
    yield from scope_problems(scope, checks)


def scope_problems(scope: Scope, checks: Checks) -> Iterator[Problem]:
    """The problems of one drawing and of the bodies in it."""
    for problem in shape_problems(scope.shape):
        yield structs.replace(problem, pointer=scope.at + problem.pointer)
    yield from edge_reference_problems(scope, checks.expression)
    for number, node in enumerate(scope.shape.definition.nodes):
        at = f"{scope.at}/nodes/{number}"
        yield from node_problems(node, at, checks.config)
        yield from node_reference_problems(scope, number, checks.expression)
        if node.type == "loop" and isinstance(node.config.get("body"), dict):
            yield from body_problems(scope, node, at, checks)


def body_problems(scope: Scope, loop: Node, at: str, checks: Checks) -> Iterator[Problem]:
    """The problems of a loop's body."""
    try:
        body = body_from_wire(loop.config["body"], scope.shape.definition)
    except ValidationError as error:
        yield Problem(f"{at}/config/body", Code.CONFIG_INVALID, str(error))
        return
    inner = Scope(Shape(body), f"{at}/config/body", outer=scope, owner=loop.id)
    yield from scope_problems(inner, checks)


def node_problems(node: Node, at: str, check_config: CheckConfig) -> Iterator[Problem]:
    """What is wrong with a node by itself, but for what it reads and for a loop's body."""
    kind = NODE_TYPES.get(node.type)
    if kind is None:
        if node.type:
            message = f"there is no node type {node.type[:64]}"
            yield Problem(f"{at}/type", Code.UNKNOWN_NODE_TYPE, message)
        return
    if not kind.available:
        yield Problem(f"{at}/type", Code.NOT_SUPPORTED, not_yet(kind.name))
        return
    for name, only in kind.later.items():
        if name in node.config and (only is None or node.config[name] == only):
            yield Problem(f"{at}/config/{name}", Code.NOT_SUPPORTED, not_yet(name))
    config = node.config
    if node.type == "loop" and isinstance(config.get("body"), dict):
        # The body's nodes have configs of their own, each checked once.
        config = config | {"body": {}}
    for pointer, message in check_config(node.type, config):
        yield Problem(f"{at}/config{pointer}", Code.CONFIG_INVALID, message)
