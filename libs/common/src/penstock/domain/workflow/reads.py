"""What a node has to be told before it can run: the names that its templates read.

Work carries exactly these, so that a step deep in a large run costs what it uses.
"""

from collections.abc import Iterator

from msgspec import UNSET, Struct

from penstock.domain.expression import Path, scan
from penstock.domain.template import as_expression, holes
from penstock.domain.workflow.model import Node
from penstock.domain.workflow.node_types import NODE_TYPES, passes_input


class Reads(Struct, frozen=True):
    """What a node reads.

    input: what the input rule gives it is needed: for its config, for its `input` template, for
        what it does, or to be told when it fails.
    run_input: the run's input is needed: it is named, or it is what the rule gives this node.
    nodes: the nodes whose output or error is named, each once, in the order of reading.
    """

    input: bool = False
    run_input: bool = False
    nodes: tuple[str, ...] = ()


NOTHING = Reads()


def node_reads(node: Node, *, is_root: bool, tells_failure: bool) -> Reads:
    """What `node` reads.

    is_root: no edge leads to it, so the run's input is its input.
    tells_failure: an edge passes its input on should it fail.
    Raises TemplateError or ExpressionError where the definition was never validated.
    """
    given = tuple(template_paths(node.input)) if node.input is not UNSET else ()
    config = tuple(config_paths(node))
    is_input_used = tells_failure or passes_input(node) or names_input(config)
    needs_rule = names_input(given) if node.input is not UNSET else is_input_used
    paths = (*given, *config)
    return Reads(
        input=needs_rule,
        run_input=(needs_rule and is_root) or any(map(is_run_input, paths)),
        nodes=tuple(dict.fromkeys(str(p.steps[0]) for p in paths if p.root == "nodes")),
    )


def template_paths(value: object) -> Iterator[Path]:
    """Every path that the templates in `value` read."""
    for hole in holes(value):
        yield from hole.paths


def config_paths(node: Node) -> Iterator[Path]:
    """Every path that a node's config reads, in templates and in fields that are expressions."""
    kind = NODE_TYPES.get(node.type)
    expressions = () if kind is None else kind.expression_fields
    for name, value in node.config.items():
        if name in expressions and isinstance(value, str):
            yield from scan(as_expression(value)).paths
        else:
            yield from template_paths(value)


def names_input(paths: tuple[Path, ...]) -> bool:
    """Whether the node's own input is among the paths."""
    return any(path.root == "input" for path in paths)


def is_run_input(path: Path) -> bool:
    """Whether a path is, or holds, the run's input."""
    return path.root == "run" and (not path.steps or path.steps[0] == "input")
