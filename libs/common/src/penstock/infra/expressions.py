"""CEL behind one small interface: compile, check, evaluate within a budget.

What the engine does not say by itself is taken care of here: a runtime error comes back as a
truthy value; numbers of two types do not meet (`size(x) + 1`); binding converts everything that
is bound; results hold types that JSON does not have. Its own bounds are kept: 32 levels deep,
10,000 iterations of macros. Evaluation has no side effects and no clock.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel
from cel_expr_python.ext import ext_math
from msgspec import Struct

from penstock.domain.expression import (
    EDGE_ROOTS,
    ROOTS,
    ExpressionError,
    Path,
    Scan,
    default_name,
    scan,
)
from penstock.domain.template import PATH_MISSING, Scope, TemplateError, walk
from penstock.infra.expression_functions import FUNCTIONS, MIXED_ARITHMETIC, MIXED_COMPARISONS
from penstock.infra.expression_values import FAILED, Allowance, as_json

COMPILED_MAX: Final = 4096
"""Compiled expressions kept by a process; compiling costs 0.1 ms."""

WEIGHT_MAX: Final = 64 * 1024 * 1024
"""Bytes that an evaluation may make, estimated before: the size of what it binds, times how often
it may repeat that."""

DEFAULTS_MAX: Final = 64
"""How many `default(…)` one expression may hold; each is a variable of its own."""

DEFAULT_NAMES: Final = tuple(map(default_name, range(DEFAULTS_MAX)))

DYN: Final = cel.Type.DYN
STATUS: Final = re.compile(r"^[A-Z_]+: |\s*\[[A-Z_]+\]$")
PLACE: Final = re.compile(r"ERROR: <input>:\d+:\d+: ([^\n|]*)")


class Compiled(Struct, frozen=True):
    """An expression that is ready to be evaluated, and what it reads."""

    scan: Scan
    program: cel.Expression


class Expressions:
    """Compiles, checks and evaluates expressions; keeps what it compiled."""

    def __init__(self, *, compiled_max: int = COMPILED_MAX) -> None:
        runs = cel.CelExtension("penstock", [*MIXED_ARITHMETIC, *FUNCTIONS])
        checks = cel.CelExtension("penstock", [*MIXED_ARITHMETIC, *MIXED_COMPARISONS, *FUNCTIONS])
        variables = dict.fromkeys(sorted(EDGE_ROOTS), DYN) | dict.fromkeys(
            DEFAULT_NAMES, cel.Type.BOOL
        )
        self._running = cel.NewEnv(variables=variables, extensions=[ext_math.ExtMath(), runs])
        self._checking = cel.NewEnv(variables=variables, extensions=[ext_math.ExtMath(), checks])
        self._compiled = lru_cache(maxsize=compiled_max)(self._compile)

    def compile(self, text: str, roots: frozenset[str] = ROOTS) -> Compiled:
        """The expression, ready to run, types unchecked. Raises ExpressionError.

        roots: the names that do not mean a member of `input`.
        """
        return self._compiled(text, roots)

    def _compile(self, text: str, roots: frozenset[str]) -> Compiled:
        scanned = scan(text, roots)
        expect_defaults(scanned)
        try:
            return Compiled(scanned, self._running.compile(scanned.cel, disable_check=True))
        except RuntimeError as error:
            raise ExpressionError(compiler_message(error)) from None

    def check(self, text: str, names: Collection[str]) -> str | None:
        """What is wrong with an expression that may use these roots; None when it is well.

        With EDGE_NAMES it is read as an edge's. Types are checked as far as they are known,
        functions by name and number of arguments.
        """
        try:
            scanned = scan(text, roots_of(names))
            expect_defaults(scanned)
        except ExpressionError as error:
            return str(error)
        foreign = sorted(scanned.roots - set(names))
        if foreign:
            return f"{', '.join(foreign)} cannot be read here"
        try:
            # Whatever passes here can be run: the running environment only reads it, unchecked.
            self._checking.compile(scanned.cel)
        except RuntimeError as error:
            return compiler_message(error)
        return None

    def evaluate(self, text: str, scope: Scope) -> Any:
        """The value of an expression, JSON-able. Raises ExpressionError.

        Only what the expression names is bound; with `output` or `error` in the scope it is read as
        an edge's. The code of what is raised is PATH_MISSING with
        the path in the message, EXPRESSION_INVALID or EXPRESSION_FAILED.
        """
        compiled = self.compile(text, roots_of(scope))
        try:
            value = compiled.program.eval(data=bindings(compiled.scan, scope))
            if value.type() == cel.Type.ERROR:
                raise failure(STATUS.sub("", str(value.value())), compiled.scan, scope)
            return as_json(value.plain_value())
        except RuntimeError as error:
            raise failure(STATUS.sub("", str(error)), compiled.scan, scope) from None

    def is_true(self, text: str, scope: Scope) -> bool:
        """The verdict of a condition. Raises ExpressionError unless it is a boolean."""
        verdict = self.evaluate(text, scope)
        if not isinstance(verdict, bool):
            raise ExpressionError(
                f"a condition is true or false, not {kind_of(verdict)}", code=FAILED
            )
        return verdict


def roots_of(names: Collection[str]) -> frozenset[str]:
    """The roots of an expression that reads these names: those of an edge's have two more."""
    return EDGE_ROOTS if "output" in names or "error" in names else ROOTS


def expect_defaults(scanned: Scan) -> None:
    """Raises ExpressionError for more `default(…)` than there are variables for."""
    if len(scanned.defaults) > DEFAULTS_MAX:
        raise ExpressionError(f"an expression has at most {DEFAULTS_MAX} default(…)")


def compiler_message(error: RuntimeError) -> str:
    """What the compiler found, without its drawing of the place in a text that we rewrote."""
    places = PLACE.findall(str(error))
    return "; ".join(dict.fromkeys(p.strip() for p in places)) or STATUS.sub("", str(error))


def failure(message: str, scanned: Scan, scope: Scope) -> ExpressionError:
    """The error of an evaluation: the first path that does not exist, where one is to blame."""
    for path in scanned.paths:
        if path not in scanned.defaults and ("Key not found" in message or "SELECT" in message):
            try:
                walk(path, scope)
            except TemplateError as missing:
                return ExpressionError(str(missing), code=PATH_MISSING)
    return ExpressionError(message, code=FAILED)


def bindings(scanned: Scan, scope: Scope) -> dict[str, Any]:
    """What an evaluation binds: of each root only the members that the expression names.

    Raises ExpressionError for a root that is not there, and for more than can be bounded.
    """
    bound: dict[str, Any] = {}
    allowance = Allowance(WEIGHT_MAX // scanned.copies)
    for root in sorted(scanned.roots):
        if root not in scope:
            raise ExpressionError(f"{root} cannot be read here", code=FAILED)
        named = [path.steps for path in scanned.paths if path.root == root]
        bound[root] = allowance.as_cel(narrowed(scope[root], named))
    for number, path in enumerate(scanned.defaults):
        bound[default_name(number)] = exists(path, scope)
    return bound


def narrowed(value: object, named: Sequence[tuple[str | int, ...]]) -> object:
    """An object with only the members that are named; anything else as it is."""
    if not isinstance(value, Mapping) or not all(named):
        return value
    return {steps[0]: value[steps[0]] for steps in named if steps[0] in value}


def exists(path: Path, scope: Scope) -> bool:
    """Whether there is a value at `path`."""
    try:
        walk(path, scope)
    except TemplateError:
        return False
    return True


def kind_of(value: object) -> str:
    """A JSON value's kind, for a message that must not repeat the value."""
    kinds = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), "null")
