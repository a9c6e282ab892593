"""A payload: bytes that travel through the log without being looked into.

Only executors and the API ever open one. Everybody else moves it by value while it is small
and by reference otherwise, so that run state stays small however large the data is.
"""

import hashlib

import msgspec
from msgspec import Raw, Struct

INLINE_MAX_BYTES = 64 * 1024
"""A larger payload is an object in the blob store from the moment it is made."""

AT_REST_MAX_BYTES = 1024
"""Run state keeps a payload up to this size by value, a larger one as its place in the log."""

PAYLOAD_MAX_BYTES = 64 * 1024 * 1024
"""What no single payload may exceed, wherever it is stored."""

UNSEALED = "none"

ELSEWHERE = Raw(b"")
"""The `inline` of a payload whose bytes are not in it; JSON text is never empty."""


class Payload(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """Bytes and where they are: exactly one of `inline`, `at` and `blob` is set.

    size: length in bytes of what is stored.
    sha256: hex digest of what is stored.
    enc: name of the data key that sealed it; `none` says that the bytes are plain JSON.
    inline: the bytes themselves, JSON text (for a sealed payload a base64 string), else empty.
    at: where in the log of events they are inline, `<position>/<member>`: the position
        (`<stream sequence>.<index>`) of an event and the name of its member that holds them.
    blob: the object's name in the blob store.
    """

    size: int
    sha256: str
    enc: str = UNSEALED
    inline: Raw = ELSEWHERE
    at: str | None = None
    blob: str | None = None


def inline(data: bytes) -> Payload:
    """`data` (JSON text) as a payload that carries itself."""
    return Payload(size=len(data), sha256=hashlib.sha256(data).hexdigest(), inline=Raw(data))


def of_value(value: object) -> Payload:
    """A JSON-able value as an inline payload."""
    return inline(msgspec.json.encode(value))


def at_rest(payload: Payload, place: str) -> Payload:
    """What run state keeps of a payload that is inline at `place` in the log.

    A small one is copied out of its message, because a `Raw` keeps the whole message alive.
    """
    if not payload.inline:
        return payload
    if payload.size <= AT_REST_MAX_BYTES:
        return msgspec.structs.replace(payload, inline=payload.inline.copy())
    return msgspec.structs.replace(payload, inline=ELSEWHERE, at=place)


NULL = inline(b"null")
"""The payload of a step that says nothing."""
