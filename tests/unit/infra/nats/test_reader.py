"""Whatever pieces the bytes come in, the same frames come out; and it fits nats-py's client."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.errors import Error, ProtocolError
from nats.protocol.parser import Parser

from penstock.infra.nats.reader import LINE_MAX_BYTES, Frame, Reader, headers_of

SID = b"7"
words = st.binary(min_size=1, max_size=12).filter(lambda word: not set(word) & set(b" \t\r\n"))
heads = st.sampled_from([b"", b"NATS/1.0\r\nA: b\r\n\r\n", b"NATS/1.0 100 Idle Heartbeat\r\n\r\n"])
frames = st.builds(
    Frame,
    words,
    st.one_of(st.just(b""), words),
    heads,
    st.binary(max_size=80) | st.just(b"\r\nMSG "),
)


def written(frame: Frame, sid: bytes = SID) -> bytes:
    """The frame as a server sends it."""
    line = [b"HMSG" if frame.head else b"MSG", frame.subject, sid]
    line += [frame.reply] if frame.reply else []
    line += [b"%d" % len(frame.head)] if frame.head else []
    size = b"%d" % (len(frame.head) + len(frame.data))
    return b" ".join([*line, size]) + b"\r\n" + frame.head + frame.data + b"\r\n"


def pieces(text: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The text, cut at some places."""
    places = [0, *sorted({cut % (len(text) + 1) for cut in cuts}), len(text)]
    return [text[a:b] for a, b in pairwise(places)]


def reader_and_heard() -> tuple[Reader, list[Frame]]:
    heard: list[Frame] = []
    reader = Reader.instead_of_its_own(Client())
    reader.heard[SID] = heard.append
    return reader, heard


@given(st.lists(frames, max_size=6), st.lists(st.integers(0, 1000), max_size=12))
async def test_the_same_frames_come_however_they_are_cut(
    sent: list[Frame], cuts: list[int]
) -> None:
    reader, heard = reader_and_heard()
    for piece in pieces(b"+OK\r\n".join(map(written, sent)), cuts):
        await reader.parse(piece)
    assert heard == sent


@given(frames, st.integers(0, 1000))
async def test_it_goes_on_where_nats_py_was(frame: Frame, cut: int) -> None:
    text = written(frame._replace(subject=b"s", reply=b"r"))
    nc = Client()
    assert isinstance(nc._ps, Parser)
    first, second = pieces(text, [cut % len(text)])
    await nc._ps.parse(first)
    reader = Reader.instead_of_its_own(nc)
    heard: list[Frame] = []
    reader.heard[SID] = heard.append
    await nc._ps.parse(second)  # the client's own reading goes on with the reader
    assert heard == [frame._replace(subject=b"s", reply=b"r")]


async def test_a_new_connection_begins_anew() -> None:
    reader, heard = reader_and_heard()
    await reader.parse(b"MSG half 7 5\r\nab")
    reader.reset()
    await reader.parse(b"MSG whole 7 2\r\nok\r\n")
    assert [frame.subject for frame in heard] == [b"whole"]


@pytest.mark.parametrize("line", [b"MSG s\r\n", b"MSG s 7 x\r\n", b"HMSG s 7 1\r\n", b"WHAT\r\n"])
async def test_what_is_no_protocol_is_said_to_the_client(line: bytes) -> None:
    reader, _ = reader_and_heard()
    with pytest.raises(ProtocolError):
        await reader.parse(line)


async def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    reader, _ = reader_and_heard()
    with pytest.raises(ProtocolError):
        await reader.parse(b"INFO " + b"x" * LINE_MAX_BYTES)


async def test_a_handler_that_fails_does_not_stop_the_reading() -> None:
    nc, told = Client(), list[Exception]()
    reader = Reader.instead_of_its_own(nc)

    async def complain(error: Exception) -> None:
        told.append(error)

    def fail(_frame: Frame) -> None:
        raise RuntimeError("a bug of ours")

    nc._error_cb = complain
    reader.heard[SID] = fail
    await reader.parse(written(Frame(b"s", b"", b"", b"x")) * 2)
    await reader.parse(b"-ERR 'Permissions Violation for Publish to \"x\"'\r\n")
    assert [type(error) for error in told] == [RuntimeError, RuntimeError, Error]


@pytest.mark.parametrize(
    "head",
    [
        b"NATS/1.0\r\nNats-Sequence: 7\r\nNats-Subject:a.b\r\n\r\n",
        b"NATS/1.0 100 Idle Heartbeat\r\n\r\n",
        b"NATS/1.0 409 Batch Completed\r\nNats-Pending-Messages: 3\r\n\r\n",
        b"NATS/1.0 503\r\n\r\n",
        b"NATS/1.0 404 No Messages\r\n\r\n",
        b"NATS/1.0\r\nA: b: c\r\n\r\n",
    ],
)
async def test_headers_are_what_nats_py_reads(head: bytes) -> None:
    assert headers_of(head) == await Client()._process_headers(head)


def test_headers_may_hold_any_bytes() -> None:
    assert headers_of(b"NATS/1.0\r\nA: \xff\r\nnothing\r\n\r\n") == {"A": "\\xff"}
    assert headers_of(b"") == {}
