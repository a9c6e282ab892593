"""Remembers what was tried, and tells history of it: never in the way of a request, never a flood.

    witness.saw(tenant_id, seen, request_id=…, traceparent=…)    # returns at once

Equal acts are counted while they wait to be told. A tenant's first one waits half a second; while
more keep coming the waits double up to a minute, so that a flood, however long, is a bounded number
of events whose counts add up. What there was no room for is counted in events of its own.

What succeeded waits apart from what was tried in vain, and never longer than half a second: nobody
hides an export behind denials.

Each process tells in histories of its own, whose acts are numbered: what is told twice because an
answer was lost stands there once. What a process that is killed had not told yet is lost: at most
a minute's denials of a tenant under attack, half a second's acts of any other kind or tenant.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple, cast

import uuid_utils
from msgspec import Struct

from penstock.api.audit.origin import closed
from penstock.api.audit.window import RECORDER, Counted, Seen, Window
from penstock.domain.access.decide import ACCESS, RecordAct
from penstock.domain.access.events import (
    AccessEvent,
    ActsUnrecorded,
    DataExported,
    LoggedIn,
    LoggedOut,
    SessionRevoked,
)
from penstock.domain.identity import PLATFORM_SCOPE
from penstock.infra.eventlog.cache import Cache
from penstock.infra.eventlog.log import EventLog
from penstock.infra.eventlog.transact import Addressed, Ledger
from penstock.infra.keyring.payloads import Seals
from penstock.infra.nats import subjects
from penstock.infra.telemetry import logs, metrics
from penstock.messages import catalogue
from penstock.messages.codec import codec_for

TICK_S: Final = 0.1
TENANTS_MAX: Final = 1_000
"""Tenants with acts that wait; those of further ones are counted at the platform."""
BOOKS_MAX: Final = 1_000
"""Tenants whose history of ours is gone on with; for others the next act begins a new one."""
BOOK_MAX: Final = 500
"""Decisions of one history, which is read whole by whoever does not hold it."""
TRIES_MAX: Final = 120
STOP_S: Final = 2.0
"""What a stop gives to what waits."""
PLATFORM: Final = str(PLATFORM_SCOPE)
DONE: Final = frozenset({LoggedIn, LoggedOut, SessionRevoked, DataExported})
"""What took effect: rare, for each is somebody's who was let in."""

_log = logs.logger(__name__)


class Pace(NamedTuple):
    """How long acts wait to be told, and counted: at first, while they never end, after a failure;
    in seconds.
    """

    first_s: float = 0.5
    most_s: float = 60.0
    retry_s: float = 1.0


PACE: Final = Pace()


class Book(Struct):
    """A history that this process writes. number: of its last act."""

    id: str
    number: int = 0
    decisions: int = 0


class Witness:
    """Sees acts, and tells them. now: ms since the epoch."""

    def __init__(
        self,
        log: EventLog,
        seals: Seals,
        is_connected: Callable[[], bool],
        now: Callable[[], int],
        pace: Pace = PACE,
    ) -> None:
        self._done = Teller(log, seals, is_connected, now, pace._replace(most_s=pace.first_s))
        self._tried = Teller(log, seals, is_connected, now, pace)

    def saw(
        self, tenant_id: str | None, seen: Seen, *, request_id: str = "", traceparent: str = ""
    ) -> None:
        """Take note of an act; without a tenant it is the platform's."""
        teller = self._done if seen.kind in DONE else self._tried
        teller.saw(tenant_id or PLATFORM, seen, request_id, traceparent)

    def start(self) -> None:
        """Begin to tell."""
        self._done.start()
        self._tried.start()

    async def stop(self) -> None:
        """Tell what waits, as far as time allows, and end."""
        await asyncio.gather(self._done.stop(), self._tried.stop())


class Teller:
    """Tells acts of one sort, in windows and histories that no others stand in."""

    def __init__(
        self,
        log: EventLog,
        seals: Seals,
        is_connected: Callable[[], bool],
        now: Callable[[], int],
        pace: Pace,
    ) -> None:
        self._pace = pace
        self._seals = seals
        self._is_connected = is_connected
        self._now = now
        self._windows: dict[str, Window] = {}
        self._books: OrderedDict[str, Book] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._ledger: Ledger[RecordAct, AccessEvent, int] = Ledger(
            log=log,
            cache=Cache(BOOKS_MAX),
            decider=ACCESS,
            codec=codec_for(catalogue.ACCESS),
            now=now,
            is_new=lambda commands: commands[0].command.act.number == 1,
        )

    def saw(self, tenant_id: str, seen: Seen, request_id: str, traceparent: str) -> None:
        """Take note of an act."""
        at = self._now()
        window = self._window(tenant_id)
        if window is None:
            self._windows.setdefault(PLATFORM, self._opened()).count(RECORDER, at)
        elif window.take(seen, at, request_id, traceparent):
            return
        metrics.api_acts_unrecorded.labels("no room").inc()

    def _window(self, tenant_id: str) -> Window | None:
        """Where a tenant's acts wait; None where that is nowhere."""
        window = self._windows.get(tenant_id)
        if window is None and len(self._windows) < TENANTS_MAX:
            window = self._windows[tenant_id] = self._opened()
        return window

    def _opened(self) -> Window:
        return Window(monotonic() + self._pace.first_s, self._pace.first_s)

    def start(self) -> None:
        """Begin to tell."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Tell what waits, as far as time allows, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(STOP_S):
                for tenant_id, window in list(self._windows.items()):
                    await self._tell(tenant_id, window)
        except TimeoutError:
            metrics.api_acts_unrecorded.labels("stopped").inc()
            _log.warning("acts are left untold", tenants=len(self._windows))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for tenant_id, window in list(self._windows.items()):
                if window.due <= monotonic() and self._is_connected():
                    await self._tell(tenant_id, window)

    async def _tell(self, tenant_id: str, window: Window) -> None:
        """What a tenant's window has seen; nothing is left of a window that has seen nothing."""
        book = self._book(tenant_id)
        try:
            if not window.told:
                window.told = await self._commands(tenant_id, window, book)
            if not window.told:
                del self._windows[tenant_id]
                return
            subject = subjects.registry(tenant_id, catalogue.ACCESS, book.id)
            outcome = await self._ledger.transact(subject, window.told)
        except Exception as error:  # noqa: BLE001 - whatever it is, requests go on
            self._failed(tenant_id, window, error)
            return
        del window.told[: outcome.taken]
        book.decisions += 1
        window.tries = 0
        window.lasts_s = min(2 * window.lasts_s, self._pace.most_s)
        window.due = monotonic() + (0.0 if window.told else window.lasts_s)

    def _failed(self, tenant_id: str, window: Window, error: Exception) -> None:
        """Try again for some time, for the log may be away."""
        _log.warning("acts cannot be told now", tenant=tenant_id, error=repr(error))
        window.tries += 1
        window.due = monotonic() + self._pace.retry_s
        if window.tries >= TRIES_MAX:
            metrics.api_acts_unrecorded.labels("failed").inc(len(window.told))
            window.told, window.tries = [], 0
            self._books.pop(tenant_id, None)

    def _book(self, tenant_id: str) -> Book:
        """The history that a tenant's acts go into now."""
        book = self._books.get(tenant_id)
        if book is None or (book.decisions >= BOOK_MAX and not self._windows[tenant_id].told):
            book = self._books[tenant_id] = Book(str(uuid_utils.uuid7()))
        self._books.move_to_end(tenant_id)
        if len(self._books) > BOOKS_MAX:
            self._books.popitem(last=False)
        return book

    async def _commands(
        self, tenant_id: str, window: Window, book: Book
    ) -> list[Addressed[RecordAct]]:
        """What the window has seen so far, numbered; it begins anew."""
        seen, rests = window.seen, window.rests
        window.clear()
        told = []
        for each, counted in seen.items():
            origin = await closed(self._seals, tenant_id, counted.origin)
            told.append(addressed(book, each, counted, origin))
        for actor, rest in rests.items():
            told.append(unrecorded(book, actor, rest))
        return told


def unrecorded(book: Book, actor: str, rest: Counted) -> Addressed[RecordAct]:
    """The next event of a book, of an actor's acts that had no place."""
    book.number += 1
    act = ActsUnrecorded(
        number=book.number, count=rest.count, first_at=rest.first_at, last_at=rest.last_at
    )
    return Addressed(RecordAct(act=act), f"{book.id}/{book.number}", actor)


def addressed(book: Book, seen: Seen, counted: Counted, origin: str) -> Addressed[RecordAct]:
    """The next act of a book."""
    book.number += 1
    act = seen.kind(
        number=book.number,
        method=seen.method,
        route=seen.route,
        status=seen.status,
        code=seen.code,
        count=counted.count,
        first_at=counted.first_at,
        last_at=counted.last_at,
        **dict(seen.extra),
    )
    return Addressed(
        RecordAct(act=cast("AccessEvent", act)),
        f"{book.id}/{book.number}",
        seen.actor,
        counted.request_id,
        counted.traceparent,
        origin,
    )
