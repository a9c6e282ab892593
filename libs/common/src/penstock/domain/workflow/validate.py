"""Every reason why a drawing cannot run, all of them at once.

Expressions and JSON Schemas are checked by functions that are handed in: the domain knows
neither's engine.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from msgspec import Struct, structs

from penstock.domain.workflow.model import QUEUE_DEFAULT, Definition, Node, canonical_bytes
from penstock.domain.workflow.node_types import NODE_TYPES
from penstock.domain.workflow.parse import LIMITS, Limits, Parsed, parse
from penstock.domain.workflow.problems import PROBLEMS_MAX, Code, Problem, not_yet
from penstock.domain.workflow.references import CheckExpression, reference_problems
from penstock.domain.workflow.shape import Shape, shape_problems

CheckConfig = Callable[[str, Mapping[str, Any]], list[tuple[str, str]]]
"""By node type and config: a pointer into the config and what is wrong there, for each problem."""

CheckSchema = Callable[[object], str | None]
"""What is wrong with a user's JSON Schema; None when values can be checked against it."""


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
    if any(is_unread(problem) for problem in parsed.problems):
        # The rest would be blamed for the absence of what was not even read.
        return structs.replace(parsed, definition=None)
    found = validate(parsed.definition, checks, limits=limits)
    located = [
        structs.replace(problem, pointer=parsed.places.locate(problem.pointer)) for problem in found
    ]
    problems = [*parsed.problems, *located][:PROBLEMS_MAX]
    definition = None if problems else parsed.definition
    return structs.replace(parsed, definition=definition, problems=problems)


def is_unread(problem: Problem) -> bool:
    """Whether all nodes, or all edges, were left unread because there are too many of them."""
    return problem.code is Code.LIMIT_EXCEEDED and problem.pointer in {"/nodes", "/steps", "/edges"}


def validate(definition: Definition, checks: Checks, *, limits: Limits = LIMITS) -> list[Problem]:
    """Every problem of a definition, at most PROBLEMS_MAX; pointers lead into its wire form."""
    return list(islice(problems_of(definition, checks, limits), PROBLEMS_MAX))


def problems_of(definition: Definition, checks: Checks, limits: Limits) -> Iterator[Problem]:
    """The problems one by one: of the whole, of the shape, then of each node."""
    size = len(canonical_bytes(definition))
    if size > limits.bytes:
        message = f"{size} bytes are more than {limits.bytes}"
        yield Problem("", Code.LIMIT_EXCEEDED, message)
    if definition.input_schema is not None:
        message_or_none = checks.schema(definition.input_schema)
        if message_or_none is not None:
            yield Problem("/inputSchema", Code.SCHEMA_INVALID, message_or_none)
    shape = Shape(definition)
    yield from shape_problems(shape)
    for number, node in enumerate(definition.nodes):
        yield from node_problems(node, f"/nodes/{number}", checks.config)
        yield from reference_problems(shape, number, checks.expression)


def node_problems(node: Node, at: str, check_config: CheckConfig) -> Iterator[Problem]:
    """What is wrong with a node by itself, but for what it reads."""
    if node.continue_on_error:
        yield Problem(f"{at}/continueOnError", Code.NOT_SUPPORTED, not_yet("continueOnError"))
    if node.queue != QUEUE_DEFAULT:
        # No executor serves another one, so the step would wait for ever.
        yield Problem(f"{at}/queue", Code.NOT_SUPPORTED, not_yet("queue"))
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
    for pointer, message in check_config(node.type, node.config):
        yield Problem(f"{at}/config{pointer}", Code.CONFIG_INVALID, message)
