"""Carries what a library says over sockets of its own to an address that was checked, and back.

    async with Relay(opened, again, bytes_max=10_000) as relay:
        ...  # the library connects to relay.port on this machine

libpq opens its sockets itself, and takes whole answers (one value may have 1 GiB) into memory
before anybody can look at them. Here the conversation passes in pieces, and ends when too much has
come: nothing on the way holds more than that.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import TracebackType

HOST = "127.0.0.1"
PIECE_BYTES = 64 * 1024
CONVERSATIONS_MAX = 2
"""The one that all is about, and one that cancels it."""


class Relay:
    """One way to one server. opened: a socket to it; again: opens another one, for a cancel.

    bytes_max: of what comes back. is_flooded: whether more came.
    """

    def __init__(
        self,
        opened: socket.socket,
        again: Callable[[], Awaitable[socket.socket]],
        *,
        bytes_max: int,
    ) -> None:
        self._opened: socket.socket | None = opened
        self._again = again
        self._bytes_left = bytes_max
        self._carrying: set[asyncio.Task[None]] = set()
        self._conversations = 0
        self._server: asyncio.Server | None = None
        self.is_flooded = False
        self.port = 0

    async def __aenter__(self) -> "Relay":
        """Listen on a free port of this machine."""
        self._server = await asyncio.start_server(self._greet, HOST, 0, limit=PIECE_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all conversations."""
        assert self._server is not None
        self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        if self._opened is not None:
            self._opened.close()

    def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._conversations += 1
        if self._conversations > CONVERSATIONS_MAX:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both directions, until one of them ends."""
        far_writer: asyncio.StreamWriter | None = None
        try:
            opened, self._opened = self._opened, None
            opened = await self._again() if opened is None else opened
            far_reader, far_writer = await asyncio.open_connection(sock=opened, limit=PIECE_BYTES)
            ways = (self._pump(reader, far_writer), self._pump_back(far_reader, writer))
            tasks = [asyncio.create_task(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except OSError:
            pass  # Whoever is connected here sees that it has ended.
        finally:
            writer.close()
            if far_writer is not None:
                far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()

    async def _pump_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE_BYTES):
            self._bytes_left -= len(piece)
            if self._bytes_left < 0:
                self.is_flooded = True
                writer.transport.abort()
                return
            writer.write(piece)
            await writer.drain()
