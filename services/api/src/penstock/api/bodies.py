"""Request bodies: bounded, strict JSON, then a model.

JSON as RFC 8259 has it and no more: no NaN, no key twice in an object, no nesting deeper than
`DEPTH_MAX`. Bytes over `BODY_MAX_BYTES` are counted as they come and end in 413.
"""

import asyncio
import json
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from penstock.api.errors import DETAILS_MAX, Problem, detail, invalid, pointer

BODY_MAX_BYTES = 1024 * 1024
BODY_SECONDS_MAX = 30.0
DEPTH_MAX = 64
KEYS_MAX = 10_000
"""Of one object."""

M = TypeVar("M", bound=BaseModel)


class _Refused(ValueError):
    """The text is JSON, but not such as we take."""


def too_large() -> Problem:
    """The problem of a body over the limit."""
    return Problem(413, f"a body has at most {BODY_MAX_BYTES} bytes")


async def read(request: Request) -> bytes:
    """The whole body.

    Raises Problem 413 as soon as it is known to be too large, 408 when it does not come in time.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            return await _read(request)
    except TimeoutError:
        raise Problem(408, f"a body comes within {BODY_SECONDS_MAX:.0f} s") from None


async def _read(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_MAX_BYTES:
            raise too_large()
        chunks.append(chunk)
    return b"".join(chunks)


async def value(request: Request, *, default: Any = ...) -> Any:
    """The body as a JSON value; `default` where the body is empty and there is a default."""
    body = await read(request)
    if not body and default is not ...:
        return default
    media_type = media_type_of(request)
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Problem(415, "send the body as application/json")
    return parsed(body)


def media_type_of(request: Request) -> str:
    """What the body says that it is, without parameters; empty where it does not say."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def model(request: Request, shape: type[M]) -> M:
    """The body as `shape`. Raises Problem 400 that names every fault."""
    return fitted(await value(request), shape)


def fitted(sent: Any, shape: type[M]) -> M:
    """A JSON value as `shape`. Raises Problem 400 that names every fault."""
    try:
        return shape.model_validate(sent)
    except ValidationError as error:
        raise invalid("the body is not valid", *faults(error)) from None


def faults(error: ValidationError) -> Iterable[dict[str, str]]:
    """Each fault with its place."""
    for fault in error.errors(include_url=False, include_input=False)[:DETAILS_MAX]:
        code = "UNKNOWN_KEY" if fault["type"] == "extra_forbidden" else "SCHEMA_INVALID"
        yield detail(pointer(fault["loc"]), code, fault["msg"].removeprefix("Value error, "))


def parsed(body: bytes) -> Any:
    """Strict JSON text as a value. Raises Problem 400."""
    try:
        found = msgspec.json.decode(body)
        _decode_keys(body.decode())
        _refuse_depth(body, found)
    except (ValueError, RecursionError, msgspec.DecodeError) as error:
        said = str(error) if isinstance(error, _Refused | msgspec.DecodeError) else "not JSON"
        raise invalid("the body is not valid JSON", detail("", "MALFORMED_JSON", said)) from None
    return found


def _object(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > KEYS_MAX:
        raise _Refused(f"an object has at most {KEYS_MAX} keys")
    keys = {key for key, _ in pairs}
    if len(keys) != len(pairs):
        raise _Refused("a key stands twice in one object")


def _refuse_depth(body: bytes, found: Any) -> None:
    """Few brackets cannot nest deeply; only a text with many is walked, level by level."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return
    level = [found]
    for _ in range(DEPTH_MAX + 1):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise _Refused(f"values nest at most {DEPTH_MAX} deep")


def _inside(outer: Any) -> Iterable[Any]:
    match outer:
        case dict():
            return outer.values()
        case list():
            return outer
        case _:
            return ()


_decode_keys = json.JSONDecoder(object_pairs_hook=_object).decode
"""Looks at nothing but the keys: msgspec takes the last of two."""
