"""What a cancel is about."""

import pytest

from penstock.executor.control import steps_of
from penstock.messages.codec import Undecodable


def test_a_cancel_without_a_body_is_about_all_of_the_run() -> None:
    assert steps_of(b"") is None


def test_a_cancel_names_steps_by_path_and_attempt() -> None:
    assert steps_of(b'{"steps": [["a", 1], ["loop.3.x", 2]]}') == frozenset(
        {("a", 1), ("loop.3.x", 2)}
    )
    assert steps_of(b'{"steps": []}') == frozenset()


@pytest.mark.parametrize("body", [b"{}", b"x", b'{"steps": [["a"]]}', b'{"steps": null}'])
def test_a_cancel_that_cannot_be_read_is_about_nothing(body: bytes) -> None:
    with pytest.raises(Undecodable):
        steps_of(body)
