"""The data keys of tenants: kept wrapped in `vault.data_keys`, unwrapped here for a short while.

    keys = DataKeys(engine, keks)
    sealer = keys.at_hand(tenant_id) or await keys.sealer(tenant_id)
    opener = keys.opener_at_hand(tenant_id, key_id) or await keys.opener(tenant_id, key_id)

The vault is reached by functions with fixed bodies, so that a role which may call them reads no
table. A tenant has one key in use at a time; it is replaced when it is old or worn, and the ones
before it go on opening what they sealed. The first one goes on sealing what has to be compared
over the years: names, and the like.
"""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import uuid_utils
from msgspec import Struct

from penstock.domain.errors import PenstockError
from penstock.infra.keyring.keks import Keks
from penstock.infra.keyring.sealing import DATA_KEY_BYTES, Sealer
from penstock.infra.postgres.engine import DatabaseUnavailable, Engine, Row

HELD_S = 60.0
"""How long an unwrapped key is used before the vault is asked again: a tenant's deletion takes its
keys away from every process within this time."""
HELD_MAX = 10_000
"""Keys at hand; those longest not used make room."""
CLOSED_S = 3600.0
"""How long a tenant's keys stay closed here once its deletion was heard of: long enough for whoever
destroys them in the vault to have done so, at the first attempt or a later one."""
CLOSED_MAX = 10_000
AWAY_S = 2.0
"""How long a key is used on without asking again while the vault cannot be reached: nobody can
destroy it there meanwhile."""
KEY_LIFE = timedelta(days=30)
"""After which a tenant's next key is made: what one stolen key opens is bounded."""

FIRST = UUID(int=0)
"""Asks for a tenant's first key, as if it were the id of one."""

FIND = "select id, kek_id, wrapped, created_at from vault.find_data_key(%(tenant)s, %(key)s)"
FIND_FIRST = "select id, kek_id, wrapped, created_at from vault.first_data_key(%(tenant)s)"
ADD = """
select id, kek_id, wrapped, created_at
from vault.add_data_key(%(tenant)s, %(key)s, %(kek)s, %(wrapped)s, %(after)s)
"""


class KeyGone(PenstockError):
    """The tenant's key has been destroyed, and what it sealed with it."""


class Held(Struct):
    """A key in memory. until: when it is asked for again, on the clock of `DataKeys`."""

    sealer: Sealer
    until: float


class DataKeys:
    """The data keys that a process uses. clock: seconds, monotonic."""

    def __init__(
        self, engine: Engine, keks: Keks, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._keks = keks
        self._clock = clock
        self._held: OrderedDict[tuple[str, UUID | None], Held] = OrderedDict()
        self._asked: dict[tuple[str, UUID | None], asyncio.Task[Sealer]] = {}
        self._closed: OrderedDict[str, float] = OrderedDict()

    def at_hand(self, tenant_id: str) -> Sealer | None:
        """The key that seals for the tenant, without waiting; None when it has to be asked for."""
        sealer = self._found(tenant_id, None)
        return None if sealer is None or sealer.is_worn else sealer

    def opener_at_hand(self, tenant_id: str, key_id: UUID) -> Sealer | None:
        """The key that opens, without waiting; None when it has to be asked for."""
        return self._found(tenant_id, key_id)

    async def sealer(self, tenant_id: str) -> Sealer:
        """The key that seals for the tenant, made at the first need.

        Raises KeyGone for a tenant whose keys were destroyed, KekUnknown, Unopenable,
        DatabaseUnavailable.
        """
        return self.at_hand(tenant_id) or await self._once(tenant_id, None)

    async def opener(self, tenant_id: str, key_id: UUID) -> Sealer:
        """The key by that id, for `open`. Raises as `sealer` does; KeyGone for an unknown one."""
        return self.opener_at_hand(tenant_id, key_id) or await self._once(tenant_id, key_id)

    def first_at_hand(self, tenant_id: str) -> Sealer | None:
        """The tenant's first key, without waiting; None when it has to be asked for."""
        return self._found(tenant_id, FIRST)

    async def first(self, tenant_id: str) -> Sealer:
        """The tenant's first key, made at the first need. Raises as `sealer` does."""
        return self.first_at_hand(tenant_id) or await self._once(tenant_id, FIRST)

    def forget(self, tenant_id: str) -> None:
        """Have no key of the tenant at hand any more."""
        for known in [each for each in self._held if each[0] == tenant_id]:
            del self._held[known]

    def close(self, tenant_id: str) -> None:
        """Have no key of the tenant, and ask for none: its keys are destroyed, or about to be.

        Until they are, somebody who asked the vault would get one once more.
        """
        self.forget(tenant_id)
        self._closed[tenant_id] = self._clock() + CLOSED_S
        self._closed.move_to_end(tenant_id)
        if len(self._closed) > CLOSED_MAX:
            self._closed.popitem(last=False)

    def _refuse_closed(self, tenant_id: str) -> None:
        """Raise KeyGone for a tenant whose keys are closed."""
        if self._closed.get(tenant_id, 0.0) > self._clock():
            raise KeyGone

    def _found(self, tenant_id: str, key_id: UUID | None) -> Sealer | None:
        held = self._held.get((tenant_id, key_id))
        if held is None or held.until <= self._clock():
            return None
        self._held.move_to_end((tenant_id, key_id))
        return held.sealer

    async def _once(self, tenant_id: str, key_id: UUID | None) -> Sealer:
        """One question to the vault for all who ask at the same moment."""
        self._refuse_closed(tenant_id)
        asked = self._asked.get((tenant_id, key_id))
        if asked is None:
            looking = self._looked_up(tenant_id, key_id)
            asked = self._asked[tenant_id, key_id] = asyncio.create_task(looking)
            asked.add_done_callback(lambda done: self._answered(tenant_id, key_id, done))
        return await asyncio.shield(asked)

    def _answered(self, tenant_id: str, key_id: UUID | None, done: asyncio.Task[Sealer]) -> None:
        del self._asked[tenant_id, key_id]
        if not done.cancelled():
            done.exception()

    async def _looked_up(self, tenant_id: str, key_id: UUID | None) -> Sealer:
        """What the vault says; what was at hand before, while it cannot be asked."""
        try:
            if key_id == FIRST:
                return await self._first(tenant_id)
            if key_id is None:
                return await self._current(tenant_id)
            return await self._by_id(tenant_id, key_id)
        except DatabaseUnavailable:
            held = self._held.get((tenant_id, key_id))
            if held is None or (key_id is None and held.sealer.is_worn):
                raise
            held.until = self._clock() + AWAY_S
            return held.sealer

    async def _by_id(self, tenant_id: str, key_id: UUID) -> Sealer:
        row = await self._find(tenant_id, key_id)
        if row is None:
            raise KeyGone(f"there is no data key {key_id}")
        return self._keep(tenant_id, row, key_id)

    async def _first(self, tenant_id: str) -> Sealer:
        row = await self._find(tenant_id, FIRST)
        if row is None:
            await self._current(tenant_id)
            row = await self._find(tenant_id, FIRST)
        if row is None:
            raise KeyGone
        return self._keep(tenant_id, row, FIRST)

    async def _current(self, tenant_id: str) -> Sealer:
        row = await self._find(tenant_id, None)
        worn = self._found(tenant_id, None)
        if row is None:
            row = await self._add(tenant_id, None)
        elif is_old(row) or (worn is not None and worn.is_worn and worn.key_id == row["id"]):
            row = await self._add(tenant_id, row["id"])
        return self._keep(tenant_id, row, None)

    async def _find(self, tenant_id: str, key_id: UUID | None) -> Row | None:
        query = FIND_FIRST if key_id == FIRST else FIND
        async with self._engine.transaction() as session:
            return await session.one(query, {"tenant": tenant_id, "key": key_id})

    async def _add(self, tenant_id: str, after: UUID | None) -> Row:
        """The tenant's next key, by us or by whoever was faster."""
        key_id = UUID(str(uuid_utils.uuid7()))
        wanted = {
            "tenant": tenant_id,
            "key": key_id,
            "kek": self._keks.newest,
            "wrapped": self._keks.wrap(tenant_id, key_id, os.urandom(DATA_KEY_BYTES)),
            "after": after,
        }
        async with self._engine.transaction() as session:
            row = await session.one(ADD, wanted)
        if row is None:
            raise KeyGone
        return row

    def _keep(self, tenant_id: str, row: Row, asked_for: UUID | None) -> Sealer:
        self._refuse_closed(tenant_id)
        key_id = row["id"]
        data_key = self._keks.unwrap(row["kek_id"], tenant_id, key_id, bytes(row["wrapped"]))
        known = self._held.get((tenant_id, key_id)) or self._held.get((tenant_id, None))
        sealer = Sealer(tenant_id, key_id, data_key)
        if known is not None and known.sealer.key_id == key_id:
            sealer = known.sealer
        held = Held(sealer, self._clock() + HELD_S)
        for known_as in {asked_for, key_id}:
            self._held[tenant_id, known_as] = held
            self._held.move_to_end((tenant_id, known_as))
        while len(self._held) > HELD_MAX:
            self._held.popitem(last=False)
        return sealer


def is_old(row: Row) -> bool:
    """Whether a key has sealed long enough."""
    created_at: datetime = row["created_at"]
    return datetime.now(UTC) - created_at > KEY_LIFE
