"""Which partitions a scheduler should take or give back, as a function of what it has seen.

A lease is one message a subject, written anew every second. Nobody trusts anybody's clock: a
lease has run out when its message has stood still for `LEASE_PATIENCE_S` of the reader's own
monotonic clock. Leases only say who should do the work; two holders at once do no harm, because
every append is conditional.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

LEASE_PATIENCE_S = 4.0
"""How long a lease stands still before another scheduler takes it; renewed every second."""

MEMBER_PREFIX = "member-"


class Sighting(Struct, frozen=True):
    """A lease as last seen: who wrote it, as which message, and when that one was first seen.

    owner: instance id, empty when it was given back. seen_at: seconds, monotonic.
    """

    owner: str
    seq: int
    seen_at: float


class Plan(Struct, frozen=True):
    """Partitions to claim and to give back now."""

    claim: tuple[int, ...] = ()
    release: tuple[int, ...] = ()


def is_alive(sighting: Sighting, now: float) -> bool:
    """Whether the lease still holds."""
    return bool(sighting.owner) and now - sighting.seen_at < LEASE_PATIENCE_S


def observed(
    before: Mapping[str, Sighting], seen: Iterable[tuple[str, str, int]], now: float
) -> dict[str, Sighting]:
    """What is known of each lease after a look at (name, owner, seq) of all of them."""
    known = dict(before)
    for name, owner, seq in seen:
        if name not in known or known[name].seq != seq:
            known[name] = Sighting(owner, seq, now)
    return known


def members(sightings: Mapping[str, Sighting], now: float) -> list[str]:
    """The instances that are alive, sorted."""
    return sorted(
        sighting.owner
        for name, sighting in sightings.items()
        if name.startswith(MEMBER_PREFIX) and is_alive(sighting, now)
    )


def plan(
    me: str, held: set[int], sightings: Mapping[str, Sighting], *, partitions: int, now: float
) -> Plan:
    """Take what nobody holds, up to a fair share; give back what others lack.

    The fair share is `partitions` over all that are alive, rounded up; somebody who has less than
    it rounded down, with nothing left to take, is given some of what is above that.
    """
    alive = set(members(sightings, now)) | {me}
    most, least = -(-partitions // len(alive)), partitions // len(alive)
    holders = {p: holder(sightings.get(str(p)), now) for p in range(partitions)}
    free = [p for p in range(partitions) if p not in held and holders[p] in {"", me}]
    if free:
        return Plan(claim=tuple(free[: max(0, most - len(held))]))
    others = Counter(name for p, name in holders.items() if name and p not in held)
    lacking = sum(max(0, least - others[name]) for name in alive - {me})
    surplus = max(len(held) - most, min(len(held) - least, lacking), 0)
    return Plan(release=tuple(sorted(held, reverse=True)[:surplus]))


def holder(sighting: Sighting | None, now: float) -> str:
    """Who holds a lease, empty for nobody."""
    return sighting.owner if sighting is not None and is_alive(sighting, now) else ""
