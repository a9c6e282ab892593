"""The log for tests and simulation; by a seed it behaves as badly as the real one can."""

import asyncio
from dataclasses import dataclass
from random import Random

from penstock.infra.eventlog.log import AppendUnknown, LogUnavailable, Stored, VersionConflict


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How often, as shares of 1, an append goes wrong.

    conflict: refused although nobody else wrote. lost_ack: stored, not acknowledged. lost: neither.
    unavailable: refused at once; reads too.
    """

    conflict: float = 0.0
    lost_ack: float = 0.0
    lost: float = 0.0
    unavailable: float = 0.0


NONE = Faults()


class MemoryLog:
    """Histories in a dict, with the sequence numbers of one stream."""

    def __init__(self, *, faults: Faults = NONE, seed: int = 0) -> None:
        self.faults = faults
        self.messages: list[Stored] = []
        self._random = Random(seed)
        self._histories: dict[str, list[Stored]] = {}

    async def read(self, subject: str, *, after: int = 0) -> list[Stored]:
        """See EventLog."""
        await asyncio.sleep(0)
        self._maybe_unavailable()
        return [stored for stored in self._histories.get(subject, ()) if stored.seq > after]

    async def last(self, subject: str) -> Stored | None:
        """See EventLog."""
        history = await self.read(subject)
        return history[-1] if history else None

    def forget(self, subject: str, before: int) -> None:
        """Lose the messages of a history before a sequence, as a log with a window does."""
        kept = [stored for stored in self._histories.get(subject, ()) if stored.seq >= before]
        self._histories[subject] = kept

    async def append(self, subject: str, body: bytes, *, expected: int) -> int:
        """See EventLog."""
        await asyncio.sleep(0)
        self._maybe_unavailable()
        if self._happens(self.faults.conflict):
            raise VersionConflict(subject)
        if self._happens(self.faults.lost):
            raise AppendUnknown(subject)
        history = self._histories.setdefault(subject, [])
        if (history[-1].seq if history else 0) != expected:
            raise VersionConflict(subject)
        stored = Stored(len(self.messages) + 1, subject, body)
        self.messages.append(stored)
        history.append(stored)
        if self._happens(self.faults.lost_ack):
            raise AppendUnknown(subject)
        return stored.seq

    def _maybe_unavailable(self) -> None:
        if self._happens(self.faults.unavailable):
            raise LogUnavailable("told to be")

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share
