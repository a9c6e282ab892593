"""From one page's call to the next page's, for lists and for histories."""

from dataclasses import replace
from typing import Final, TypeVar

from penstock.client.calls import Call
from penstock.client.models import Page

T = TypeVar("T")

PAGES_MAX: Final = 100_000
"""A list longer than this is one whose cursors go in circles."""
LIMIT_MAX: Final = 200
"""What the server gives at most."""


def following(call: Call[Page[T]], page: Page[T]) -> Call[Page[T]] | None:
    """The call for the page after `page`, None when that was the last.

    A page of a history may be empty because nothing of what was looked at matched: the last one
    leads to where it began.
    """
    by = "after" if call.path.endswith("/events") else "cursor"
    if page.next_cursor is None or page.next_cursor == call.params.get(by):
        return None
    if by == "cursor" and not page.items:
        return None
    return replace(call, params={**call.params, by: page.next_cursor})


def in_full(call: Call[Page[T]]) -> Call[Page[T]]:
    """The call that asks for as much as a page can hold."""
    return replace(call, params={"limit": str(LIMIT_MAX), **call.params})
