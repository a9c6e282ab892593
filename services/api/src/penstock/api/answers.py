"""Answers: JSON bytes with the headers that the contract asks for."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw
from starlette.responses import Response

JSON = "application/json"
POSITION_HEADER = "X-Log-Position"
REPLAYED_HEADER = "Idempotent-Replayed"
MS = 1000
MOMENTS_MS = range(-62_135_596_800_000, 253_402_300_800_000)
"""The years 1 to 9999, which is all that RFC 3339 can write."""


def encode(value: object) -> bytes:
    """Any value of ours as JSON text; `Raw` parts are put in as they are."""
    return msgspec.json.encode(value)


def answered(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """`value` as a JSON response."""
    return Response(encode(value), status_code=status, media_type=JSON, headers=dict(headers or {}))


def moment(value: datetime | None) -> str | None:
    """A moment as RFC 3339 in UTC with milliseconds; None for none."""
    if value is None:
        return None
    text = value.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def moment_of_ms(value: int | None) -> str | None:
    """Milliseconds since the epoch as RFC 3339.

    None for none, for 0, which stands for it, and for what is no moment.
    """
    if not value or value not in MOMENTS_MS:
        return None
    return moment(datetime.fromtimestamp(value / MS, UTC))


def duration_ms(start: datetime | None, end: datetime | None) -> int | None:
    """Milliseconds between two moments, None unless both are known."""
    if start is None or end is None:
        return None
    return max(0, round((end - start).total_seconds() * MS))


def raw(text: bytes | None) -> Raw | None:
    """A stored JSON text to be put into an answer as it is."""
    return None if text is None else Raw(text)


def members(text: bytes | None) -> Any:
    """A stored JSON text as a value; None for none."""
    return None if text is None else msgspec.json.decode(text)
