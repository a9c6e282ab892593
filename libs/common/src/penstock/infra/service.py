"""The shell that all our processes share: start, health, drain, stop.

    def main() -> None:
        run("executor", ExecutorSettings, build, subscribers)

`build(context)` gives the service's parts once NATS answers; it is tried again for ever, as is
`start`, so a process outlives any order in which the servers come up, and `/readyz` says 503
meanwhile. SIGTERM or SIGINT stops it gracefully within `graceful_timeout_s`; a second one at once.
Exit codes: 0 stopped as asked, 1 failed or late, 2 wrong settings, 70 lost its connection.
"""

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import uvloop
from faststream import FastStream
from faststream.nats import NatsRouter
from nats.aio.client import Client

from penstock.infra.broker import EXIT_LOST, Broker
from penstock.infra.probes import Probes
from penstock.infra.settings import SettingsInvalid, SharedSettings, load
from penstock.infra.telemetry import logs, tracing

EXIT_FAILED = 1
EXIT_SETTINGS = 2
RETRY_FIRST_S = 0.1
RETRY_MAX_S = 5.0
FLUSH_S = 1.0
"""The part of the graceful time that is kept for sending what is pending."""
HARD_S = 2.0
"""So long after the graceful time a process is ended that still has not left."""
COLLECT_AFTER = (50_000, 4, 1_000)
"""Allocations between collections, and how many of each generation make one of the next.

Hot loops make many small values and hardly any cycle; Python's own figures (700, 10, 10) spend a
fifth of a scheduler's time on looking. Everything stands still meanwhile: the second generation is
kept small for that, and the third, which holds all live runs, is walked once in hours.
"""
SAME_REQUEST_S = 1.0
"""A terminal's Ctrl-C reaches a process directly and through its supervisor: that is one wish."""

S = TypeVar("S", bound=SharedSettings)

_log = logs.logger(__name__)


class StartRefused(Exception):
    """Starting again cannot help; the text says what an operator has to do."""


class Service(Protocol):
    """What a service's `build` gives."""

    async def start(self) -> None:
        """Begins to work. Called again after it raised, so it leaves nothing half begun."""

    async def stop(self) -> None:
        """Stops fetching, finishes or hands back what is in flight, flushes. Bounded by caller."""

    async def ready(self) -> Mapping[str, bool]:
        """What it needs, and whether that is there: `streams`, `database`, …"""


V = TypeVar("V", bound=Service)


@dataclass(frozen=True, kw_only=True)
class Context(Generic[S]):
    """What a service is built from. `end(reason)` stops the whole process with code 1."""

    name: str
    settings: S
    broker: Broker
    end: Callable[[str], None]

    @property
    def nc(self) -> Client:
        """The connection, which stays the same object through all reconnects."""
        return self.broker.connection


Build = Callable[[Context[S]], Awaitable[V]]
Subscribers = Callable[[V], NatsRouter]


def run(
    name: str,
    settings: type[S],
    build: Build[S, V],
    subscribers: Subscribers[V] | None = None,
) -> None:
    """Loads the settings, serves, and ends the process with the exit code."""
    try:
        loaded = load(settings)
    except SettingsInvalid as invalid:
        sys.stderr.write(f"penstock {name}: {invalid}\n")
        sys.exit(EXIT_SETTINGS)
    sys.exit(serve(name, loaded, build, subscribers))


def serve(
    name: str, settings: S, build: Build[S, V], subscribers: Subscribers[V] | None = None
) -> int:
    """Runs one service until it is told to stop or cannot go on; the exit code.

    subscribers: the router of the service's ordinary subscribers, made once it is built.
    """
    logs.configure(name, settings.instance, settings.log_level)
    tracing.configure(name, settings.instance)
    process = Process(name, settings, build, subscribers)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(process.run())


class Process(Generic[S, V]):
    """One running service: FastStream's lifecycle around it, probes beside it."""

    def __init__(
        self,
        name: str,
        settings: S,
        build: Build[S, V],
        subscribers: Subscribers[V] | None,
    ) -> None:
        self._settings = settings
        self._build = build
        self._subscribers = subscribers
        self._service: V | None = None
        self._started = False
        self._ending = asyncio.Event()
        self._code = 0
        self._asked_at: float | None = None
        self._broker = Broker(settings, name, on_lost=self._lost)
        self._context = Context(name=name, settings=settings, broker=self._broker, end=self._end)
        self._probes = Probes(name, self._checks)
        self._app = FastStream(
            self._broker,
            logger=None,
            on_startup=[self._assemble],
            after_startup=[self._begin],
            on_shutdown=[self._finish],
        )

    async def run(self) -> int:
        """Start to stop; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked, number)
        host, port = self._settings.metrics_host, self._settings.metrics_port
        try:
            await self._probes.listen(host, port)
        except OSError as error:
            _log.critical("PENSTOCK_METRICS_PORT cannot be used", port=port, error=str(error))
            return EXIT_FAILED
        _log.info("starting", port=port)
        watching = asyncio.create_task(self._broker.watch())
        starting = asyncio.create_task(self._app.start())
        starting.add_done_callback(self._start_ended)
        await self._ending.wait()
        await self._leave(starting, watching)
        return self._code

    # --- start -----------------------------------------------------------------------------------

    async def _assemble(self) -> None:
        """Before FastStream starts subscribers: the connection, then the service's parts."""
        await persistently("connect to nats", self._broker.connect)
        self._service = await persistently("build", lambda: self._build(self._context))
        if self._subscribers is not None:
            self._broker.include_router(self._subscribers(self._service))

    async def _begin(self) -> None:
        """After FastStream started subscribers: the service's own work."""
        if self._service is not None:
            await persistently("start", self._service.start)
        # What exists now lives as long as the process: the collector need not walk it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        self._started = True
        _log.info("started")

    def _start_ended(self, starting: asyncio.Task[None]) -> None:
        if not starting.cancelled() and (error := starting.exception()) is not None:
            _log.critical("start failed", error=str(error), exc_info=error)
            self._stop_with(EXIT_FAILED)

    # --- health ----------------------------------------------------------------------------------

    async def _checks(self) -> Mapping[str, bool]:
        checks = {
            "nats": await self._broker.ping(0.1),
            "started": self._started and not self._ending.is_set(),
        }
        if self._service is not None:
            checks |= await self._service.ready()
        return checks

    # --- stop ------------------------------------------------------------------------------------

    def _asked(self, number: signal.Signals) -> None:
        now = asyncio.get_running_loop().time()
        if self._asked_at is None:
            self._asked_at = now
            _log.info("stopping", signal=number.name)
            self._stop_with(0)
        elif now - self._asked_at > SAME_REQUEST_S:
            _log.warning("stopped at once", signal=number.name)
            os._exit(128 + number)

    def _end(self, reason: str) -> None:
        _log.critical("cannot go on", reason=reason)
        self._stop_with(EXIT_FAILED)

    def _lost(self, reason: str) -> None:
        _log.critical("nats connection lost", reason=reason)
        self._stop_with(EXIT_LOST)

    def _stop_with(self, code: int) -> None:
        """Begins the stop; the first bad code is the one that is told."""
        self._code = self._code or code
        self._ending.set()

    async def _leave(self, *tasks: asyncio.Task[None]) -> None:
        """Stops within the graceful time, whatever state the start had reached."""
        grace = self._settings.graceful_timeout_s
        # Works without the event loop, should something have taken hold of that.
        guard = threading.Timer(grace + HARD_S, os._exit, (EXIT_FAILED,))
        guard.daemon = True
        guard.start()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(grace):
                await self._app.stop()
        except Exception:  # noqa: BLE001  the last chance to leave in order has passed
            _log.exception("left without order")
            self._stop_with(EXIT_FAILED)
        await self._probes.close()
        await asyncio.to_thread(tracing.shutdown)
        guard.cancel()
        _log.info("stopped", code=self._code)

    async def _finish(self) -> None:
        """Before FastStream leaves NATS: the service's own stop."""
        if self._service is None:
            return
        try:
            async with asyncio.timeout(max(self._settings.graceful_timeout_s - FLUSH_S, FLUSH_S)):
                await self._service.stop()
        except Exception:  # noqa: BLE001  what is pending is still to be sent
            _log.exception("stop failed")
            self._stop_with(EXIT_FAILED)


R = TypeVar("R")


async def persistently(what: str, attempt: Callable[[], Awaitable[R]]) -> R:
    """`attempt` until it succeeds, with growing pauses; only `StartRefused` ends it."""
    pause = RETRY_FIRST_S
    while True:
        try:
            return await attempt()
        except StartRefused:
            raise
        except Exception as error:  # noqa: BLE001  a server may be missing in many ways
            _log.warning(f"could not {what} yet", error=repr(error), retry_in_s=pause)
            _log.debug("because", exc_info=error)
        await asyncio.sleep(pause)
        pause = min(pause * 2, RETRY_MAX_S)
