"""What expressions can call beside CEL's own functions, and how numbers of two types meet.

CEL keeps integers and doubles apart; here every number that comes in is a double, but some of
CEL's functions (`size`, `int`, `getFullYear`) still make integers. The mixed overloads close that
gap. Comparisons of mixed numbers the engine can make and its checker does not know, so they are
declared without an implementation and for checking only. Texts that a function makes are bounded.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cel_expr_python import cel

TEXT_MAX: Final = 1024 * 1024
"""Characters that one call may make: `replace` and `join` could otherwise fill any memory."""

BOOL, DOUBLE, DYN = cel.Type.BOOL, cel.Type.DOUBLE, cel.Type.DYN
INT, STRING = cel.Type.INT, cel.Type.STRING
STRINGS, ANY_LIST = cel.Type.List(STRING), cel.Type.List(DYN)

Call = Callable[..., Any]


def function(name: str, *overloads: cel.Overload) -> cel.FunctionDecl:
    """A function with its overloads."""
    return cel.FunctionDecl(name, list(overloads))


def overload(
    name: str, parameters: Sequence[cel.Type], result: cel.Type, call: Call, *, member: bool = True
) -> cel.Overload:
    """One overload; its id must be unique in an environment, so it is built of its types."""
    unique = "_".join(["penstock", name, *(parameter.name() for parameter in parameters)])
    return cel.Overload(
        unique, return_type=result, parameters=list(parameters), is_member=member, impl=call
    )


def mixed(symbol: str, name: str, result: cel.Type, call: Call | None = None) -> cel.FunctionDecl:
    """An operator between an integer and a double, either way round."""
    implementation = {} if call is None else {"impl": call}
    return function(
        symbol,
        *(
            cel.Overload(
                f"penstock_{name}_{order}",
                return_type=result,
                parameters=parameters,
                **implementation,
            )
            for order, parameters in (("int_double", [INT, DOUBLE]), ("double_int", [DOUBLE, INT]))
        ),
    )


def divided(dividend: float, divisor: float) -> float:
    """The quotient. Raises ValueError for the divisor 0."""
    if divisor == 0:
        raise ValueError("division by zero")
    return dividend / divisor


def remainder(dividend: float, divisor: float) -> float:
    """What is left of a division, with the sign of the divisor. Raises ValueError for 0."""
    if divisor == 0:
        raise ValueError("mod(a, 0) has no value")
    return float(dividend) % float(divisor)


def bounded(text: str) -> str:
    """`text`, unless it is too long or holds U+0000, at which the engine would cut it off."""
    if len(text) > TEXT_MAX:
        raise ValueError(f"a text of an expression has at most {TEXT_MAX} characters")
    if "\0" in text:
        raise ValueError("a text of an expression cannot hold U+0000")
    return text


def replaced(text: str, old: str, new: str) -> str:
    """Each `old` in `text` as `new`, its length checked before it is made."""
    if len(text) + text.count(old) * len(new) > TEXT_MAX:
        raise ValueError(f"a text of an expression has at most {TEXT_MAX} characters")
    return bounded(text.replace(old, new))


def joined(texts: Iterable[Any], between: str = "") -> str:
    """The texts of a list, put together."""
    pieces = [text if isinstance(text, str) else text.value() for text in texts]
    if not all(isinstance(piece, str) for piece in pieces):
        raise ValueError("join() takes a list of texts")
    if sum(map(len, pieces)) + len(pieces) * len(between) > TEXT_MAX:
        raise ValueError(f"a text of an expression has at most {TEXT_MAX} characters")
    return bounded(between.join(pieces))


def part(text: str, start: float, end: float | None = None) -> str:
    """The characters from `start` up to `end`, which must lie inside the text."""
    last = len(text) if end is None else end
    if not 0 <= start <= last <= len(text):
        raise ValueError(f"substring({start:g}, {last:g}) is outside of the text")
    return text[int(start) : int(last)]


def written(value: object) -> str:
    """A scalar as text: integral numbers without a point, times as RFC 3339."""
    match value:
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e21:
            return str(int(value))
        case str() | int() | float():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            return f"{value.total_seconds():.9g}s"
        case bytes() | bytearray():
            return bounded(bytes(value).decode())
        case _:
            raise ValueError("string() takes a text, a number, a boolean or a time")


MIXED_ARITHMETIC: Final = (
    mixed("_+_", "add", DOUBLE, operator.add),
    mixed("_-_", "subtract", DOUBLE, operator.sub),
    mixed("_*_", "multiply", DOUBLE, operator.mul),
    mixed("_/_", "divide", DOUBLE, divided),
)

MIXED_COMPARISONS: Final = (
    mixed("_<_", "less", BOOL),
    mixed("_<=_", "less_equals", BOOL),
    mixed("_>_", "greater", BOOL),
    mixed("_>=_", "greater_equals", BOOL),
    mixed("_==_", "equals", BOOL),
    mixed("_!=_", "not_equals", BOOL),
    function(
        "_[_]",
        cel.Overload("penstock_index", return_type=DYN, parameters=[ANY_LIST, DOUBLE]),
    ),
)

FUNCTIONS: Final = (
    function(
        "mod",
        *(
            overload("mod", [left, right], DOUBLE, remainder, member=False)
            for left in (INT, DOUBLE)
            for right in (INT, DOUBLE)
        ),
    ),
    function("text", overload("text", [DYN], STRING, written, member=False)),
    function("lowerAscii", overload("lowerAscii", [STRING], STRING, str.lower)),
    function("upperAscii", overload("upperAscii", [STRING], STRING, str.upper)),
    function("trim", overload("trim", [STRING], STRING, str.strip)),
    function("split", overload("split", [STRING, STRING], STRINGS, str.split)),
    function(
        "join",
        overload("join", [STRINGS], STRING, joined),
        overload("join", [STRINGS, STRING], STRING, joined),
    ),
    function("replace", overload("replace", [STRING, STRING, STRING], STRING, replaced)),
    function("indexOf", overload("indexOf", [STRING, STRING], INT, str.find)),
    function(
        "substring",
        *(
            overload("substring", [STRING, *positions], STRING, part)
            for positions in (
                (INT,),
                (DOUBLE,),
                (INT, INT),
                (INT, DOUBLE),
                (DOUBLE, INT),
                (DOUBLE, DOUBLE),
            )
        ),
    ),
)
