"""The archive of histories in Postgres: where a scheduler finds what has left the log."""

from collections.abc import Mapping

from penstock.infra.eventlog.log import LogUnavailable, Stored
from penstock.infra.nats import subjects
from penstock.infra.postgres.engine import DatabaseUnavailable, Engine, Row

ROWS_MAX = 100_000
"""Messages of one history between two snapshots; there are far fewer."""

LAST = """
    select seq, body from penstock.event_archive
    where tenant_id = %(tenant)s and log = 'events' and kind = %(kind)s and subject_id = %(id)s
      and octet_length(body) > 0
    order by seq desc limit 1
"""
BETWEEN = """
    select seq, body from penstock.event_archive
    where tenant_id = %(tenant)s and log = 'events' and kind = %(kind)s and subject_id = %(id)s
      and octet_length(body) > 0
      and seq > %(after)s and seq < %(before)s
    order by seq limit %(limit)s
"""
AT = "select body from penstock.event_archive where log = 'events' and seq = %(seq)s and body <> ''"


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

    async def at(self, seq: int) -> bytes | None:
        """The body of the message with this sequence, None where there is none.

        Raises LogUnavailable while the database is away.
        """
        rows = await self._found(AT, {"seq": seq})
        return bytes(rows[0]["body"]) if rows else None

    async def _rows(self, query: str, subject: str, **wanted: int) -> list[Row]:
        about = subjects.parse_events(subject)
        named = {"tenant": about.tenant, "kind": about.kind, "id": about.id}
        return await self._found(query, {**named, **wanted})

    async def _found(self, query: str, wanted: Mapping[str, str | int]) -> list[Row]:
        try:
            async with self._engine.transaction() as session:
                return await session.all(query, wanted)
        except DatabaseUnavailable as error:
            raise LogUnavailable(f"the archive is away: {error}") from error
