"""Pages of a list: `limit` and a keyset `cursor` in, `{items, nextCursor}` out.

A cursor names the last row of a page by what the list is ordered by, so a page costs the same
however far down it is, and rows that come meanwhile neither repeat nor hide others.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
from fastapi import Query

from penstock.api.errors import detail, invalid
from penstock.infra.postgres.engine import Row

LIMIT_MAX = 200
LIMIT_DEFAULT = 50
CURSOR_MAX_CHARACTERS = 256
MICROSECONDS = 1_000_000

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="items of a page")]
Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_MAX_CHARACTERS, description="`nextCursor` of the page before"),
]


class After(NamedTuple):
    """The last row of the page before, in lists ordered by (created_at, id), newest first."""

    created_at: datetime
    id: UUID


def after(cursor: str | None) -> After | None:
    """The row that a cursor names, None without a cursor. Raises Problem 400."""
    if cursor is None:
        return None
    parts = opened(cursor)
    try:
        created_us, id_text = parts
        moment = datetime.fromtimestamp(int(created_us) / MICROSECONDS, UTC)
        return After(moment, UUID(id_text))
    except (ValueError, TypeError, AttributeError, OverflowError, OSError):
        raise bad_cursor() from None


def cursor_of(row: Row, *, key: str = "id") -> str:
    """The cursor that names `row`."""
    created: datetime = row["created_at"]
    whole = int(created.timestamp()) * MICROSECONDS + created.microsecond
    return sealed([str(whole), str(row[key])])


def sealed(parts: Sequence[Any]) -> str:
    """A cursor that holds `parts`; opaque to clients."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def opened(cursor: str) -> Any:
    """What a cursor holds. Raises Problem 400."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(text)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise bad_cursor() from None


def bad_cursor() -> Exception:
    """The problem of a cursor that we did not make."""
    fault = detail("/query/cursor", "SCHEMA_INVALID", "is not a cursor of this list")
    return invalid("the cursor is not valid", fault)


def page(
    rows: Sequence[Row], limit: int, shown: Callable[[Row], Any], *, key: str = "id"
) -> dict[str, Any]:
    """A page of `rows`, of which one more than `limit` was asked for."""
    more = len(rows) > limit
    kept = rows[:limit]
    return {
        "items": [shown(row) for row in kept],
        "nextCursor": cursor_of(kept[-1], key=key) if more else None,
    }
