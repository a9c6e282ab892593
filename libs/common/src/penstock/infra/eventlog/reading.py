"""How a history is read: from its last snapshot on, and from the archive what the log has no more.

A history without snapshots is read whole. Where its first messages have left the log, they are
found in the archive; where all of them have, the history is carried forward by whoever reads it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from penstock.infra.eventlog.log import EventLog, Stored
from penstock.messages.codec import Codec, Recorded
from penstock.messages.envelope import NO_HASH, chain_hash

E = TypeVar("E")
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class BrokenChain(Exception):
    """A history is not what was once appended; nothing may be decided on it."""


class Snapshots(Protocol[E, S_contra]):
    """How states of one kind become events that a fold can begin with."""

    def is_due(self, state: S_contra, since: int) -> bool:
        """Whether a snapshot is worth its cost after so many events without one."""

    async def taken(self, subject: str, state: S_contra, *, carried: bool = False) -> E:
        """The event; carried: the history before it has left the log. May raise what a store does.

        Its bytes are kept where it says, so the event fits into a decision.
        """

    async def opened(self, event: E) -> E:
        """A snapshot with its bytes, as the fold needs them. May raise what a store does."""

    def is_live(self, state: S_contra) -> bool:
        """Whether a history in this state may go on."""

    def is_one(self, event: E) -> bool:
        """Whether a fold may begin with the event."""


class Archive(Protocol):
    """Where messages are found that have left the log."""

    async def last(self, subject: str) -> Stored | None:
        """The last message of a history; None where none was ever archived."""

    async def read(self, subject: str, *, after: int, before: int) -> list[Stored]:
        """The messages with a sequence between the two, exclusive, in order."""


class Found(NamedTuple, Generic[E]):
    """A history as it was read: messages, what they decided, the hash of the last one.

    snapshot: sequence of the message that it begins with, if that is a snapshot, else 0.
    is_logged: whether the log still has any of it.
    """

    messages: Sequence[Stored]
    decisions: Sequence[Recorded[E]]
    hash: str
    snapshot: int = 0
    is_logged: bool = True


@dataclass(frozen=True, kw_only=True)
class Reading(Generic[E, S]):
    """Reads the histories of one kind.

    is_old: whether a history may be so old that the log has lost some of it.
    """

    log: EventLog
    codec: Codec[E]
    snapshots: Snapshots[E, S] | None = None
    archive: Archive | None = None
    is_old: Callable[[str], bool]

    async def history(self, subject: str) -> Found[E]:
        """The history of a subject, its chain checked.

        Raises LogUnavailable, Undecodable, BrokenChain, and what the archive raises.
        """
        last = None if self.snapshots is None else await self.log.last(subject)
        first = 0 if last is None else self._snapshot_of(last)
        is_empty = last is None and self.snapshots is not None
        stored = [] if is_empty else await self.log.read(subject, after=max(first - 1, 0))
        if not stored:
            return await self._archived(subject)
        decisions = [self.codec.decode(message.body) for message in stored]
        if not self._may_begin(decisions[0]):
            head = await self._head(subject, before=stored[0].seq, named=decisions[0].snapshot)
            stored = [*head, *stored]
            decisions = [*(self.codec.decode(message.body) for message in head), *decisions]
        return self._checked(subject, stored, decisions)

    def _snapshot_of(self, message: Stored) -> int:
        """The sequence of the last message that begins with a snapshot, up to this one."""
        decision = self.codec.decode(message.body)
        return message.seq if self._is_snapshot(decision) else decision.snapshot

    def _is_snapshot(self, decision: Recorded[E]) -> bool:
        first = decision.events[0] if decision.events else None
        return first is not None and self.snapshots is not None and self.snapshots.is_one(first)

    def _may_begin(self, decision: Recorded[E]) -> bool:
        return decision.previous_hash == NO_HASH or self._is_snapshot(decision)

    async def _archived(self, subject: str) -> Found[E]:
        """A history that the log has nothing of, as the archive has it."""
        if self.archive is None or not self.is_old(subject):
            return Found([], [], NO_HASH)
        last = await self.archive.last(subject)
        if last is None:
            return Found([], [], NO_HASH)
        stored = [last]
        if not self._may_begin(decided := self.codec.decode(last.body)):
            head = await self._head(subject, before=last.seq, named=decided.snapshot)
            stored = [*head, last]
        decisions = [self.codec.decode(message.body) for message in stored]
        return self._checked(subject, stored, decisions)._replace(is_logged=False)

    async def _head(self, subject: str, *, before: int, named: int) -> list[Stored]:
        """The archived messages before one, from the snapshot that it names on, 0 for none."""
        if self.archive is None:
            return []
        return await self.archive.read(subject, after=max(named - 1, 0), before=before)

    def _checked(
        self, subject: str, stored: Sequence[Stored], decisions: Sequence[Recorded[E]]
    ) -> Found[E]:
        """The history, each message shown to be the one that its successor was appended to."""
        begins = self._is_snapshot(decisions[0])
        last_hash = decisions[0].previous_hash if begins else NO_HASH
        for message, decision in zip(stored, decisions, strict=True):
            if decision.previous_hash != last_hash:
                raise BrokenChain(f"{subject} is broken at {message.seq}")
            last_hash = chain_hash(last_hash, message.body)
        return Found(stored, decisions, last_hash, stored[0].seq if begins else 0)
