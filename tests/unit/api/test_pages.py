"""Cursors: what they say is what they were made of, and nothing else is one."""

from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.errors import Problem
from penstock.api.pages import After, after, cursor_of, page, sealed

MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS, st.uuids())
def test_a_cursor_names_its_row(created_at: datetime, row_id: UUID) -> None:
    row = {"created_at": created_at, "id": row_id}
    assert after(cursor_of(row)) == After(created_at, row_id)


@given(st.text(max_size=100))
def test_any_text_is_a_cursor_or_a_problem(text: str) -> None:
    with suppress(Problem):
        assert after(text) is not None


@pytest.mark.parametrize("parts", [[], [1], ["x", "y"], ["9" * 30, "x"], {"a": 1}, 5, [None, None]])
def test_a_cursor_of_another_list_is_a_problem(parts: object) -> None:
    with pytest.raises(Problem):
        after(sealed(parts))  # type: ignore[arg-type]


def test_one_row_more_than_asked_for_means_another_page() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [{"created_at": moment, "id": UUID(int=number)} for number in (3, 2, 1)]
    found = page(rows, 2, lambda row: row["id"].int)
    assert found["items"] == [3, 2]
    assert after(found["nextCursor"]) == After(moment, UUID(int=2))
    assert page(rows, 3, lambda row: row["id"].int)["nextCursor"] is None
