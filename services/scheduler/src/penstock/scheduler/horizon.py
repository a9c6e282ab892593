"""How far back the log reaches: what lies before that may be gone, and is only in the archive."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from penstock.infra.nats import subjects
from penstock.infra.nats.direct import Direct, ReadUnavailable
from penstock.infra.nats.streams import EVENTS, EVENTS_WINDOW_S
from penstock.infra.telemetry import logs

AGED_PART = 0.9
"""Of the log's window: what is older may leave before whoever is told of it has read it."""

LOOK_EVERY_S = 60.0
"""In which the log loses a thousandth of the rest of its window at the most."""

LOOK_SOON_S = 1.0
"""While the log has nothing, or does not say."""

UNKNOWN = 2**63
"""Later than any message."""

MS = 1000

_log = logs.logger(__name__)


class Horizon:
    """Looks at the log from time to time. now: ms since the epoch.

    seq: the first message that stays for a while; everything before it is as good as gone. 1 while
    the log has never lost a message. Of a log that was not seen yet or has nothing, nobody can say
    what it once had: everything may be gone.
    """

    def __init__(
        self, direct: Direct, now: Callable[[], int], *, window_s: float = EVENTS_WINDOW_S
    ) -> None:
        self._direct = direct
        self._now = now
        self._aged_ms = window_s * MS * AGED_PART
        self._looking: asyncio.Task[None] | None = None
        self.seq = UNKNOWN

    async def start(self) -> None:
        """Begin to look."""
        await self._look()
        self._looking = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def is_old(self, subject: str) -> bool:
        """Whether a history may have begun before the horizon; also where its id does not say."""
        if self.seq <= 1:
            return False
        named = UUID(subjects.parse_events(subject).id)
        if named.version != 7:
            return True
        began = named.int >> 80
        return self._now() - began > self._aged_ms

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S if self.seq < UNKNOWN else LOOK_SOON_S)
            await self._look()

    async def _look(self) -> None:
        since = datetime.fromtimestamp((self._now() - self._aged_ms) / MS, UTC)
        try:
            page = await self._direct.read_since(EVENTS, since, batch=1)
            last = None if page else await self._direct.last(EVENTS, subjects.ANY_EVENTS)
        except ReadUnavailable as error:
            _log.warning("how far the log reaches is unknown", error=str(error))
            return
        self.seq = page[0].seq if page else last.seq + 1 if last is not None else UNKNOWN
