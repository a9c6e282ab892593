"""What can be known of an expression without evaluating it: its names, its cost, its CEL text.

Penstock's expressions are CEL with four liberties, which are taken back here, token by token:
`===` and `!==` are `==` and `!=`; every number literal is a double; a node's id stands literally
after `nodes.`, dashes included; a name that is no root means a member of `input`. `default(path,
value)` becomes CEL's optional selection. No grammar is parsed: CEL's compiler has the last word.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from penstock.domain.errors import Invalid

EXPRESSION_BYTES_MAX: Final = 4096
"""A longer expression is a program; programs belong into a step of their own."""

COPIES_MAX: Final = 4096
"""How often a macro's variables may be repeated, multiplied over all macros.

`["a"].map(x, x + x).map(x, x + x)…` doubles with every macro: without this bound, an expression
of 4 KiB makes a value that fills any memory.
"""

ROOTS: Final = frozenset({"input", "run", "nodes", "secrets", "vars", "item", "index"})
RUN_FIELDS: Final = frozenset({"id", "input", "startedAt"})
NODE_FIELDS: Final = frozenset({"output", "error"})

MACROS: Final = frozenset({"all", "exists", "exists_one", "filter", "map"})
NAMESPACES: Final = frozenset({"math", "optional"})
WORDS: Final = frozenset(
    {"true", "false", "null", "in"}
    | {"bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "uint"}
)

FUNCTIONS: Final = {"string": "text"}
"""Functions of CEL that do not suit JSON: `string(1e6)` would be "1e+06"."""

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LITERAL_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
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


class Path(Struct, frozen=True):
    """A way into the scope: a root, then member names and list positions."""

    root: str
    steps: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        """The path as a template writes it: `nodes.fetch.output.items[0]`."""
        return self.root + "".join(map(step_text, self.steps))

    def cel(self, *, optional: bool = False) -> str:
        """The path in CEL, by optional selection where asked."""
        root = f"optional.of({self.root})" if optional else self.root
        return root + "".join(step_cel(step, optional=optional) for step in self.steps)


class Scan(Struct, frozen=True):
    """An expression's CEL text and every path that it reads, in the order of reading."""

    cel: str
    paths: tuple[Path, ...]

    @property
    def roots(self) -> frozenset[str]:
        """The names to bind when it is evaluated."""
        return frozenset(path.root for path in self.paths)


class Token(Struct, frozen=True):
    """One piece of an expression; `kind` is a group of TOKEN, or `id` for a literal node id."""

    kind: str
    text: str


class Frame(Struct):
    """An open bracket: the variable that a macro binds inside it, and how often that is named."""

    variable: str | None
    named: int = 0


END: Final = Token("end", "")


def scan(text: str) -> Scan:
    """Reads an expression's names and writes its CEL. Raises ExpressionError, naming the fault."""
    if len(text.encode()) > EXPRESSION_BYTES_MAX:
        raise ExpressionError(f"an expression has at most {EXPRESSION_BYTES_MAX} bytes")
    scanner = Scanner(list(tokens(text)))
    while scanner.at < len(scanner.tokens):
        scanner.step()
    if scanner.copies > COPIES_MAX:
        raise ExpressionError(
            f"its macros repeat their variables up to {scanner.copies} times, over {COPIES_MAX}"
        )
    cel = " ".join(scanner.cel)
    if not cel:
        raise ExpressionError("an expression is missing")
    return Scan(cel, tuple(dict.fromkeys(scanner.paths)))


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

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.cel: list[str] = []
        self.paths: list[Path] = []
        self.frames: list[Frame] = []
        self.copies = 1

    def peek(self, ahead: int = 0) -> Token:
        """The token `ahead` of the next one; END past either end."""
        at = self.at + ahead
        return self.tokens[at] if 0 <= at < len(self.tokens) else END

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
        if text in {"(", "[", "[?", "{"}:
            self.frames.append(Frame(self.macro_variable() if text == "(" else None))
        elif text in {")", "]", "}"} and self.frames:
            self.copies *= max(1, self.frames.pop().named - 1)
        self.cel.append({"===": "==", "!==": "!="}.get(text, text))

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

    def path(self, *, optional: bool = False) -> None:
        """Writes a name and what is selected from it, and keeps it unless a macro bound it."""
        name = self.peek().text
        self.at += 1
        frame = next((frame for frame in reversed(self.frames) if frame.variable == name), None)
        if frame is not None:
            frame.named += 1
        is_member = frame is None and name not in ROOTS
        root = "input" if is_member else name
        steps: list[str | int] = [name] if is_member else []
        while (step := self.path_step()) is not None:
            steps.append(step)
        path = Path(root, tuple(steps))
        self.cel.append(path.cel(optional=optional))
        if frame is None:
            self.paths.append(checked(path))

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
        """`default(path, value)`: the path by optional selection, else the value."""
        self.at += 2
        first = self.peek()
        if first.kind != "name" or first.text in WORDS or self.peek(1).text == "(":
            raise ExpressionError("default(path, value) needs a path first")
        self.path(optional=True)
        if self.peek().text != ",":
            raise ExpressionError("default(path, value) needs a path, then a value")
        self.at += 1
        self.cel.append(". orValue (")
        self.frames.append(Frame(None))


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


def step_cel(step: str | int, *, optional: bool) -> str:
    """One selection in CEL; names are indexed where CEL would not take them after a dot."""
    mark = "?" if optional else ""
    if isinstance(step, int):
        return f"[{mark}{step}]"
    if NAME.fullmatch(step):
        return f".{mark}{step}"
    return f"[{mark}{json.dumps(step)}]"


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
    return path
