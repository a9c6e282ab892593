"""Pages of a list: `limit` and a keyset `cursor` in, `{items, nextCursor}` out.

A cursor names the last row of a page by what the list is ordered by, so a page costs the same
however far down it is, and rows that come meanwhile neither repeat nor hide others. It also names
its list: the tenant, the path and the filters. With others it is refused, for what it would leave
out there is anybody's guess.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
from fastapi import Query, Request

from penstock.api.errors import detail, invalid
from penstock.infra.postgres.engine import Row

LIMIT_MAX = 200
LIMIT_DEFAULT = 50
CURSOR_MAX_CHARACTERS = 1024
"""As many as the deepest path of a step takes."""
MICROSECONDS = 1_000_000
MARK_BYTES = 9
"""As much of a digest as keeps lists apart; a cursor is no secret."""
OF_A_PAGE = frozenset({"limit", "cursor"})
"""Query parameters that may change from page to page."""

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="items of a page")]
Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_MAX_CHARACTERS, description="`nextCursor` of the page before"),
]


class After(NamedTuple):
    """The last row of the page before, in lists ordered by (created_at, id), newest first."""

    created_at: datetime
    id: UUID


class Asked(NamedTuple):
    """Which page of the list `of` a request wants."""

    limit: int
    cursor: str | None
    of: str


def listing(request: Request) -> str:
    """The mark of the list that a request asks for: whose it is, its path and its filters."""
    filters = sorted(
        pair for pair in request.query_params.multi_items() if pair[0] not in OF_A_PAGE
    )
    tenant = request.scope.get("tenant") or ""
    named = msgspec.json.encode([tenant, request.scope["path"], filters])
    digest = hashlib.sha256(named).digest()[:MARK_BYTES]
    return base64.urlsafe_b64encode(digest).decode()


def after(cursor: str | None, of: str) -> After | None:
    """The row that a cursor of the list `of` names, None without one. Raises Problem 400."""
    if cursor is None:
        return None
    try:
        created_us, id_text = opened(cursor, of)
        moment = datetime.fromtimestamp(int(created_us) / MICROSECONDS, UTC)
        return After(moment, UUID(id_text))
    except (ValueError, TypeError, AttributeError, OverflowError, OSError):
        raise bad_cursor() from None


def cursor_of(row: Row, of: str, *, key: str = "id") -> str:
    """The cursor of the list `of` that names `row`."""
    created: datetime = row["created_at"]
    whole = int(created.timestamp()) * MICROSECONDS + created.microsecond
    return sealed([str(whole), str(row[key])], of)


def sealed(parts: Sequence[Any], of: str) -> str:
    """A cursor of the list `of` that holds `parts`; opaque to clients."""
    return base64.urlsafe_b64encode(msgspec.json.encode([of, *parts])).decode().rstrip("=")


def opened(cursor: str, of: str) -> list[Any]:
    """What a cursor of the list `of` holds. Raises Problem 400."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        mark, *parts = msgspec.json.decode(text, type=list[Any])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise bad_cursor() from None
    if mark != of:
        raise bad_cursor()
    return parts


def bad_cursor() -> Exception:
    """The problem of a cursor that we did not make, or made for another list."""
    said = "is not a cursor of this list with these filters"
    fault = detail("/query/cursor", "SCHEMA_INVALID", said)
    return invalid("the cursor is not valid", fault)


def page(
    rows: Sequence[Row], limit: int, shown: Callable[[Row], Any], *, of: str, key: str = "id"
) -> dict[str, Any]:
    """A page of the list `of`: of `rows`, of which one more than `limit` was asked for."""
    more = len(rows) > limit
    kept = rows[:limit]
    return {
        "items": [shown(row) for row in kept],
        "nextCursor": cursor_of(kept[-1], of, key=key) if more else None,
    }
