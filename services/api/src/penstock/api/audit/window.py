"""What waits to be told of one tenant: which acts are the same one, and who has how much room.

    window.take(seen, at, request_id, traceparent)    # False where it is only counted

Acts are told apart by what a client does not choose freely: a User-Agent is kept of the first of
them and makes none different. Nobody has more than a share of a kind's places, so that whoever
fills theirs hides nobody else's acts; what has no place is counted for who did it.
"""

from collections import Counter
from typing import Final, NamedTuple

from msgspec import Struct, field

from penstock.api.identity.addresses import counted
from penstock.domain.access.decide import RecordAct
from penstock.domain.access.events import Act, LoginFailed
from penstock.infra.eventlog.transact import Addressed

KIND_MAX: Final = 60
"""Different acts of one kind in one window, of actors who are proven and as many of others; further
ones are only counted."""
SHARE_MAX: Final = 15
"""What one actor, one key that is claimed, or one address has of them."""
RESTS_MAX: Final = 20
"""Actors whose further acts are counted for each; those of others are counted together."""
ANONYMOUS: Final = "anonymous"
RECORDER: Final = "api:witness"
BETWEEN: Final = "\n"
"""Between the address and the program of an origin; stands in no header."""


class Seen(NamedTuple):
    """An act. extra: members that only its kind has."""

    kind: type[Act]
    actor: str
    origin: str
    method: str
    route: str
    status: int
    code: str
    extra: tuple[tuple[str, str], ...] = ()


class Counted(Struct):
    """How often, and when, ms; of the first one, the request."""

    first_at: int
    last_at: int
    request_id: str = ""
    traceparent: str = ""
    origin: str = ""
    count: int = 0

    def again(self, at: int) -> None:
        """Once more."""
        self.count += 1
        self.last_at = at


class Window(Struct):
    """What waits to be told of one tenant. due: on the monotonic clock. told: is on its way.

    seen: by the act, whose origin is a network here. taken: places, by room and by share. rests:
    what had no place, by actor.
    """

    due: float
    lasts_s: float
    seen: dict[Seen, Counted] = {}
    taken: Counter[tuple[object, ...]] = field(default_factory=Counter)
    rests: dict[str, Counted] = {}
    told: list[Addressed[RecordAct]] = []
    tries: int = 0

    def take(self, seen: Seen, at: int, request_id: str = "", traceparent: str = "") -> bool:
        """Count an act; False where it has no place of its own."""
        network = counted(seen.origin.partition(BETWEEN)[0])
        same = seen._replace(origin=network)
        found = self.seen.get(same)
        if found is None:
            room = (seen.kind, is_proven(seen))
            shares = [(*room, *each) for each in holders(seen, network)]
            is_full = self.taken[room] >= KIND_MAX
            if is_full or any(self.taken[share] >= SHARE_MAX for share in shares):
                self.count(seen.actor if is_proven(seen) else ANONYMOUS, at)
                return False
            self.taken.update([room, *shares])
            found = self.seen[same] = Counted(at, at, request_id, traceparent, seen.origin)
        found.again(at)
        return True

    def count(self, actor: str, at: int) -> None:
        """An act that is not told apart."""
        if actor not in self.rests and len(self.rests) >= RESTS_MAX:
            actor = RECORDER
        self.rests.setdefault(actor, Counted(at, at)).again(at)

    def clear(self) -> None:
        """Begin anew with what is seen from now on."""
        self.seen, self.taken, self.rests = {}, Counter(), {}


def is_proven(seen: Seen) -> bool:
    """Whether the actor is who they say; of a failed login it is whose account was tried."""
    return seen.actor != ANONYMOUS and seen.kind is not LoginFailed


def holders(seen: Seen, network: str) -> list[tuple[str, str]]:
    """Whose shares an act takes of: its actor's, or where none is proven its network's and those
    of whom it claims to be, who may not be to blame.
    """
    if is_proven(seen):
        return [("actor", seen.actor)]
    presented = dict(seen.extra).get("presented", "")
    claimed = seen.actor if seen.actor != ANONYMOUS else presented
    names_one = ":" in claimed
    return [("network", network), *([("claimed", claimed)] if names_one else [])]
