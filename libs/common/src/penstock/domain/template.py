"""Templates: `{{ … }}` in the strings of JSON-able values: split, read for names, rendered.

A template that is only a path is walked here and keeps its value's type exactly. Any other is an
expression, and evaluating one is handed in as a function: the domain knows no expression engine.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from penstock.domain.errors import Invalid
from penstock.domain.expression import ROOTS, ExpressionError, Path, checked, scan, tokens

DEPTH_MAX: Final = 64
"""Nesting of lists and objects in a value with templates; as for every JSON that is taken."""

Scope = Mapping[str, Any]
"""What the roots stand for: `{"input": …, "run": {…}, "nodes": {id: {"output" or "error": …}}}`."""

Evaluate = Callable[[str, Scope], Any]
"""Evaluates an expression's text in a scope; raises ExpressionError."""

OPEN: Final = "{{"
PATH: Final = re.compile(
    r"""[A-Za-z_][A-Za-z0-9_-]*
    (?:\.[A-Za-z0-9_-]+ | \[\d{1,9}\] | \["[^"\\\n]*"\] | \['[^'\\\n]*'\])*""",
    re.VERBOSE,
)
STEP: Final = re.compile(r"""\.?([A-Za-z0-9_-]+)|\[(\d+)\]|\["([^"]*)"\]|\['([^']*)'\]""")
WITHIN: Final = re.compile(r"""\}\}|[{}]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""", re.DOTALL)
"""What matters inside a template: its end, braces of its own, and strings that may hold braces."""

PATH_MISSING: Final = "PATH_MISSING"
"""The code of an error that names a path which is not there; a step that fails of it is final."""

READ_MAX: Final = 4096
"""Templates whose reading is kept: each is read for its names, for its checks, and when it runs."""

READ_CHARACTERS_MAX: Final = 256
"""The longest one that is kept, so that all of them are a few MB."""

LITERALS: Final = frozenset({"true", "false", "null"})


class TemplateError(Invalid):
    """A template cannot be read, or what it names is not there; `path` is the missing one."""

    code = "TEMPLATE_INVALID"

    def __init__(self, message: str, *, code: str | None = None, path: str | None = None) -> None:
        super().__init__(message, code=code)
        self.path = path


class Hole(Struct, frozen=True, gc=False):
    """One template in a text: its source, and the path that it is, when it is only a path."""

    source: str
    path: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every path that the template reads. Raises ExpressionError where it is no expression."""
        return (self.path,) if self.path is not None else scan(self.source).paths


Part = str | Hole


def split(text: str, roots: frozenset[str] = ROOTS) -> tuple[Part, ...]:
    """The literal pieces and templates of a text, in order, without empty pieces.

    roots: the names that do not mean a member of `input`.
    Raises TemplateError for a template without an end or without content.
    """
    parts: list[Part] = []
    at = 0
    while (start := text.find(OPEN, at)) >= 0:
        end = template_end(text, start + len(OPEN))
        parts += [text[at:start], hole(text[start + len(OPEN) : end], roots)]
        at = end + 2
    return tuple(part for part in (*parts, text[at:]) if part != "")


def template_end(text: str, start: int) -> int:
    """Where the `}}` of the template whose content begins at `start` stands."""
    depth, at = 0, start
    while (match := WITHIN.search(text, at)) is not None:
        at = match.end()
        mark = match[0]
        if mark == "{":
            depth += 1
        elif mark in {"}", "}}"} and depth > 0:
            depth -= 1
            at = match.start() + 1
        elif mark == "}}":
            return match.start()
    raise TemplateError(f"a template without its end: {text[start - 2 : start + 40]}")


def hole(content: str, roots: frozenset[str] = ROOTS) -> Hole:
    """The template with this content between its braces."""
    return (short_hole if len(content) <= READ_CHARACTERS_MAX else read_hole)(content, roots)


def read_hole(content: str, roots: frozenset[str]) -> Hole:
    """The template with this content, read anew. Raises TemplateError for an empty one."""
    source = content.strip()
    if not source:
        raise TemplateError("a template is empty")
    return Hole(source, plain_path(source, roots))


short_hole: Final = lru_cache(maxsize=READ_MAX)(read_hole)


def plain_path(source: str, roots: frozenset[str] = ROOTS) -> Path | None:
    """The path that `source` is; None when it is more than a path, or a literal.

    A dash inside a name belongs to the name: `input.a-1` is a member, `input.a - 1` a difference.
    """
    if source in LITERALS or not PATH.fullmatch(source):
        return None
    steps = [int(m[2]) if m[2] else m[1] or m[3] or m[4] or "" for m in STEP.finditer(source)]
    root = str(steps[0])
    try:
        return checked(Path(root, tuple(steps[1:])) if root in roots else Path("input", (*steps,)))
    except ExpressionError as error:
        raise TemplateError(str(error)) from None


def holes(value: object) -> Iterator[Hole]:
    """Every template in the strings of `value`, at any depth; keys are not templates."""
    for _, text in texts(value):
        yield from (part for part in split(text) if isinstance(part, Hole))


def texts(value: object, at: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every string in `value` that may hold a template, with its JSON pointer below `at`."""
    if isinstance(value, str):
        if OPEN in value:
            yield at, value
    elif isinstance(value, dict | list):
        if depth == DEPTH_MAX:
            raise TemplateError(f"values nest at most {DEPTH_MAX} deep")
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from texts(inner, f"{at}/{escaped(str(key))}", depth + 1)


def escaped(name: str) -> str:
    """A member's name as a token of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def render(value: Any, scope: Scope, evaluate: Evaluate) -> Any:
    """`value` with every template replaced by what it stands for in `scope`.

    Raises TemplateError for a path that does not exist; what `evaluate` raises passes through.
    """
    if isinstance(value, str):
        return render_text(value, scope, evaluate) if OPEN in value else value
    if isinstance(value, dict):
        return {key: render(inner, scope, evaluate) for key, inner in value.items()}
    if isinstance(value, list):
        return [render(inner, scope, evaluate) for inner in value]
    return value


def render_text(text: str, scope: Scope, evaluate: Evaluate) -> Any:
    """A text's value: with its type when it is exactly one template, else put together as text."""
    parts = split(text)
    if len(parts) == 1 and isinstance(parts[0], Hole):
        return fill(parts[0], scope, evaluate)
    return "".join(
        part if isinstance(part, str) else as_text(fill(part, scope, evaluate)) for part in parts
    )


def fill(template: Hole, scope: Scope, evaluate: Evaluate) -> Any:
    """What one template stands for."""
    if template.path is not None:
        return walk(template.path, scope)
    return evaluate(template.source, scope)


def walk(path: Path, scope: Scope) -> Any:
    """The value at `path`. Raises TemplateError naming the path up to the step that fails."""
    value: Any = scope
    for depth, step in enumerate((path.root, *path.steps)):
        if not holds(value, step):
            missing = str(Path(path.root, path.steps[:depth]))
            within = "" if missing == str(path) else f", so {path} does not either"
            raise TemplateError(
                f"{missing} does not exist{within}", code=PATH_MISSING, path=str(path)
            )
        value = value[step]
    return value


def holds(value: object, step: str | int) -> bool:
    """Whether `value` is an object with this member or a list with this position."""
    if isinstance(step, int):
        return isinstance(value, list) and step < len(value)
    return isinstance(value, Mapping) and step in value


def as_text(value: object) -> str:
    """A value inside a longer text: strings as they are, all else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def as_expression(text: str, roots: frozenset[str] = ROOTS) -> str:
    """The expression that a field for expressions holds, written bare or with templates in it.

    A template becomes a term in brackets: `{{ input.total }} > 1000` is `(input.total) > 1000`.
    Values are never put into the text, so what a run brings cannot become part of an expression.
    Raises TemplateError for a template inside a quoted string.
    """
    parts = split(text, roots)
    written = ""
    for part in parts:
        if isinstance(part, str):
            written += part
            continue
        if any(token.text in {'"', "'"} for token in tokens(written)):
            raise TemplateError(f"{part.source} stands inside quotes; take the quotes away")
        written += f"({part.source if part.path is None else part.path.cel()})"
    return written
