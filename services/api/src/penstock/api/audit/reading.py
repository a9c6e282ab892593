"""Pages of a tenant's events in order, and all of them one after the other."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from penstock.api.audit.order import BODIES, LOOKED_AT, Entry, Wanted, entries, messages
from penstock.api.audit.telling import Shown, Teller
from penstock.api.positions import LAST_NTH, REGISTRY, Position
from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.tenant import tenant_session

ROUNDS_MAX = 10
"""So often one request passes over LOOKED_AT messages that do not hold what is asked for; then it
answers what it has found, and from where to go on."""
DURABLE = "select pg_logical_emit_message(true, 'penstock.audit', '')"
"""Makes the reading transaction's commit wait until all that it has seen is on disk. The projector
does not wait for that, and after a crash of Postgres it could write the two logs in another order
than the one that was told."""


class Page(NamedTuple):
    """events: as they are shown. next: the place from which to go on, None where it began."""

    events: list[Shown]
    next: str | None


class Reader:
    """Reads what became of one tenant."""

    def __init__(self, engine: Engine, teller: Teller, tenant_id: str, wanted: Wanted) -> None:
        self._engine = engine
        self._teller = teller
        self._tenant_id = tenant_id
        self._wanted = wanted

    async def page(self, after: Position, limit: int) -> Page:
        """Up to `limit` events behind a place. Raises DatabaseUnavailable, Unopenable."""
        place = after
        for _ in range(ROUNDS_MAX):
            listed = await self._listed(place)
            found: list[Shown] = []
            for part in parts(listed):
                found += await self._told(part, after)
                if len(found) >= limit:
                    break
            if found:
                shown = found[:limit]
                return Page(shown, shown[-1]["position"])
            if len(listed) < LOOKED_AT:
                return Page([], None)
            place = whole(listed[-1])
        return Page([], named(place))

    async def all(self, after: Position, ends: Mapping[str, int]) -> AsyncIterator[list[Shown]]:
        """Every event behind a place, up to the ends of both logs; of a few messages at once."""
        place = after
        while True:
            listed = await self._listed(place)
            due = list(takewhile(lambda each: each.seq <= ends.get(each.log, 0), listed))
            for part in parts(due):
                yield await self._told(part, after)
            if len(due) < LOOKED_AT:
                return
            place = whole(due[-1])

    async def _listed(self, place: Position) -> list[Entry]:
        async with tenant_session(self._engine, self._tenant_id) as session:
            listed = await entries(session, self._tenant_id, place, self._wanted)
            await session.run(DURABLE)
        return listed

    async def _told(self, part: Sequence[Entry], after: Position) -> list[Shown]:
        async with tenant_session(self._engine, self._tenant_id) as session:
            rows = await messages(session, self._tenant_id, part)
            return await self._teller.told(session, rows, after)


def parts(listed: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Those that may hold what is asked for, as many at once as may be in memory."""
    matching = [each for each in listed if each.matches]
    for first in range(0, len(matching), BODIES):
        yield matching[first : first + BODIES]


def whole(entry: Entry) -> Position:
    """The place behind all of a message."""
    return Position(entry.log, entry.seq, LAST_NTH)


def named(place: Position) -> str:
    """The place behind a message as clients say it."""
    return f"{'r' if place.log == REGISTRY else ''}{place.seq}"
