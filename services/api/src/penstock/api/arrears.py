"""What the archive has not got yet: writers stop before the log forgets what nobody else knows.

The log keeps its events for a window. Should the projector be down for half of it, what is
appended from then on would be the less safe the longer that lasts, so nothing new is begun until
the archive has caught up.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from penstock.api.checkpoint import Checkpoint
from penstock.api.errors import Unavailable
from penstock.api.positions import EVENTS as EVENTS_LOG
from penstock.infra.nats.direct import Direct, ReadUnavailable, Recorded
from penstock.infra.nats.streams import EVENTS, EVENTS_WINDOW_S
from penstock.infra.telemetry import logs, metrics

UNARCHIVED_MAX_S = EVENTS_WINDOW_S / 2
"""Age of the oldest event that is in the log only, beyond which nothing is written."""
LOOK_EVERY_S = 5.0
STORED_AT = "Nats-Time-Stamp"
MS = 1000

_log = logs.logger(__name__)


class Arrears:
    """Looks after the oldest event without a copy. now: ms since the epoch.

    age_s: of that event; 0 while every event has its copy.
    """

    def __init__(self, direct: Direct, checkpoint: Checkpoint, now: Callable[[], int]) -> None:
        self._direct = direct
        self._checkpoint = checkpoint
        self._now = now
        self._looking: asyncio.Task[None] | None = None
        self.age_s = 0.0

    @property
    def is_too_old(self) -> bool:
        """Whether writers stop."""
        return self.age_s > UNARCHIVED_MAX_S

    def require(self) -> None:
        """Raise `Unavailable` while writers stop."""
        if self.is_too_old:
            raise Unavailable("the archive is too far behind the log: try again later")

    async def start(self) -> None:
        """Look at once, and then from time to time."""
        await self.look()
        self._looking = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def look(self) -> None:
        """Find out now. What cannot be known now stays as it was."""
        try:
            age_s = await self._age_s()
            if age_s > UNARCHIVED_MAX_S and await self._checkpoint.refresh():
                age_s = await self._age_s()
        except ReadUnavailable as error:
            _log.debug("the age of what is not archived is unknown", error=str(error))
            return
        if age_s > UNARCHIVED_MAX_S and not self.is_too_old:
            _log.error("writers stop: the archive is too far behind the log", age_s=age_s)
        self.age_s = age_s
        metrics.api_unarchived_seconds.set(age_s)

    async def _age_s(self) -> float:
        passed = self._checkpoint.passed(EVENTS_LOG)
        oldest = await self._direct.read_from(EVENTS, passed + 1, batch=1)
        return age_of(oldest[0], self._now()) if oldest else 0.0

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()


def age_of(message: Recorded, now_ms: int) -> float:
    """Seconds since a message was stored."""
    stored_at = datetime.fromisoformat(message.headers[STORED_AT])
    return max(0.0, now_ms / MS - stored_at.timestamp())
