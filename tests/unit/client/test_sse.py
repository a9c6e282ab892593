"""Frames come out the same however the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.client import sse
from penstock.client.sse import Frame, Frames, FrameTooLarge

STREAM = (
    b": hello\n\n"
    b'id: 1.0\nevent: RunStarted\ndata: {"a":\ndata: 1}\n\n'
    b"id: 1.1\r\nevent: StepReady\r\ndata: {}\r\n\r\n"
    b"data:bare\n\n"
    b"id\nevent: end\ndata: {}\n\n"
)
FRAMES = [
    Frame("1.0", "RunStarted", '{"a":\n1}'),
    Frame("1.1", "StepReady", "{}"),
    Frame("1.1", "message", "bare"),
    Frame("", "end", "{}"),
]


def test_frames_are_cut_as_the_standard_says() -> None:
    assert Frames().feed(STREAM) == FRAMES


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_frames_do_not_depend_on_the_chunks(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[a:b] for a, b in pairwise(edges)]
    frames = Frames()
    assert [frame for chunk in chunks for frame in frames.feed(chunk)] == FRAMES


def test_a_carriage_return_alone_ends_a_line() -> None:
    assert Frames().feed(b"data: a\r\r\n\n") == [Frame("", "message", "a")]


def test_an_unfinished_frame_is_kept_back() -> None:
    assert Frames().feed(b"id: 1.0\ndata: {}\n") == []


def test_a_comment_is_no_frame() -> None:
    assert Frames().feed(b": ping\n\n: ping\n\n") == []


@pytest.mark.parametrize("line", [b"x" * 64, b"data: " + b"x" * 30 + b"\ndata: " + b"y" * 30])
def test_a_frame_has_an_end(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "FRAME_BYTES_MAX", 50)
    with pytest.raises(FrameTooLarge):
        Frames().feed(line + b"\n\n" if b"\n" in line else line)
