"""What a node has to be told before it can run: the names that its templates read.

Work carries exactly these, so that a step deep in a large run costs what it uses.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import UNSET, Struct

from penstock.domain.expression import Path, scan
from penstock.domain.template import as_expression, holes
from penstock.domain.workflow.model import Node
from penstock.domain.workflow.node_types import NODE_TYPES, passes_input

WHILE: Final = "while"
"""The member of a loop's config that is evaluated before each iteration, not with the others."""


class Reads(Struct, frozen=True):
    """What a node, an output template or a loop's `while` reads.

    input: what the input rule gives it is needed: for its config, for its `input` template, for
        what it does, for the edges that leave it, or to be told when it fails.
    run_input: the run's input is needed: it is named, or it is what the rule gives this node.
    nodes: the nodes whose output or error is named, each once, in the order of reading; see
        `Graph.named` for the step that a name means.
    item: the loop's item is needed: it is named, or it is what the rule gives this node.
    vars: the tenant's variables that are named, each once.
    """

    input: bool = False
    run_input: bool = False
    nodes: tuple[str, ...] = ()
    item: bool = False
    vars: tuple[str, ...] = ()


NOTHING = Reads()


def node_reads(node: Node, *, is_root: bool, in_body: bool, tells_input: bool) -> Reads:
    """What `node` reads.

    is_root: no edge leads to it, so its input is the item in a loop's body, else the run's input.
    tells_input: an edge that leaves it passes its input on should it fail, or reads it.
    Raises TemplateError or ExpressionError where the definition was never validated.
    """
    given = tuple(template_paths(node.input)) if node.input is not UNSET else ()
    config = tuple(config_paths(node))
    condition = while_paths(node)
    is_input_used = tells_input or passes_input(node) or names_input((*config, *condition))
    needs_rule = names_input(given) if node.input is not UNSET else is_input_used
    # What a `while` calls item and index is its own loop's, which nobody has to tell it.
    outer = tuple(path for path in condition if path.root not in {"item", "index"})
    named = named_reads((*given, *config, *outer))
    return Reads(
        input=needs_rule,
        run_input=(needs_rule and is_root and not in_body) or named.run_input,
        nodes=named.nodes,
        item=(needs_rule and is_root and in_body) or named.item,
        vars=named.vars,
    )


def output_reads(output: object) -> Reads:
    """What a workflow's output template reads; its `input` is the run's."""
    named = named_reads(tuple(template_paths(output)))
    return Reads(
        input=named.input,
        run_input=named.input or named.run_input,
        nodes=named.nodes,
        vars=named.vars,
    )


def while_reads(node: Node) -> Reads | None:
    """What a loop's `while` reads, its `item` being the last iteration's output; None for none."""
    return named_reads(tuple(while_paths(node))) if is_while(node) else None


def named_reads(paths: tuple[Path, ...]) -> Reads:
    """What is named by these paths, without what any rule adds."""
    return Reads(
        input=names_input(paths),
        run_input=any(map(is_run_input, paths)),
        nodes=members(paths, "nodes"),
        item=any(path.root == "item" for path in paths),
        vars=members(paths, "vars"),
    )


def members(paths: tuple[Path, ...], root: str) -> tuple[str, ...]:
    """The members of a root that are named, each once, in the order of reading."""
    return tuple(dict.fromkeys(str(p.steps[0]) for p in paths if p.root == root))


def template_paths(value: object) -> Iterator[Path]:
    """Every path that the templates in `value` read."""
    for hole in holes(value):
        yield from hole.paths


def config_paths(node: Node) -> Iterator[Path]:
    """Every path that a node's config reads, in templates and in fields that are expressions.

    A loop's body and its `while` are left out: they are read when their turn comes.
    """
    kind = NODE_TYPES.get(node.type)
    expressions = () if kind is None else kind.expression_fields
    kept = () if kind is None else kind.kept_fields
    for name, value in node.config.items():
        if name in kept:
            continue
        if name in expressions and isinstance(value, str):
            yield from scan(as_expression(value)).paths
        else:
            yield from template_paths(value)


def while_paths(node: Node) -> tuple[Path, ...]:
    """Every path that a loop's `while` reads; none where there is none."""
    return scan(as_expression(node.config[WHILE])).paths if is_while(node) else ()


def is_while(node: Node) -> bool:
    """Whether the node is a loop that goes on as long as an expression holds."""
    return node.type == "loop" and isinstance(node.config.get(WHILE), str)


def names_input(paths: Iterable[Path]) -> bool:
    """Whether the node's own input is among the paths."""
    return any(path.root == "input" for path in paths)


def is_run_input(path: Path) -> bool:
    """Whether a path is, or holds, the run's input."""
    return path.root == "run" and (not path.steps or path.steps[0] == "input")
