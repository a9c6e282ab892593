"""Every message, byte for byte, with its place in the chains, and the partition it goes to."""

from datetime import UTC, date, datetime
from functools import lru_cache

from msgspec import Struct

from penstock.projector.entry import Entry, Log
from penstock.projector.ids import uuid_text
from penstock.projector.projections.statements import Statement

RETENTION = {Log.EVENTS: "standard", Log.REGISTRY: "permanent"}
"""The retention class of each log's messages: registry events never age."""

DAY_MS = 86_400_000

PLACE = """
insert into penstock.registry_places (tenant_id, seq, events_seq)
select %(tenant)s, %(seq)s, seq from penstock.checkpoints where log = 'events'
on conflict (tenant_id, seq) do nothing
"""
"""The one projector that writes knows which events it has written before. A place that is known
stays, should the archive be filled anew."""


class ArchiveRow(Struct, frozen=True):
    """One row of `event_archive`. recorded_at in ms; the hashes are 32 bytes each."""

    entry: Entry
    recorded_at: int
    catalogue: int | None
    hash: bytes
    previous_hash: bytes
    log_hash: bytes
    tenant_hash: bytes


def month(at_ms: int) -> date:
    """The month whose partition holds a moment (UTC), as its first day."""
    return _month_of_day(at_ms // DAY_MS)


@lru_cache(maxsize=4096)
def _month_of_day(day: int) -> date:
    return datetime.fromtimestamp(day * 86_400, UTC).date().replace(day=1)


def place_statement(entry: Entry) -> Statement:
    """The place of the registry's message among the events of its tenant."""
    return Statement(PLACE, {"tenant": uuid_text(entry.tenant), "seq": entry.seq})
