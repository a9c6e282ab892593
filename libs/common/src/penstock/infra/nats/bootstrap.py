"""Makes the streams and consumers, or brings them up to date; says which are missing.

Run once before the services start and again after every upgrade. A log of record that is gone
although the database knows of it is never made anew: that would hide the loss.
"""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from time import monotonic

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

from penstock.infra.nats import streams

CONNECT_TIMEOUT_S = 5
ADMIN_TIMEOUT_S = 10.0
BELIEVED_S = 15.0
"""Streams that were there are not asked for again so soon: there are many, and probes are often."""


class LostLog(Exception):
    """The database has a checkpoint of a log that is not there."""


async def bootstrap(
    at: str | Client,
    *,
    replicas: int = 1,
    database_has_checkpoint: bool = False,
    queues: Iterable[str] = (),
) -> None:
    """Creates or updates everything on the server at a URL or connection.

    queues: of work, beyond `default`. Raises `LostLog` before it changes
    anything when the database has a checkpoint and a log of record is missing.
    """
    async with AsyncExitStack() as stack:
        js = (await _connection(at, stack)).jetstream(timeout=ADMIN_TIMEOUT_S)
        wanted = streams.streams(replicas, queues)
        present = {config.name for config in wanted if await _has(js, config)}
        lost = [name for name in streams.OF_RECORD if name not in present]
        if database_has_checkpoint and lost:
            raise LostLog(f"{', '.join(lost)} missing, but the database has read from there")
        for config in wanted:
            await (js.update_stream if config.name in present else js.add_stream)(config)
        for consumer in streams.consumers(queues):
            await js.add_consumer(consumer.stream, consumer.config)


async def verify(nc: Client, *, queues: Iterable[str] = ()) -> tuple[str, ...]:
    """The names of streams, and of consumers as `<stream>/<consumer>`, that are missing."""
    js = nc.jetstream(timeout=ADMIN_TIMEOUT_S)
    missing = [str(config.name) for config in streams.streams(1) if not await _has(js, config)]
    for consumer in streams.consumers(queues):
        try:
            await js.consumer_info(consumer.stream, consumer.name)
        except NotFoundError:
            missing.append(f"{consumer.stream}/{consumer.name}")
    return tuple(missing)


class Topology:
    """Whether everything that bootstrap makes is there, as a process that serves asks it.

    queues: of work, beyond `default`.
    """

    def __init__(self, nc: Client, queues: Iterable[str] = ()) -> None:
        self._nc = nc
        self._queues = tuple(queues)
        self._good_until = 0.0

    async def is_whole(self) -> bool:
        """A good answer is believed for `BELIEVED_S`, for a look costs some sixty requests."""
        if not self._nc.is_connected:
            return False
        if self._good_until < monotonic() and not await verify(self._nc, queues=self._queues):
            self._good_until = monotonic() + BELIEVED_S
        return self._good_until > monotonic()


async def _connection(at: str | Client, stack: AsyncExitStack) -> Client:
    if isinstance(at, Client):
        return at
    nc = await nats.connect(at, connect_timeout=CONNECT_TIMEOUT_S)
    stack.push_async_callback(nc.close)
    return nc


async def _has(js: JetStreamContext, config: StreamConfig) -> bool:
    try:
        await js.stream_info(str(config.name))
    except NotFoundError:
        return False
    return True
