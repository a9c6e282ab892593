"""The archive of histories in Postgres: where a scheduler finds what has left the log."""

from collections.abc import Callable
from uuid import UUID

from penstock.infra.eventlog.log import LogUnavailable, Stored
from penstock.infra.nats import subjects
from penstock.infra.nats.streams import EVENTS_WINDOW_S
from penstock.infra.postgres.engine import DatabaseUnavailable, Engine, Row

AGED_PART = 0.9
"""Of the log's window: what began longer ago may have lost its first messages."""

ROWS_MAX = 100_000
"""Messages of one history between two snapshots; there are far fewer."""

LAST = """
    select seq, body from penstock.event_archive
    where tenant_id = %(tenant)s and log = 'events' and kind = %(kind)s and subject_id = %(id)s
    order by seq desc limit 1
"""
BETWEEN = """
    select seq, body from penstock.event_archive
    where tenant_id = %(tenant)s and log = 'events' and kind = %(kind)s and subject_id = %(id)s
      and seq > %(after)s and seq < %(before)s
    order by seq limit %(limit)s
"""


class Archived:
    """Reads the archive."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def last(self, subject: str) -> Stored | None:
        """See Archive. Raises LogUnavailable while the database is away."""
        rows = await self._rows(LAST, subject)
        return Stored(rows[0]["seq"], subject, bytes(rows[0]["body"])) if rows else None

    async def read(self, subject: str, *, after: int, before: int) -> list[Stored]:
        """See Archive. Raises LogUnavailable while the database is away."""
        rows = await self._rows(BETWEEN, subject, after=after, before=before, limit=ROWS_MAX)
        return [Stored(row["seq"], subject, bytes(row["body"])) for row in rows]

    async def _rows(self, query: str, subject: str, **wanted: int) -> list[Row]:
        about = subjects.parse_events(subject)
        try:
            async with self._engine.transaction() as session:
                named = {"tenant": about.tenant, "kind": about.kind, "id": about.id}
                return await session.all(query, named | wanted)
        except DatabaseUnavailable as error:
            raise LogUnavailable(f"the archive is away: {error}") from error


class Age:
    """Tells old histories by their ids. now: ms since the epoch."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now

    def is_old(self, subject: str) -> bool:
        """Whether it may have begun before the log's window; also where its id does not say."""
        named = UUID(subjects.parse_events(subject).id)
        if named.version != 7:
            return True
        began = named.int >> 80
        return self._now() - began > EVENTS_WINDOW_S * 1000 * AGED_PART
