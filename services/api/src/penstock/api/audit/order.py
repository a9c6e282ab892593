"""The one order of a tenant's messages over both logs, read from the archive.

A message of the registry stands right after the event that the archive had last when it came
(`registry_places`). One projector writes both logs, one batch after the other, so whatever a
transaction sees is the beginning of that order: what comes later stands later, and a reader who
goes on from a place passes over nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from penstock.api.positions import EVENTS, LAST_NTH, REGISTRY, Position
from penstock.infra.postgres.engine import Row, Session

LOOKED_AT = 1_000
"""Messages that one statement passes over; what they say is not read."""
BODIES = 64
"""Decisions read at once, each of up to 512 KiB."""

ENTRIES = """
(select 'events' as log, seq, seq as events_seq, 0 as nth, {matches} as matches
 from penstock.event_archive a
 where a.tenant_id = %(tenant)s and a.log = 'events' and a.retention_class = 'standard'
   and a.seq >= %(events_seq)s
 order by a.seq limit %(limit)s)
union all
(select 'registry', p.seq, p.events_seq, 1, {matches}
 from penstock.registry_places p join penstock.event_archive a
   on a.tenant_id = p.tenant_id and a.log = 'registry' and a.seq = p.seq
   and a.retention_class = 'permanent'
 where p.tenant_id = %(tenant)s
   and (p.events_seq, p.seq) >= (%(registry_after)s, %(registry_seq)s)
 order by p.events_seq, p.seq limit %(limit)s)
order by events_seq, nth, seq limit %(limit)s
"""
ANY = "true"
MATCHING = """(
    (%(kinds)s::text[] is null or a.kind = any (%(kinds)s))
    and (%(types)s::bytea[] is null
         or exists (select from unnest(%(types)s::bytea[]) t where position(t in a.body) > 0))
    and (%(actors)s::bytea[] is null
         or exists (select from unnest(%(actors)s::bytea[]) t where position(t in a.body) > 0)))"""
"""Whether a message may hold an event that is asked for; what it holds is looked at later."""

PLACED = """
select events_seq from penstock.registry_places
where tenant_id = %(tenant)s and seq <= %(seq)s order by seq desc limit 1
"""
MESSAGES = """
select log, seq, kind, subject_id, recorded_at, catalogue, body, hash, previous_hash, tenant_hash
from penstock.event_archive
where tenant_id = %(tenant)s and log = %(log)s and retention_class = %(class)s
  and seq = any (%(seqs)s)
"""
RETENTION = {EVENTS: "standard", REGISTRY: "permanent"}


class Wanted(NamedTuple):
    """Which events are asked for; empty is any. kinds: those whose histories may hold them."""

    types: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    @property
    def is_all(self) -> bool:
        """Whether every event is asked for."""
        return not self.types and not self.actors


class Entry(NamedTuple):
    """A message in its place. matches: whether it may hold what is asked for."""

    log: str
    seq: int
    events_seq: int
    matches: bool


async def entries(session: Session, tenant_id: str, after: Position, wanted: Wanted) -> list[Entry]:
    """The next messages from a place on, its own included unless the whole of it is behind.

    At most LOOKED_AT; fewer, and there are no more.
    """
    sql = ENTRIES.format(matches=ANY if wanted.is_all else MATCHING)
    rows = await session.all(
        sql,
        {
            "tenant": tenant_id,
            "limit": LOOKED_AT,
            "kinds": list(wanted.kinds) or None,
            "types": named("type", wanted.types),
            "actors": named("actor", wanted.actors),
            **await _beginning(session, tenant_id, after),
        },
    )
    return [Entry(row["log"], row["seq"], row["events_seq"], row["matches"]) for row in rows]


def named(member: str, values: Sequence[str]) -> list[bytes] | None:
    """How bodies say one of the values; None for any."""
    return [f'"{member}":'.encode() + msgspec.json.encode(value) for value in values] or None


async def _beginning(session: Session, tenant_id: str, after: Position) -> dict[str, int]:
    """The first sequence of each log, and which of the registry's count at all."""
    own = after.seq + (after.nth == LAST_NTH)
    if after.log == EVENTS:
        return {"events_seq": own, "registry_after": after.seq, "registry_seq": 0}
    row = await session.one(PLACED, {"tenant": tenant_id, "seq": after.seq})
    before = 0 if row is None else row["events_seq"]
    return {"events_seq": before + 1, "registry_after": before, "registry_seq": own}


async def messages(session: Session, tenant_id: str, asked: Sequence[Entry]) -> list[Row]:
    """The messages of some entries, in their order; of at most BODIES."""
    found: dict[tuple[str, int], Row] = {}
    for log, class_ in RETENTION.items():
        seqs = [each.seq for each in asked if each.log == log]
        if not seqs:
            continue
        parameters = {"tenant": tenant_id, "log": log, "class": class_, "seqs": seqs}
        for row in await session.all(MESSAGES, parameters):
            found[log, row["seq"]] = row
    return [found[each.log, each.seq] for each in asked if (each.log, each.seq) in found]
