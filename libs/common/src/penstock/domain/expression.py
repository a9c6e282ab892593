"""What can be known of an expression without evaluating it: its names, its cost, its CEL text.

Penstock's expressions are CEL with five liberties, which are taken back here, token by token:
`===` and `!==` are `==` and `!=`; every number literal is a double; a node's id stands literally
after `nodes.`, dashes included; a name that is no root means a member of `input`. `default(path,
value)` becomes a choice. No grammar is parsed: CEL's compiler has the last word.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from msgspec import Struct

from penstock.domain.errors import Invalid

EXPRESSION_BYTES_MAX: Final = 4096
"""A longer expression is a program; programs belong into a step of their own."""

SCANNED_MAX: Final = 1024
"""Expressions whose reading is kept: one is read for its names, then for its checks, then again."""

COPIES_MAX: Final = 256
"""How often a macro's variables may be repeated, multiplied over all macros.

`["a"].map(x, x + x).map(x, x + x)…` doubles with every macro: without this bound, an expression
of 4 KiB makes a value that fills any memory.
"""

ROOTS: Final = frozenset({"input", "run", "nodes", "secrets", "vars", "item", "index"})
EDGE_NAMES: Final = frozenset({"input", "output", "error"})
"""What the expression of an edge may read: all of its source, which is known when it is asked."""

EDGE_ROOTS: Final = ROOTS | EDGE_NAMES
"""What is a root in the expression of an edge, so that one it may not read is told from a member
of its input."""

RUN_FIELDS: Final = frozenset({"id", "input", "startedAt"})
NODE_FIELDS: Final = frozenset({"output", "error"})

MACROS: Final = frozenset({"all", "exists", "exists_one", "filter", "map"})
NAMESPACES: Final = frozenset({"math"})
WORDS: Final = frozenset(
    {"true", "false", "null", "in"}
    | {"bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "uint"}
)

FUNCTIONS: Final = {"string": "text"}
"""Functions of CEL that do not suit JSON: `string(1e6)` would be "1e+06"."""

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LITERAL_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
OPENERS: Final = frozenset({"(", "[", "[?", "{"})
CLOSERS: Final = frozenset({")", "]", "}"})
NODE_ID: Final = re.compile(r"\s*\.\s*([A-Za-z0-9_-]{1,64})")
TOKEN: Final = re.compile(
    r"""
    (?P<string>
        [bB]?[rR](?:\"\"\".*?\"\"\"|'''.*?'''|"[^"\n]*"|'[^'\n]*')
      | [bB]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
               |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?)[uU]?
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<space>\s+|//[^\n]*)
  | (?P<mark>===|!==|==|!=|<=|>=|&&|\|\||\.\?|\[\?|.)
    """,
    re.VERBOSE | re.DOTALL,
)
"""Strings before names, for `r"…"` is one string; any other character is a mark of its own."""


class ExpressionError(Invalid):
    """The expression cannot be read or evaluated."""

    code = "EXPRESSION_INVALID"


class Path(Struct, frozen=True, gc=False):
    """A way into the scope: a root, then member names and list positions."""

    root: str
    steps: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        """The path as a template writes it: `nodes.fetch.output.items[0]`."""
        return self.root + "".join(map(step_text, self.steps))

    def cel(self) -> str:
        """The path in CEL."""
        return self.root + "".join(map(step_cel, self.steps))

    def cel_exists(self) -> str:
        """In CEL, whether the path exists; an error where it selects from what has no members."""
        made, conditions = self.root, ["true"]
        for step in self.steps:
            conditions.append(member_cel(made, step))
            made += step_cel(step)
        return " && ".join(conditions)


class Scan(Struct, frozen=True, gc=False):
    """What is known of an expression.

    cel: its text for CEL, which names roots and, for each of `defaults`, a `default_name`.
    paths: every path that it reads, each once, in the order of reading.
    defaults: the paths of `default(path, value)`; whether they exist is bound as a boolean.
    copies: how often it may repeat what is bound, in the value that it makes.
    """

    cel: str
    paths: tuple[Path, ...]
    defaults: tuple[Path, ...]
    copies: int

    @property
    def roots(self) -> frozenset[str]:
        """The names to bind when it is evaluated."""
        return frozenset(path.root for path in self.paths)


class Token(Struct, frozen=True, gc=False):
    """One piece of an expression; `kind` is a group of TOKEN, or `id` for a literal node id."""

    kind: str
    text: str


class Frame(Struct):
    """An open bracket: a macro's variable, how often it is named, what is written at its end."""

    variable: str | None = None
    named: int = 0
    closer: str = ""


END: Final = Token("end", "")
FAR: Final = 4
"""How many tokens past the last one may be looked at: one more than are looked ahead."""


@lru_cache(maxsize=SCANNED_MAX)
def scan(text: str, roots: frozenset[str] = ROOTS) -> Scan:
    """Reads an expression's names and writes its CEL. Raises ExpressionError, naming the fault.

    roots: the names that do not mean a member of `input`.
    """
    if len(text.encode()) > EXPRESSION_BYTES_MAX:
        raise ExpressionError(f"an expression has at most {EXPRESSION_BYTES_MAX} bytes")
    scanner = Scanner(list(tokens(text)), roots)
    while scanner.at < scanner.end:
        scanner.step()
    if scanner.copies > COPIES_MAX:
        raise ExpressionError(
            f"its macros may repeat a value {scanner.copies} times, more than {COPIES_MAX}"
        )
    if not scanner.cel:
        raise ExpressionError("an expression is missing")
    return Scan(
        cel=" ".join(scanner.cel),
        paths=tuple(dict.fromkeys(scanner.paths)),
        defaults=tuple(scanner.defaults),
        copies=scanner.copies * max(1, len(scanner.paths)),
    )


def default_name(number: int) -> str:
    """The variable that tells whether the path of the expression's n-th `default` exists."""
    return f"has_{number}_"


def tokens(text: str) -> Iterator[Token]:
    """The significant pieces of `text`; what follows `nodes.` is one piece, whatever its dashes."""
    at, selected = 0, False
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match is not None, "every character is a token"
        at = match.end()
        kind = match.lastgroup or "mark"
        if kind == "space":
            continue
        yield Token(kind, match[kind])
        node = NODE_ID.match(text, at) if match[0] == "nodes" and not selected else None
        if node is not None:
            at = node.end()
            yield Token("id", node[1])
        selected = match[0] in {".", ".?"}


class Scanner:
    """Walks over the tokens once, writing CEL and collecting paths."""

    def __init__(self, tokens: list[Token], roots: frozenset[str]) -> None:
        # Indices before the first token are those of the last, so this is END past either end.
        self.tokens = [*tokens, *(END,) * FAR]
        self.end = len(tokens)
        self.roots = roots
        self.at = 0
        self.cel: list[str] = []
        self.paths: list[Path] = []
        self.defaults: list[Path] = []
        self.frames: list[Frame] = []
        self.copies = 1

    def peek(self, ahead: int = 0) -> Token:
        """The token `ahead` of the next one, by at most three; END past either end."""
        return self.tokens[self.at + ahead]

    def step(self) -> None:
        """Takes the next token, or a whole path."""
        token = self.peek()
        if token.kind == "name" and self.peek(-1).text not in {".", ".?"}:
            self.name(token.text)
            return
        self.at += 1
        match token.kind:
            case "number":
                self.cel.append(as_double(token.text))
            case "mark":
                self.mark(token.text)
            case _:
                self.cel.append(token.text)

    def mark(self, text: str) -> None:
        """Writes an operator or bracket, and keeps the account of open brackets."""
        self.cel.append({"===": "==", "!==": "!="}.get(text, text))
        if text in OPENERS:
            self.frames.append(Frame(self.macro_variable() if text == "(" else None))
        elif text in CLOSERS and self.frames:
            frame = self.frames.pop()
            self.copies *= max(1, frame.named - 1)
            self.cel += [frame.closer] if frame.closer else []

    def macro_variable(self) -> str | None:
        """What the bracket just passed binds: `x` in `.map(x, …)`, else nothing."""
        is_macro = self.peek(-2).text in MACROS and self.peek(-3).text in {".", ".?"}
        binds = self.peek().kind == "name" and self.peek(1).text == ","
        return self.peek().text if is_macro and binds else None

    def name(self, name: str) -> None:
        """Writes a name that nothing selects: a word of CEL, a function, a variable or a path."""
        is_call = self.peek(1).text == "("
        if is_call and name == "default":
            self.default()
        elif is_call or name in WORDS or self.is_namespace(name):
            self.at += 1
            self.cel.append(FUNCTIONS.get(name, name) if is_call else name)
        else:
            self.path()

    def is_namespace(self, name: str) -> bool:
        """Whether this is `math` in `math.floor(…)`."""
        return name in NAMESPACES and self.peek(1).text == "." and self.peek(3).text == "("

    def bound(self, name: str) -> Frame | None:
        """The macro whose variable this name is, the innermost first."""
        return next((frame for frame in reversed(self.frames) if frame.variable == name), None)

    def path(self) -> None:
        """Writes a name and what is selected from it, and keeps it unless a macro bound it."""
        frame, path = self.take_path()
        self.cel.append(path.cel())
        if frame is None:
            self.paths.append(checked(path))

    def take_path(self) -> tuple[Frame | None, Path]:
        """Takes a name and what is selected from it, with the macro that bound it, if one did."""
        name = self.peek().text
        self.at += 1
        frame = self.bound(name)
        if frame is not None:
            frame.named += 1
        is_member = frame is None and name not in self.roots
        steps: list[str | int] = [name] if is_member else []
        while (step := self.path_step()) is not None:
            steps.append(step)
        return frame, Path("input" if is_member else name, tuple(steps))

    def path_step(self) -> str | int | None:
        """Takes `.name`, `["name"]` or `[0]` when it comes next and is not a method's call."""
        first, second, third = self.peek(), self.peek(1), self.peek(2)
        if first.kind == "id":
            self.at += 1
            return first.text
        if first.text == "." and second.kind == "name" and third.text != "(":
            self.at += 2
            return second.text
        if first.text == "[" and third.text == "]":
            step = literal_step(second)
            self.at += 0 if step is None else 3
            return step
        return None

    def default(self) -> None:
        """`default(path, value)`: the path where it exists, else the value.

        Whether a path into the scope exists is found by walking it before the evaluation;
        of one from a macro's variable CEL is asked, which fails on what is no object.
        """
        self.at += 2
        first = self.peek()
        if first.kind != "name" or first.text in WORDS or self.peek(1).text == "(":
            raise ExpressionError("default(path, value) needs a path first")
        frame, path = self.take_path()
        if self.peek().text != ",":
            raise ExpressionError("default(path, value) needs a path, then a value")
        self.at += 1
        self.frames.append(Frame(closer=")"))
        if frame is None:
            exists = default_name(len(self.defaults))
            self.paths.append(checked(path))
            self.defaults.append(path)
        else:
            exists = path.cel_exists()
        self.cel.append(f"( {exists} ? {path.cel()} : (")


def as_double(number: str) -> str:
    """A number literal as a literal of CEL's double."""
    return repr(float(int(number, 16)) if number[:2] in {"0x", "0X"} else float(number))


def literal_step(token: Token) -> str | int | None:
    """The member or position that a literal in brackets names; None when it is none."""
    if token.kind == "number" and token.text.isdigit():
        return int(token.text)
    if token.kind == "string" and token.text[0] in {'"', "'"} and "\\" not in token.text:
        return token.text.strip(token.text[0])
    return None


def step_cel(step: str | int) -> str:
    """One selection in CEL; names are indexed where CEL would not take them after a dot."""
    if isinstance(step, str) and NAME.fullmatch(step):
        return f".{step}"
    return f"[{json.dumps(step)}]"


def member_cel(value: str, step: str | int) -> str:
    """In CEL, whether `value` has this member or position."""
    if isinstance(step, int):
        return f"size({value}) > {step}.0"
    return f"has({value}.{step})" if NAME.fullmatch(step) else f"{json.dumps(step)} in {value}"


def step_text(step: str | int) -> str:
    """One step of a path as a template writes it."""
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if LITERAL_NAME.fullmatch(step) else f"[{json.dumps(step)}]"


def checked(path: Path) -> Path:
    """`path`, when its root has such members. Raises ExpressionError with what it should be."""
    first = path.steps[0] if path.steps else None
    if path.root == "nodes":
        if not isinstance(first, str) or len(path.steps) < 2 or path.steps[1] not in NODE_FIELDS:
            raise ExpressionError(
                f"{path}: a node is read as nodes.<id>.output or nodes.<id>.error"
            )
    elif path.root == "run" and first is not None and first not in RUN_FIELDS:
        raise ExpressionError(f"{path}: a run has id, input and startedAt")
    elif path.root in {"secrets", "vars"} and not isinstance(first, str):
        raise ExpressionError(f"{path}: these are read by name, as {path.root}.<name>")
    return path
