"""What templates and expressions of a node may read, and whether they can be read at all."""

from collections.abc import Callable, Collection, Iterator
from typing import Final

from msgspec import UNSET, Struct

from penstock.domain.expression import ROOTS, ExpressionError, Path, scan
from penstock.domain.template import Hole, TemplateError, as_expression, escaped, split, texts
from penstock.domain.workflow.model import Node
from penstock.domain.workflow.node_types import NODE_TYPES, NodeType
from penstock.domain.workflow.problems import Code, Problem, not_yet
from penstock.domain.workflow.shape import Shape

CheckExpression = Callable[[str, Collection[str]], str | None]
"""What is wrong with an expression that may use these roots; None when it is well."""

UNKNOWN: Final = NodeType(name="", description="A type that does not exist")
IN_LOOPS: Final = frozenset({"item", "index"})


class Writing(Struct, frozen=True):
    """A text that is read: where it stands, what it is, and whether secrets may be in it."""

    at: str
    text: str
    is_expression: bool = False
    takes_secrets: bool = False


def reference_problems(
    shape: Shape, number: int, check_expression: CheckExpression
) -> Iterator[Problem]:
    """Everything that is wrong with what the node of this number reads, each once a text."""
    node = shape.definition.nodes[number]
    for writing in writings(node, f"/nodes/{number}"):
        try:
            yield from writing_problems(shape, node, writing, check_expression)
        except TemplateError as error:
            yield Problem(writing.at, Code.TEMPLATE_INVALID, str(error))
        except ExpressionError as error:
            yield Problem(writing.at, Code.EXPRESSION_INVALID, str(error))


def writing_problems(
    shape: Shape, node: Node, writing: Writing, check_expression: CheckExpression
) -> Iterator[Problem]:
    """What is wrong with one text.

    Raises TemplateError or ExpressionError at the first part that cannot be read.
    """
    for source, paths in readings(writing):
        message = None if source is None else check_expression(source, ROOTS)
        if message is not None:
            yield Problem(writing.at, Code.EXPRESSION_INVALID, message)
        for path in dict.fromkeys(paths):
            yield from path_problems(shape, node, writing, path)


def writings(node: Node, at: str) -> Iterator[Writing]:
    """The texts of a node that read something, but for a config that this release does not know."""
    if node.input is not UNSET:
        for pointer, text in texts(node.input, f"{at}/input"):
            yield Writing(pointer, text)
    kind = NODE_TYPES.get(node.type, UNKNOWN)
    if not kind.available:
        return
    for name, value in node.config.items():
        pointer = f"{at}/config/{escaped(name)}"
        if name in kind.expression_fields and isinstance(value, str):
            if node.config.get("language", "cel") == "cel":
                yield Writing(pointer, value, is_expression=True)
            continue
        for inner, text in texts(value, pointer):
            yield Writing(inner, text, takes_secrets=name in kind.secret_fields)


def readings(writing: Writing) -> Iterator[tuple[str | None, tuple[Path, ...]]]:
    """Each expression in a text, None for a plain path, with the paths that it reads."""
    if writing.is_expression:
        source = as_expression(writing.text)
        yield source, scan(source).paths
        return
    for hole in split(writing.text):
        if isinstance(hole, Hole):
            yield (hole.source if hole.path is None else None), hole.paths


def path_problems(shape: Shape, node: Node, writing: Writing, path: Path) -> Iterator[Problem]:
    """Why a path cannot be read here, if it cannot."""
    if path.root == "secrets" and not writing.takes_secrets:
        message = "secrets can be read in headers, authentication and connections only"
        yield Problem(writing.at, Code.SECRET_NOT_ALLOWED_HERE, message)
    elif path.root in {"secrets", "vars"}:
        yield Problem(writing.at, Code.NOT_SUPPORTED, not_yet(path.root))
    elif path.root in IN_LOOPS:
        message = f"{path.root} can be read inside a loop only"
        yield Problem(writing.at, Code.TEMPLATE_INVALID, message)
    elif path.root == "nodes":
        source = str(path.steps[0])
        if source not in shape.numbers:
            message = f"{path}: there is no node {source}"
            yield Problem(writing.at, Code.TEMPLATE_NOT_UPSTREAM, message)
        elif node.id in shape.numbers and not shape.is_upstream(source, node.id):
            message = f"{path}: {source} does not lead to {node.id}"
            yield Problem(writing.at, Code.TEMPLATE_NOT_UPSTREAM, message)
