"""Cursors: what they say is what they were made of, and nothing else is one."""

from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from penstock.api.errors import Problem
from penstock.api.pages import After, after, cursor_of, listing, page, sealed

OF = "a list"
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS, st.uuids())
def test_a_cursor_names_its_row(created_at: datetime, row_id: UUID) -> None:
    row = {"created_at": created_at, "id": row_id}
    assert after(cursor_of(row, OF), OF) == After(created_at, row_id)


@given(st.text(max_size=100))
def test_any_text_is_a_cursor_or_a_problem(text: str) -> None:
    with suppress(Problem):
        assert after(text, OF) is not None


@pytest.mark.parametrize("parts", [[], [1], ["x", "y"], ["9" * 30, "x"], {"a": 1}, [None, None]])
def test_a_cursor_with_other_parts_is_a_problem(parts: object) -> None:
    with pytest.raises(Problem):
        after(sealed(parts, OF), OF)  # type: ignore[arg-type]


def asked(path: str, query: str, tenant: str = "acme") -> str:
    scope = {"type": "http", "path": path, "query_string": query.encode(), "tenant": tenant}
    return listing(Request(scope))


def test_pages_of_a_list_differ_in_limit_and_cursor_only() -> None:
    first = asked("/api/runs", "status=failed&tag=a&limit=5")
    assert asked("/api/runs", "tag=a&cursor=x&limit=9&status=failed") == first


@pytest.mark.parametrize(
    "other",
    [
        asked("/api/workflows", "status=failed"),
        asked("/api/runs", "status=queued"),
        asked("/api/runs", "status=failed&tag=a"),
        asked("/api/runs", ""),
        asked("/api/runs", "status=failed", "bolt"),
    ],
)
def test_a_cursor_of_another_list_is_a_problem(other: str) -> None:
    mine = asked("/api/runs", "status=failed")
    cursor = cursor_of({"created_at": datetime(2026, 1, 1, tzinfo=UTC), "id": UUID(int=1)}, mine)
    assert after(cursor, mine) is not None
    with pytest.raises(Problem) as refused:
        after(cursor, other)
    assert [each["pointer"] for each in refused.value.details] == ["/query/cursor"]


def test_one_row_more_than_asked_for_means_another_page() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [{"created_at": moment, "id": UUID(int=number)} for number in (3, 2, 1)]
    found = page(rows, 2, lambda row: row["id"].int, of=OF)
    assert found["items"] == [3, 2]
    assert after(found["nextCursor"], OF) == After(moment, UUID(int=2))
    assert page(rows, 3, lambda row: row["id"].int, of=OF)["nextCursor"] is None
