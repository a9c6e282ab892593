"""Places in the logs, written and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.errors import Problem
from penstock.api.positions import EVENTS, LAST_NTH, REGISTRY, Position, parse


@given(st.sampled_from([EVENTS, REGISTRY]), st.integers(0, 10**17), st.integers(0, 999_999))
def test_what_is_written_is_read(log: str, seq: int, nth: int) -> None:
    position = Position(log, seq, nth)
    assert parse(str(position), "/after") == position


def test_a_decision_is_meant_whole() -> None:
    assert parse("17", "/after") == Position(EVENTS, 17, LAST_NTH)


@pytest.mark.parametrize(
    "text", ["", "x", "1.", ".1", "-1.0", "1.0.0", "R1.0", "1" * 40, "\u0661.\u0660"]
)
def test_anything_else_is_a_problem(text: str) -> None:
    with pytest.raises(Problem) as refused:
        parse(text, "/after")
    assert refused.value.details[0]["pointer"] == "/after"
