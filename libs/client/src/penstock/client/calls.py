"""Calls as values: what to send, and how to read the answer. Nothing here does I/O.

`Call` is what every method of the SDK makes; `penstock.client.retry` says what happens with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

import msgspec

from penstock.client.errors import BadAnswer, PenstockError, Refused, Unreachable, refused
from penstock.client.models import Problem

T = TypeVar("T")

RETRY_AFTER: Final = "retry-after"
SHOWN_BYTES_MAX: Final = 200
"""Of a foreign answer, in an error."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `headers` finds its names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The connection failed. `sent`: the request may have reached the server nevertheless."""

    reason: str
    sent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request and the reading of its answer.

    path: below the server's URL. repeatable: sending it twice does no harm, because it changes
    nothing, sets what it names, or carries an Idempotency-Key.
    """

    method: str
    path: str
    read: Callable[[Answer], T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    repeatable: bool = False


def get(path: str, shape: type[T], **params: object) -> Call[T]:
    """A call that reads; parameters that are None are left out."""
    return Call(
        method="GET", path=path, read=reading(shape), params=given(**params), repeatable=True
    )


def delete(path: str) -> Call[None]:
    """A call that removes."""
    return Call(method="DELETE", path=path, read=nothing, repeatable=True)


def json_body(**members: object) -> tuple[bytes, dict[str, str]]:
    """The members that are not None as a JSON body, with its header."""
    sent = {name: value for name, value in members.items() if value is not None}
    return encoded(sent)


def encoded(value: object) -> tuple[bytes, dict[str, str]]:
    """A JSON body with its header. Raises TypeError for what JSON cannot say."""
    return msgspec.json.encode(value), {"Content-Type": "application/json"}


def given(**params: object) -> dict[str, str]:
    """Query parameters as text, without those that are None."""
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else str(value)
        for name, value in params.items()
        if value is not None
    }


def segment(text: str) -> str:
    """An id or key as one segment of a path, whatever is in it."""
    return quote(text, safe="") or "-"


def reading(shape: type[T]) -> Callable[[Answer], T]:
    """A reader of answers whose body is a `shape`."""

    def read(answer: Answer) -> T:
        try:
            return msgspec.json.decode(answer.body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadAnswer(f"the answer cannot be read: {error}; {shown(answer)}") from None

    return read


def nothing(answer: Answer) -> None:
    """The reader of an answer without a body."""


def failed(outcome: Answer | NoAnswer) -> PenstockError | None:
    """The error that an outcome stands for, None for a success."""
    if isinstance(outcome, NoAnswer):
        return Unreachable(outcome.reason)
    if outcome.status < 300:
        return None
    return problem_of(outcome) or BadAnswer(f"this is not Penstock: {shown(outcome)}")


def problem_of(answer: Answer) -> Refused | None:
    """The refusal in an answer, None when it is not a problem of Penstock's."""
    try:
        problem = msgspec.json.decode(answer.body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return refused(problem, retry_after_s=retry_after_s(answer))


def retry_after_s(answer: Answer) -> float | None:
    """The seconds that an answer asks to wait, None when it does not say."""
    try:
        return max(0.0, float(answer.headers[RETRY_AFTER]))
    except (KeyError, ValueError):
        return None


def shown(answer: Answer) -> str:
    """An answer in a few words."""
    text = answer.body[:SHOWN_BYTES_MAX].decode(errors="replace").strip()
    return f"status {answer.status}, body {text!r}"


def as_json(answer: Answer) -> Any:
    """The reader of an answer that is any JSON."""
    return reading(object)(answer)
