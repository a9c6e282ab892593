"""Reads what the server sends on nats-py's connection, and hands frames over in the same turn.

nats-py's own reader matches expressions against each line, copies its buffer for each message, and
puts each message into a queue that a task of each subscription waits for. This one takes its place:
what is for a subscription in `heard` goes straight to a plain function, all else to nats-py.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Self

from nats.aio.client import Client
from nats.errors import ProtocolError
from nats.protocol.parser import AWAITING_MSG_PAYLOAD

LINE_MAX_BYTES = 1024 * 1024
"""No line of the protocol is that long; the longest names all servers of a cluster."""

_END = b"\r\n"
_MSG, _HMSG = ord("M"), ord("H")


class Frame(NamedTuple):
    """One message as it came. head: its header lines, empty where it has none."""

    subject: bytes
    reply: bytes
    head: bytes
    data: bytes

    @property
    def headers(self) -> dict[str, str]:
        """By name; `Status` and `Description` are of the first line."""
        return headers_of(self.head)


Heard = Callable[[Frame], None]
"""Is told of a frame. It must not block: nothing else is read meanwhile."""


class Reader:
    """Stands where nats-py has its parser: `parse` what was read, `reset` for a new connection."""

    def __init__(self, nc: Client) -> None:
        self.heard: dict[bytes, Heard] = {}
        self._nc = nc
        self._rest = b""
        self._connection = 0

    @classmethod
    def instead_of_its_own(cls, nc: Client) -> Self:
        """A reader that goes on where the client's own one is, even within a message."""
        own, reader = nc._ps, cls(nc)
        reader._rest = _unread(own)
        own.reset()
        nc._ps = reader  # type: ignore[assignment]
        return reader

    def reset(self) -> None:
        """What comes next is the beginning of something new."""
        self._rest = b""
        self._connection += 1

    async def parse(self, data: bytes = b"") -> None:
        """Hand over all that is whole; the rest waits for what comes next."""
        connection = self._connection
        buffer = self._rest + data if self._rest else data
        at, end = 0, buffer.find(_END)
        while end >= 0:
            if buffer[at] in (_MSG, _HMSG):
                sid, frame, after = _framed(buffer, at, end)
                if frame is None:
                    break
                at = after
                left = self._hand_over(sid, frame)
                if left is not None:
                    await left
            else:
                line, at = buffer[at:end], end + 2
                await self._obey(line)
            if connection != self._connection:
                return
            end = buffer.find(_END, at)
        self._rest = buffer[at:]
        if end < 0 and len(self._rest) > LINE_MAX_BYTES:
            raise ProtocolError("nats: a line without an end")

    def _hand_over(self, sid: bytes, frame: Frame) -> Awaitable[None] | None:
        """Tell whoever hears it; what is left to be waited for, where there is anything."""
        heard = self.heard.get(sid)
        if heard is None:
            return self._leave(sid, frame)
        try:
            heard(frame)
        except Exception as error:  # noqa: BLE001 - the reader must go on, whoever failed
            return self._nc._error_cb(error)
        return None

    async def _leave(self, sid: bytes, frame: Frame) -> None:
        """What is for a subscription of nats-py's own."""
        subject, reply, head, data = frame
        if not subject.isascii():
            subject = legible(subject).encode()
        await self._nc._process_msg(int(sid), subject, reply, data, head)

    async def _obey(self, line: bytes) -> None:
        """What the server says about the connection itself."""
        word = line[:4].upper()
        if word == b"PING":
            await self._nc._process_ping()
        elif word == b"PONG":
            await self._nc._process_pong()
        elif word == b"-ERR":
            await self._nc._process_err(legible(line[4:].strip()).lower())
        elif word == b"INFO":
            await self._nc._process_info(json.loads(line[4:]))
        elif word != b"+OK":
            raise ProtocolError("nats: unknown protocol")


def _framed(buffer: bytes, at: int, end: int) -> tuple[bytes, Frame | None, int]:
    """The subscription and message of the line at `at`, and where it ends.

    None in place of a message that is not whole yet. Only blanks part the words: a subject may
    hold whatever else.
    """
    words = buffer[at:end].split(b" ")
    is_headed = words[0] == b"HMSG"
    bare = 5 if is_headed else 4
    begin = end + 2
    try:
        if not bare <= len(words) <= bare + 1:
            raise ValueError("not so many words")
        subject, sid = words[1], words[2]
        reply = words[3] if len(words) > bare else b""
        middle = begin + int(words[-2]) if is_headed else begin
        stop = begin + int(words[-1])
    except ValueError:
        raise ProtocolError("nats: malformed message") from None
    if len(buffer) < stop + 2:
        return sid, None, at
    return sid, Frame(subject, reply, buffer[begin:middle], buffer[middle:stop]), stop + 2


def legible(subject: bytes) -> str:
    """A subject as text; one that is no UTF-8 becomes one that tells its bytes.

    The broker takes any bytes as a subject. No token of ours is written so, and an error where a
    subject is decoded would end the reading for good while the client counts as connected.
    """
    return subject.decode(errors="backslashreplace")


def headers_of(head: bytes) -> dict[str, str]:
    """The headers of a head, as nats-py tells them."""
    if not head:
        return {}
    first, *lines = head.split(_END)
    _, status, *description = [*first.split(b" ", 2), b"", b""][:3]
    found = {}
    if status.strip():
        found["Status"] = legible(status.strip())
    if said := b"".join(description).strip():
        found["Description"] = legible(said)
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            found[legible(name.strip())] = legible(value.strip())
    return found


def _unread(own: Any) -> bytes:
    """What nats-py's parser has taken in and not handed over yet, as it came."""
    if own.state != AWAITING_MSG_PAYLOAD:
        return bytes(own.buf)
    argument = own.msg_arg
    words = [b"HMSG" if own.header_needed else b"MSG", argument["subject"]]
    words.append(b"%d" % argument["sid"])
    words += [argument["reply"]] if argument["reply"] else []
    words += [b"%d" % own.header_needed] if own.header_needed else []
    return b" ".join([*words, b"%d" % own.needed]) + _END + bytes(own.buf)
