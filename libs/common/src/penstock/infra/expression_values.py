"""JSON values on their way into an expression and out of it again.

Inside, every number is a double, for the engine keeps integers and doubles apart. What goes in is
weighed, because binding copies it and an expression may repeat it.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, Final

from penstock.domain.expression import ExpressionError
from penstock.domain.template import DEPTH_MAX
from penstock.infra.expression_functions import written

VALUE_WEIGHT: Final = 16
"""What one value is counted as, in bytes, beside its text."""

INTEGRAL_MAX: Final = 2**53
"""Up to here every integer is a double, so an integral result comes back as an integer."""

FAILED: Final = "EXPRESSION_FAILED"
"""The code of an evaluation that failed; another try would fail again."""


class Allowance:
    """How much one evaluation may still bind, in bytes; used up by what it converts."""

    def __init__(self, weight: int) -> None:
        self.left = weight

    def spend(self, weight: int) -> None:
        """Takes `weight` off. Raises ExpressionError when that is more than is left."""
        self.left -= weight
        if self.left < 0:
            raise ExpressionError(
                "the values it reads are too large for an expression", code=FAILED
            )

    def as_cel(self, value: object, depth: int = 0) -> Any:
        """A JSON value with its numbers as doubles."""
        self.spend(VALUE_WEIGHT)
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, str):
            self.spend(len(value))
            return checked_text(value)
        if isinstance(value, int):
            return as_double(value)
        if depth == DEPTH_MAX:
            raise ExpressionError(f"values nest at most {DEPTH_MAX} deep", code=FAILED)
        if isinstance(value, Mapping):
            return {checked_text(k): self.as_cel(v, depth + 1) for k, v in value.items()}
        if isinstance(value, list):
            return [self.as_cel(inner, depth + 1) for inner in value]
        raise ExpressionError(f"{type(value).__name__} is no JSON value", code=FAILED)


def checked_text(text: str) -> str:
    """`text`, if the engine takes it: at U+0000 it would silently cut it off."""
    if "\0" in text:
        raise ExpressionError("a text that holds U+0000 cannot be read", code=FAILED)
    return text


def as_double(number: int) -> float:
    """An integer as a double; larger ones lose digits, too large ones are refused."""
    try:
        return float(number)
    except OverflowError:
        raise ExpressionError("a number is too large for an expression", code=FAILED) from None


def as_json(value: Any) -> Any:
    """A result as JSON: integral numbers as integers, times as text, bytes as base64.

    Members are sorted, for the engine's own order differs from one process to the next.
    """
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return as_number(value)
        case list():
            return [as_json(inner) for inner in value]
        case dict():
            return {as_key(key): as_json(value[key]) for key in sorted(value, key=str)}
        case datetime() | timedelta():
            return written(value)
        case bytes() | bytearray():
            return b64encode(value).decode()
        case _:
            raise ExpressionError("its value is a type, which is no JSON", code=FAILED)


def as_number(value: float) -> int | float:
    """A double as JSON has it. Raises ExpressionError where JSON has none."""
    if not isfinite(value):
        raise ExpressionError(f"its value is {value}, which is no JSON number", code=FAILED)
    return int(value) if value.is_integer() and abs(value) <= INTEGRAL_MAX else value


def as_key(key: object) -> str:
    """A member's name. Raises ExpressionError for what only CEL takes as one."""
    if not isinstance(key, str):
        raise ExpressionError("the names of an object's members are texts", code=FAILED)
    return key
