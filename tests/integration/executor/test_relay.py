"""A relay carries one conversation to where it was dialled, so much of it and no more."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from penstock.executor.dialling import dialled
from penstock.executor.relay import CONVERSATIONS_MAX, HOST, Relay

BYTES_MAX = 100_000


class Far:
    """A server that repeats what it is told, or floods whoever says so."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.sent = 0
        self._talks: set[asyncio.Task[None]] = set()

    def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._talks.add(asyncio.create_task(self._talk(reader, writer)))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(1000):
                while piece == b"flood":
                    writer.write(b"x" * 10_000)
                    await writer.drain()
                    self.sent += 10_000
                writer.write(piece)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def hushed(self) -> None:
        """Returns once nobody talks any more."""
        async with asyncio.timeout(10):
            await asyncio.gather(*self._talks)


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    made = Far()
    server = await asyncio.start_server(made.greet, HOST, 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    await made.hushed()


async def relay(far: Far) -> Relay:
    async def again() -> socket.socket:
        return await dialled(HOST, far.port)

    return Relay(await again(), again, bytes_max=BYTES_MAX)


async def test_what_is_said_is_carried_both_ways_and_an_end_too(far: Far) -> None:
    async with await relay(far) as carrying:
        reader, writer = await asyncio.open_connection(HOST, carrying.port)
        for said in (b"hello", b"y" * 900):
            writer.write(said)
            assert await reader.readexactly(len(said)) == said
        writer.close()
        await far.hushed()
    assert not carrying.is_flooded


async def test_too_much_ends_it(far: Far) -> None:
    async with await relay(far) as carrying:
        reader, writer = await asyncio.open_connection(HOST, carrying.port)
        writer.write(b"flood")
        assert len(await reader.read()) <= BYTES_MAX
        assert carrying.is_flooded
        await far.hushed()
        writer.close()


async def test_there_is_one_more_for_a_cancel_and_no_third(far: Far) -> None:
    async with await relay(far) as carrying:
        writers = []
        for _ in range(CONVERSATIONS_MAX):
            reader, writer = await asyncio.open_connection(HOST, carrying.port)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writers.append(writer)
        reader, writer = await asyncio.open_connection(HOST, carrying.port)
        assert await reader.read() == b""
        for each in (*writers, writer):
            each.close()
        assert far.connections == CONVERSATIONS_MAX


async def test_whoever_leaves_takes_all_along(far: Far) -> None:
    async with await relay(far) as carrying:
        reader, writer = await asyncio.open_connection(HOST, carrying.port)
        writer.write(b"hello")
        await reader.readexactly(5)
    await far.hushed()
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, carrying.port)
    # One that nobody has used is closed as well.
    async with await relay(far):
        pass
    await far.hushed()
