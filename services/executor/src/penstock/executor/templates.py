"""Templates prepared once per node, so that an attempt only fills them in.

`prepared` splits every string of a config or input ahead of time; what holds no template is handed
out as it is. The meaning is `penstock.domain.template`'s.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from msgspec import Struct

from penstock.domain.errors import Refused
from penstock.domain.expression import ExpressionError, Path, scan
from penstock.domain.template import (
    OPEN,
    PATH_MISSING,
    Evaluate,
    Hole,
    Scope,
    TemplateError,
    as_expression,
    as_text,
    fill,
    split,
)
from penstock.executor.outcome import StepFault

SECRETS = "secrets"

Fill = Callable[[Scope], Any]


class Prepared(Struct, frozen=True):
    """A value with templates.

    roots: the names it reads; nodes: whose outputs or errors it reads; secrets: which of them.
    fill: its value in a scope; None where it holds no template and is `constant`.
    """

    constant: Any
    roots: frozenset[str]
    nodes: frozenset[str]
    fill: Fill | None
    secrets: frozenset[str] = frozenset()

    @classmethod
    def of_paths(cls, constant: Any, paths: Iterable[Path], fill: Fill | None) -> "Prepared":
        """A value that reads these paths."""
        read = tuple(paths)
        nodes = {str(path.steps[0]) for path in read if path.root == "nodes" and path.steps}
        return cls(
            constant=constant,
            roots=frozenset(path.root for path in read),
            nodes=frozenset(nodes),
            fill=fill,
            secrets=frozenset(str(path.steps[0]) for path in read if path.root == SECRETS),
        )

    def value(self, scope: Scope) -> Any:
        """The value with every template replaced. Callers must not change it.

        Raises StepFault, final: TEMPLATE_ERROR for a path that is not there, EXPRESSION_ERROR.
        """
        if self.fill is None:
            return self.constant
        try:
            return self.fill(scope)
        except TemplateError as error:
            raise StepFault("TEMPLATE_ERROR", str(error)) from error
        except ExpressionError as error:
            code = "TEMPLATE_ERROR" if error.code == PATH_MISSING else "EXPRESSION_ERROR"
            raise StepFault(code, str(error)) from error


def prepared(
    value: Any,
    evaluate: Evaluate,
    *,
    expressions: Collection[str] = (),
    kept: Collection[str] = (),
) -> Prepared:
    """`value` ready to be filled in.

    expressions: members of it that are expressions as they stand. kept: members that are left as
    they are. Raises StepFault, final, where a template or an expression cannot be read.
    """
    paths: list[Path] = []
    changing = {k: v for k, v in value.items() if k not in kept} if kept else value
    try:
        made = _fill(changing, evaluate, paths, expressions)
    except ExpressionError as error:
        raise StepFault("EXPRESSION_ERROR", str(error)) from error
    except Refused as error:
        raise StepFault("TEMPLATE_ERROR", str(error)) from error
    if made is not None and changing is not value:
        members, filled = value, made
        return Prepared.of_paths(value, paths, lambda scope: members | filled(scope))
    return Prepared.of_paths(value, paths, made)


def _fill(
    value: Any, evaluate: Evaluate, paths: list[Path], expressions: Collection[str] = ()
) -> Fill | None:
    """What makes `value` in a scope; None where it holds no template."""
    if isinstance(value, str):
        return _text(value, evaluate, paths) if OPEN in value else None
    if isinstance(value, dict):
        return _members(value, evaluate, paths, expressions)
    if isinstance(value, list):
        items = [_fill(item, evaluate, paths) for item in value]
        if any(items):
            pairs = list(zip(value, items, strict=True))
            return lambda scope: [old if new is None else new(scope) for old, new in pairs]
    return None


def _members(
    value: dict[str, Any], evaluate: Evaluate, paths: list[Path], expressions: Collection[str]
) -> Fill | None:
    changing: dict[str, Fill] = {}
    for key, inner in value.items():
        if key in expressions and isinstance(inner, str):
            changing[key] = _expression(as_expression(inner), evaluate, paths)
        elif (made := _fill(inner, evaluate, paths)) is not None:
            changing[key] = made
    if not changing:
        return None
    return lambda scope: value | {key: made(scope) for key, made in changing.items()}


def _expression(text: str, evaluate: Evaluate, paths: list[Path]) -> Fill:
    paths.extend(scan(text).paths)
    return lambda scope: evaluate(text, scope)


def _text(text: str, evaluate: Evaluate, paths: list[Path]) -> Fill:
    parts = split(text)
    paths.extend(path for part in parts if isinstance(part, Hole) for path in part.paths)
    if len(parts) == 1 and isinstance(parts[0], Hole):
        only = parts[0]
        return lambda scope: fill(only, scope, evaluate)
    return lambda scope: "".join(
        part if isinstance(part, str) else as_text(fill(part, scope, evaluate)) for part in parts
    )
