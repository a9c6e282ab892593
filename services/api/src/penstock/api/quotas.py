"""How many workflows a tenant has, and how many runs it begins in a day: counted exactly.

Both are counted in Postgres, in tables of their own that no rebuild touches: the read models are
behind, and replicas know nothing of each other. What is counted can be too much, never too little:

- A replica takes executions of a day in blocks, smaller ones the less is left, and gives back what
  it has not used when it stops. One that is killed has used up its block.
- A workflow takes a place before it is made. A place whose workflow the read models do not have
  counts for `PLACE_S`; from then on it is taken to have come to nothing.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from weakref import WeakValueDictionary

from msgspec import Struct

from penstock.api.limits import QUOTA_EXCEEDED, Met, later, met
from penstock.infra.postgres.engine import DatabaseUnavailable, Engine, Session
from penstock.infra.postgres.tenant import tenant_session
from penstock.infra.telemetry import logs

BLOCK_MAX = 100
"""Executions that a replica takes at once, so that most cost no transaction."""
BLOCKS_LEFT = 16
"""A block is at most this part of what is left, so that no replica holds much of the rest."""
HELD_MAX = 10_000
"""Tenants whose blocks are held."""
KEPT_DAYS = 2
GIVING_BACK_S = 2.0

PLACE_S = 600
"""As long as the read models may be behind, before a place counts no more."""

BEGUN = """
insert into vault.daily_executions (tenant_id, day, granted)
select %(tenant)s::uuid, %(day)s::date, count(*) from penstock.runs
where tenant_id = %(tenant)s and parent_run_id is null and created_at >= %(day)s::date
on conflict (tenant_id, day) do nothing
"""
FORGOTTEN = "delete from vault.daily_executions where tenant_id = %(tenant)s and day < %(before)s"
GRANTED = """
select granted from vault.daily_executions
where tenant_id = %(tenant)s and day = %(day)s for update
"""
GRANT = """
update vault.daily_executions set granted = greatest(0, granted + %(more)s)
where tenant_id = %(tenant)s and day = %(day)s
"""

ONE_AT_A_TIME = "select pg_advisory_xact_lock(hashtextextended('places/' || %(tenant)s, 0))"
PLACES = """
with living as (
    select id from penstock.workflows where tenant_id = %(tenant)s and deleted_at is null
), coming as (
    select workflow_id from vault.workflow_places p
    where p.tenant_id = %(tenant)s and p.taken_at > now() - make_interval(secs => %(place_s)s)
      and p.workflow_id <> %(id)s and not exists (select from living l where l.id = p.workflow_id)
)
select (select count(*) from living) + (select count(*) from coming) as used,
       exists (select from living where id = %(id)s) as lives
"""
TAKE_PLACE = """
insert into vault.workflow_places (tenant_id, workflow_id, taken_at)
values (%(tenant)s, %(id)s, now())
on conflict (tenant_id, workflow_id) do update set taken_at = now()
"""
LEAVE_PLACE = """
delete from vault.workflow_places
where tenant_id = %(tenant)s
  and (workflow_id = %(id)s or taken_at <= now() - make_interval(secs => %(place_s)s))
"""

_log = logs.logger(__name__)


class Block(Struct):
    """Executions of one day that a replica may still begin."""

    day: date
    left: int


class Executions:
    """Counts the runs that tenants begin in a day (UTC). now: the moment."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._engine = engine
        self._now = now
        self._blocks: dict[str, Block] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(self, tenant_id: str, most: int | None) -> None:
        """One more run. Raises Problem 429 for one too many in this day."""
        if most is None:
            return
        if self._taken(tenant_id):
            return
        lock = self._locks.setdefault(tenant_id, asyncio.Lock())
        async with lock:
            if not self._taken(tenant_id):
                await self._fill(tenant_id, most)
                if not self._taken(tenant_id):
                    raise self._used_up(most)

    def give_back(self, tenant_id: str, most: int | None) -> None:
        """A run was not begun after all, or had been before."""
        block = self._blocks.get(tenant_id)
        if most is not None and block is not None and block.day == self._now().date():
            block.left += 1

    async def stop(self) -> None:
        """Give back what was not used, as far as there is time."""
        day = self._now().date()
        unused = {t: b.left for t, b in self._blocks.items() if b.left and b.day == day}
        self._blocks.clear()
        try:
            async with asyncio.timeout(GIVING_BACK_S):
                for tenant_id, left in unused.items():
                    await self._returned(tenant_id, day, left)
        except (DatabaseUnavailable, TimeoutError) as error:
            _log.warning("executions were not given back", error=repr(error))

    async def _returned(self, tenant_id: str, day: date, left: int) -> None:
        wanted = {"tenant": tenant_id, "day": day, "more": -left}
        async with tenant_session(self._engine, tenant_id) as session:
            await session.run(GRANT, wanted)

    def _taken(self, tenant_id: str) -> bool:
        block = self._blocks.get(tenant_id)
        if block is None or not block.left or block.day != self._now().date():
            return False
        block.left -= 1
        return True

    async def _fill(self, tenant_id: str, most: int) -> None:
        """Take the next block of today, if there is anything left."""
        day = self._now().date()
        async with tenant_session(self._engine, tenant_id) as session:
            left = most - await self._granted(session, tenant_id, day)
            size = max(0, min(left, max(1, min(BLOCK_MAX, left // BLOCKS_LEFT))))
            if size:
                wanted = {"tenant": tenant_id, "day": day, "more": size}
                await session.run(GRANT, wanted)
        if len(self._blocks) >= HELD_MAX:
            self._blocks = {t: b for t, b in self._blocks.items() if b.left and b.day == day}
        self._blocks[tenant_id] = Block(day, size)

    async def _granted(self, session: Session, tenant_id: str, day: date) -> int:
        """How many of the day's are used, or in blocks; the row is ours until the commit."""
        wanted = {"tenant": tenant_id, "day": day}
        row = await session.one(GRANTED, wanted)
        if row is None:
            before = day - timedelta(days=KEPT_DAYS)
            await session.run(FORGOTTEN, {"tenant": tenant_id, "before": before})
            await session.run(BEGUN, wanted)
            row = await session.one(GRANTED, wanted)
        assert row is not None, "it was made in this transaction, or before it"
        return int(row["granted"])

    def _used_up(self, most: int) -> Exception:
        said = f"the tenant has begun {most} runs today (UTC), as many as it may"
        which = Met("maxExecutionsPerDay", most, most)
        return later(QUOTA_EXCEEDED, said, which, self.resets_in_s())

    def resets_in_s(self) -> float:
        """Seconds until the day is over."""
        now = self._now()
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
        return (midnight - now).total_seconds()


class Places:
    """The places of tenants' workflows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def take(self, tenant_id: str, workflow_id: str, most: int | None) -> bool:
        """A place for a workflow that is going to be made; whether it has taken a new one.

        A workflow that lives has its place. Raises Problem 409 where there is none left: waiting
        would not help. Replicas that ask at once do so one after the other.
        """
        if most is None:
            return False
        wanted = {"tenant": tenant_id, "id": workflow_id, "place_s": PLACE_S}
        async with tenant_session(self._engine, tenant_id) as session:
            await session.run(ONE_AT_A_TIME, wanted)
            row = await session.one(PLACES, wanted)
            assert row is not None, "an aggregate answers one row"
            if row["lives"]:
                return False
            if row["used"] >= most:
                said = f"the tenant has {row['used']} workflows, and may have {most}: delete one"
                raise met(409, QUOTA_EXCEEDED, said, Met("maxWorkflows", most, row["used"]))
            await session.run(TAKE_PLACE, wanted)
        return True

    async def leave(self, tenant_id: str, workflow_id: str) -> None:
        """The workflow was not made, or is no more. Its place is free in any case, but later."""
        wanted = {"tenant": tenant_id, "id": workflow_id, "place_s": PLACE_S}
        try:
            async with tenant_session(self._engine, tenant_id) as session:
                await session.run(LEAVE_PLACE, wanted)
        except DatabaseUnavailable as error:
            _log.warning("a place was not left", workflow_id=workflow_id, error=str(error))
