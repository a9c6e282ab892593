"""What templates and expressions may read, and whether they can be read at all."""

from collections.abc import Callable, Collection, Iterator
from typing import Final

from msgspec import UNSET, Struct

from penstock.domain.expression import (
    EDGE_NAMES,
    EDGE_ROOTS,
    ROOTS,
    ExpressionError,
    Path,
    scan,
)
from penstock.domain.template import Hole, TemplateError, as_expression, escaped, split, texts
from penstock.domain.workflow.model import Definition, EdgeType, Node
from penstock.domain.workflow.node_types import NODE_TYPES, NodeType
from penstock.domain.workflow.problems import Code, Problem
from penstock.domain.workflow.reads import WHILE
from penstock.domain.workflow.shape import Shape

CheckExpression = Callable[[str, Collection[str]], str | None]
"""What is wrong with an expression that may use these roots; None when it is well."""

UNKNOWN: Final = NodeType(name="", description="A type that does not exist")
IN_LOOPS: Final = frozenset({"item", "index"})


class Scope(Struct, frozen=True):
    """A drawing and what is drawn around it.

    at: the pointer to it: "" for the definition itself.
    outer: the scope of the loop whose body it is; None for the definition itself.
    owner: that loop's id.
    """

    shape: Shape
    at: str = ""
    outer: "Scope | None" = None
    owner: str = ""


class Reading(Struct, frozen=True):
    """Who reads: a node in its scope, or something that is read before or after all nodes.

    scope: None before any node has run.
    node_id: None after all nodes of the scope have settled.
    in_loop: whether there is an item.
    """

    scope: Scope | None
    node_id: str | None = None
    in_loop: bool = False


class Writing(Struct, frozen=True):
    """A text that is read: where it stands, what it is, and what may be in it.

    has_item: whether it has an item of its own, as a loop's `while` has.
    """

    at: str
    text: str
    is_expression: bool = False
    takes_secrets: bool = False
    has_item: bool = False


def node_reference_problems(
    scope: Scope, number: int, check_expression: CheckExpression
) -> Iterator[Problem]:
    """Everything that is wrong with what the node of this number reads, each once a text."""
    node = scope.shape.definition.nodes[number]
    reading = Reading(scope, node.id, in_loop=scope.outer is not None)
    for writing in writings(node, f"{scope.at}/nodes/{number}"):
        yield from writing_problems(reading, writing, check_expression)


def definition_reference_problems(
    scope: Scope, check_expression: CheckExpression
) -> Iterator[Problem]:
    """Everything that is wrong with what a definition's own templates read."""
    definition: Definition = scope.shape.definition
    if definition.concurrency is not None and definition.concurrency.key is not None:
        writing = Writing("/concurrency/key", definition.concurrency.key)
        yield from writing_problems(Reading(None), writing, check_expression)
    if definition.output is not UNSET:
        for pointer, text in texts(definition.output, "/output"):
            yield from writing_problems(Reading(scope), Writing(pointer, text), check_expression)


def edge_reference_problems(scope: Scope, check_expression: CheckExpression) -> Iterator[Problem]:
    """Everything that is wrong with the expressions of a scope's edges."""
    for number, edge in enumerate(scope.shape.definition.edges):
        if edge.condition.type is not EdgeType.EXPRESSION:
            continue
        at = f"{scope.at}/edges/{number}/condition/expression"
        try:
            source = as_expression(edge.condition.expression or "", EDGE_ROOTS)
        except TemplateError as error:
            yield Problem(at, Code.TEMPLATE_INVALID, str(error))
            continue
        message = check_expression(source, EDGE_NAMES)
        if message is not None:
            yield Problem(at, Code.EXPRESSION_INVALID, message)


def writing_problems(
    reading: Reading, writing: Writing, check_expression: CheckExpression
) -> Iterator[Problem]:
    """What is wrong with one text, up to the first part that cannot be read."""
    try:
        for source, paths in readings(writing):
            message = None if source is None else check_expression(source, ROOTS)
            if message is not None:
                yield Problem(writing.at, Code.EXPRESSION_INVALID, message)
            for path in dict.fromkeys(paths):
                yield from path_problems(reading, writing, path)
    except TemplateError as error:
        yield Problem(writing.at, Code.TEMPLATE_INVALID, str(error))
    except ExpressionError as error:
        yield Problem(writing.at, Code.EXPRESSION_INVALID, str(error))


def writings(node: Node, at: str) -> Iterator[Writing]:
    """The texts of a node that read something, but for a config that this release does not know.

    What a loop's body reads is the body's own affair.
    """
    if node.input is not UNSET:
        for pointer, text in texts(node.input, f"{at}/input"):
            yield Writing(pointer, text)
    kind = NODE_TYPES.get(node.type, UNKNOWN)
    if not kind.available:
        return
    for name, value in node.config.items():
        pointer = f"{at}/config/{escaped(name)}"
        if name in kind.kept_fields:
            if name == WHILE and isinstance(value, str):
                yield Writing(pointer, value, is_expression=True, has_item=True)
            continue
        if name in kind.expression_fields and isinstance(value, str):
            if node.config.get("language", "cel") == "cel":
                yield Writing(pointer, value, is_expression=True)
            continue
        for inner, text in texts(value, pointer):
            yield Writing(inner, text, takes_secrets=name in kind.secret_fields)


def readings(writing: Writing) -> Iterator[tuple[str | None, tuple[Path, ...]]]:
    """Each expression in a text, None for a plain path, with the paths that it reads.

    Raises TemplateError or ExpressionError at the first part that cannot be read.
    """
    if writing.is_expression:
        source = as_expression(writing.text)
        yield source, scan(source).paths
        return
    for hole in split(writing.text):
        if isinstance(hole, Hole):
            yield (hole.source if hole.path is None else None), hole.paths


def path_problems(reading: Reading, writing: Writing, path: Path) -> Iterator[Problem]:
    """Why a path cannot be read here, if it cannot."""
    if path.root == "secrets":
        if writing.takes_secrets:
            return
        message = "secrets can be read in headers, authentication and connections only"
        yield Problem(writing.at, Code.SECRET_NOT_ALLOWED_HERE, message)
    elif path.root in IN_LOOPS:
        if not (reading.in_loop or writing.has_item):
            message = f"{path.root} can be read inside a loop only"
            yield Problem(writing.at, Code.TEMPLATE_INVALID, message)
    elif path.root == "nodes":
        message_or_none = unreadable(reading, str(path.steps[0]))
        if message_or_none is not None:
            message = f"{path}: {message_or_none}"
            yield Problem(writing.at, Code.TEMPLATE_NOT_UPSTREAM, message)


def unreadable(reading: Reading, source: str) -> str | None:
    """Why a node cannot be read here; None when it can.

    Inside a body a name means the body's own node or else one around it, the innermost first;
    of those around it, one that leads to the loop.
    """
    if reading.scope is None:
        return "no node has run yet"
    scope: Scope | None = reading.scope
    node_id = reading.node_id
    while scope is not None:
        if source in scope.shape.numbers:
            is_known = node_id is None or node_id not in scope.shape.numbers
            if is_known or scope.shape.is_upstream(source, str(node_id)):
                return None
            return f"{source} does not lead to {node_id}"
        node_id = scope.owner
        scope = scope.outer
    return f"there is no node {source}"
