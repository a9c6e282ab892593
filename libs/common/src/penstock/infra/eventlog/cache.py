"""Folded states by subject, the most recently used; a restart or a conflict costs only a read."""

from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

ENTRIES_MAX = 20_000
"""At about 10 KiB for the state of a small run."""

S = TypeVar("S")


class Held(NamedTuple, Generic[S]):
    """What is known of a history: its end and its fold.

    seq: of its last message in the log, 0 for none. hash: of its last message. position: of its
    last event, `<seq>.<index>`. snapshot: sequence of the last message that begins with one, 0 for
    none; since: events after that.
    """

    seq: int
    hash: str
    position: str | None
    state: S
    snapshot: int = 0
    since: int = 0


class Cache(Generic[S]):
    """A bounded memory of held histories. Belongs to one ledger."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._held: OrderedDict[str, Held[S]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, subject: str) -> Held[S] | None:
        """What is held of a subject, which thereby becomes the most recently used."""
        held = self._held.get(subject)
        if held is not None:
            self._held.move_to_end(subject)
        return held

    def put(self, subject: str, held: Held[S]) -> None:
        """Remembers, and forgets the least recently used beyond the bound."""
        self._held[subject] = held
        self._held.move_to_end(subject)
        if len(self._held) > self._entries_max:
            self._held.popitem(last=False)

    def subjects(self) -> list[str]:
        """What is held, the least recently used first."""
        return list(self._held)

    def drop(self, subject: str) -> None:
        """Forgets a subject."""
        self._held.pop(subject, None)
