"""The connection to NATS that every process has one of: FastStream's broker, made safe.

It reconnects for ever; where the client gives up all the same, or is stuck while the server
answers, the process ends with a non-zero code and is started anew, for a silent client would wait
for ever.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import closing
from time import monotonic
from types import TracebackType
from typing import NoReturn
from urllib.parse import urlsplit

from faststream.middlewares import AckPolicy
from faststream.nats import NatsBroker
from faststream.nats.broker.broker import UNRECOVERABLE_CONNECT_ERRORS
from nats.aio.client import Client
from nats.errors import Error

from penstock.infra.nats import users
from penstock.infra.nats.wire import wire_of
from penstock.infra.settings import SharedSettings
from penstock.infra.subscribers import MessageContext, undecoded
from penstock.infra.telemetry import logs, metrics

EXIT_LOST = 70
"""The process's code when its connection to NATS is beyond mending."""
RECONNECT_WAIT_S = 1
PENDING_BYTES = 8 * 1024 * 1024
"""Unsent bytes that a connection holds before a publish waits, or fails while reconnecting."""
HANDLERS_S = 2.0
"""What a stop gives the handlers of ordinary subscribers; they are short."""
DRAIN_S = 2
REPEAT_S = 10.0
"""The same error of the connection is logged once in this time."""
WATCH_S = 1.0
STUCK_S = 15.0
"""A server that answered for so long while the client stayed away means a stuck client."""

Lost = Callable[[str], None]

_log = logs.logger(__name__)


def end_process(reason: str) -> NoReturn:
    """The last resort of a process whose connection is lost; whoever supervises it starts it."""
    _log.critical("nats connection lost", reason=reason)
    os._exit(EXIT_LOST)


class Broker(NatsBroker):
    """A `NatsBroker` whose loss ends the process and whose stop works without a server too."""

    def __init__(
        self, settings: SharedSettings, service: str, *, on_lost: Lost = end_process
    ) -> None:
        self.servers = [url.strip() for url in settings.nats_url.split(",")]
        self.link = Link(on_lost)
        name = users.name_in(settings.nats_url)
        super().__init__(
            self.servers,
            inbox_prefix="_INBOX" if name is None else users.inbox(name),
            name=f"{service}:{settings.instance}",
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_S,
            ping_interval=20,
            max_outstanding_pings=2,
            pending_size=PENDING_BYTES,
            drain_timeout=DRAIN_S,
            graceful_timeout=HANDLERS_S,
            error_cb=self.link.on_error,
            disconnected_cb=self.link.on_disconnected,
            reconnected_cb=self.link.on_reconnected,
            closed_cb=self.link.on_closed,
            ack_policy=AckPolicy.MANUAL,
            apply_types=False,
            decoder=undecoded,
            middlewares=(MessageContext,),
            logger=logging.getLogger("faststream"),
            log_level=logging.DEBUG,
        )

    async def connect(self) -> Client:
        """The connection, as soon as a server answers; waits for ever, raises where refused.

        It is read by our own reader from the start, which no subject of a message can end.
        """
        connection = await super().connect()
        wire_of(connection)
        self.link.connected()
        return connection

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Ends subscriptions, sends what is pending, leaves; without a server it just leaves."""
        self.link.leaving = True
        connection = self._connection
        try:
            await super().stop(exc_type, exc_val, exc_tb)
        except (Error, OSError) as error:
            _log.warning("left nats without a goodbye", error=str(error))
            if connection is not None:
                await connection.close()

    async def watch(self) -> None:
        """Until cancelled, tells `on_lost` when servers answer and the client stays away."""
        answering_since: float | None = None
        while True:
            await asyncio.sleep(WATCH_S)
            away = self._connection is not None and not self._connection.is_connected
            if not (away and await _any_greets(self.servers)):
                answering_since = None
            elif answering_since is None:
                answering_since = monotonic()
            elif monotonic() - answering_since > STUCK_S and not self.link.leaving:
                self.link.on_lost("the server answers, but the client does not reconnect")
                return


class Link:
    """What the connection reports, as log lines, metrics and the end of the process."""

    def __init__(self, on_lost: Lost) -> None:
        self.on_lost = on_lost
        self.leaving = False
        self._established = False
        self._said = ""
        self._said_at = 0.0

    def connected(self) -> None:
        """The first connection stands."""
        if not self._established:
            _log.info("nats connected")
        self._established = True
        metrics.nats_connected.set(1)

    async def on_error(self, error: Exception) -> None:
        """An error of the connection or of one subscription."""
        metrics.nats_errors.inc()
        said = str(error) or type(error).__name__
        if said != self._said or monotonic() - self._said_at > REPEAT_S:
            self._said, self._said_at = said, monotonic()
            _log.warning("nats error", error=said)
        reason = said.removeprefix("nats: ").strip("'").lower()
        if self._established and not self.leaving and reason in UNRECOVERABLE_CONNECT_ERRORS:
            # FastStream raises here, which would kill the client's only reconnecting task.
            self.on_lost(said)

    async def on_disconnected(self) -> None:
        """The connection broke, or was closed."""
        metrics.nats_connected.set(0)
        if not self.leaving:
            _log.warning("nats disconnected")

    async def on_reconnected(self) -> None:
        """The connection stands again, with all subscriptions."""
        metrics.nats_connected.set(1)
        metrics.nats_reconnects.inc()
        _log.info("nats reconnected")

    async def on_closed(self) -> None:
        """The client will not reconnect any more."""
        if not self.leaving:
            self.on_lost("the client closed the connection")


async def _any_greets(servers: Iterable[str]) -> bool:
    """Whether some server greets whoever connects."""
    for url in servers:
        if await _greets(url):
            return True
    return False


async def _greets(url: str) -> bool:
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(WATCH_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 4222)
            with closing(writer):
                return (await reader.readline()).startswith(b"INFO")
    except (OSError, TimeoutError, ValueError):
        return False
