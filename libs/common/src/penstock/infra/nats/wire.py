"""A lean way in and out of nats-py's connection, for what goes by the thousand a second.

nats-py keeps what makes a client: servers, login, TLS, reconnects with all subscriptions, pings.
What it does for each single message is done here with less: frames are handed over in the turn in
which they are read (`reader`), and all that is sent in one turn of the event loop is written at
once, without the task that flushes. Where that is not possible, because the connection is away or
does not keep up, nats-py's own way is taken, and its order is kept.
"""

import asyncio
import re
from collections.abc import Coroutine

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport

from penstock.infra.nats.reader import Heard, Reader

UNSENT_MAX_BYTES = 1024 * 1024
"""With more in the transport's buffer than this, messages are left to nats-py, which waits."""

BUFFER_MAX_BYTES = 1024 * 1024
"""With less than this in nats-py's own buffer (it flushes at 2 MiB) a publish of nats-py only
appends to it and never suspends."""

NO_LIMIT = 0
"""Of nats-py, which would drop messages beyond its own."""

_unfit = re.compile(r"[\s\0]").search


class Wire(Reader):
    """Sends and listens on a connection that somebody else owns; it has one: `wire_of`."""

    def __init__(self, nc: Client) -> None:
        super().__init__(nc)
        self._unsent: list[bytes] = []
        self._unsent_size = 0

    async def listen(self, inbox: str, heard: Heard) -> Subscription:
        """Tell `heard` of all that comes to an inbox of one's own, which nobody knows yet."""
        subscription = await self._nc.subscribe(inbox, cb=_unheard, pending_bytes_limit=NO_LIMIT)
        self.heard[b"%d" % subscription._id] = heard
        return subscription

    async def ignore(self, subscription: Subscription, *, drain: bool = False) -> None:
        """Listen no more; with `drain` all that was sent before is heard first."""
        try:
            if self._nc.is_closed:
                return
            await subscription.unsubscribe()
            if drain:
                await self.settled()
        finally:
            self.heard.pop(b"%d" % subscription._id, None)

    async def settled(self) -> None:
        """Returns when the server has seen all that was sent before, and what it said is heard.

        nats-py's ping overtakes what its flusher has not written yet, so there are two.
        """
        await self._nc.flush()
        await self._nc.flush()

    async def complain(self, error: Exception) -> None:
        """Tell the connection's error callback."""
        await self._nc._error_cb(error)

    def send(self, subject: str, body: bytes, reply: str = "", head: bytes = b"") -> bool:
        """Send a message in this turn; False where only nats-py can tell what becomes of it.

        head: whole header lines, with the first and the empty last one.
        """
        nc = self._nc
        if nc._pending or not nc.is_connected or len(body) + len(head) > nc.max_payload:
            return False
        if not subject or _unfit(subject) or not self._takes_more():
            return False
        if head:
            line = f"HPUB {subject} {reply} {len(head)} {len(head) + len(body)}\r\n"
        else:
            line = f"PUB {subject} {reply} {len(body)}\r\n"
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self.flush)
        message = b"%b%b%b\r\n" % (line.encode(), head, body)
        self._unsent.append(message)
        self._unsent_size += len(message)
        return True

    def offer(self, subject: str, body: bytes, reply: str = "") -> bool:
        """Send a message now, or as soon as the connection is back; False where neither can be."""
        if self.send(subject, body, reply):
            return True
        if self._nc.pending_data_size + len(body) >= BUFFER_MAX_BYTES:
            return False
        try:
            run_through(self._nc.publish(subject, body, reply))
        except errors.Error:
            return False
        return True

    def flush(self) -> None:
        """Write what was sent in this turn; where the connection broke in it, nats-py keeps it."""
        if not self._unsent:
            return
        nc, unsent, size = self._nc, self._unsent, self._unsent_size
        self._unsent, self._unsent_size = [], 0
        stream = self._stream()
        if nc.is_connected and stream is not None and not stream.is_closing():
            stream.write(b"".join(unsent))
        elif not nc.is_closed:
            nc._pending[:0] = unsent
            nc._pending_data_size += size

    def _takes_more(self) -> bool:
        """Whether what is sent now goes out, and before all that comes later."""
        stream = self._stream()
        if stream is None or stream.is_closing():
            return False
        return stream.get_write_buffer_size() + self._unsent_size < UNSENT_MAX_BYTES

    def _stream(self) -> asyncio.WriteTransport | None:
        """What the bytes of the present connection are written to; None where that is no TCP."""
        transport = self._nc._transport
        if not isinstance(transport, TcpTransport) or transport._io_writer is None:
            return None
        return transport._io_writer.transport


def wire_of(nc: Client) -> Wire:
    """The connection's wire, put in the place of nats-py's parser when it is first asked for."""
    own = nc._ps
    return own if isinstance(own, Wire) else Wire.instead_of_its_own(nc)


def run_through(sending: Coroutine[None, None, None]) -> None:
    """Runs a coroutine that does not suspend, without the cost of a task.

    Should it suspend all the same, its message is already in the connection's buffer.
    """
    try:
        sending.send(None)
    except StopIteration:
        return
    sending.close()


async def _unheard(_message: Msg) -> None:
    """Frames of the wire's subscriptions do not go through nats-py."""
