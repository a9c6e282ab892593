"""Secrets of tenants at rest: sealed with the tenant's data key, bound to their kind and name.

The API keeps them (`keep`, `remove`) and cannot read them back. Executors find and open them just
before they are used. Which of two writes counts is what the log says: every row has the sequence
of the event that it belongs to, and an earlier one never replaces a later one.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from penstock.domain.ids import derived
from penstock.infra.keyring.data_keys import DataKeys
from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.tenant import tenant_session

NAMES_MAX = 1000
"""Of one look-up: what the function in the database answers at most."""

KEEP = """
insert into vault.secrets (tenant_id, kind, name, key_id, sealed, seq)
values (%(tenant)s, %(kind)s, %(name)s, %(key)s, %(sealed)s, %(seq)s)
on conflict (tenant_id, kind, name) do update
set key_id = %(key)s, sealed = %(sealed)s, seq = %(seq)s
where vault.secrets.seq < %(seq)s
"""
FIND = """
select kind, name, key_id, sealed
from vault.find_secrets(%(tenant)s, %(secrets)s::text[], %(connections)s::text[])
"""


class Kind(StrEnum):
    """What a row of the vault is."""

    SECRET = "secret"
    CONNECTION = "connection"


class Name(NamedTuple):
    """What a row of the vault is called within its tenant."""

    kind: Kind
    name: str

    @property
    def about(self) -> bytes:
        """What its value is bound to."""
        return f"{self.kind}:{self.name}".encode()

    def reference(self, tenant_id: str) -> str:
        """What history calls it: `<kind>:<id>`, for the name is the tenant's own."""
        return f"{self.kind}:{derived(tenant_id, self.kind, self.name)}"


class Sealed(NamedTuple):
    """A value as the vault has it, and the data key that opens it."""

    key_id: UUID
    sealed: bytes


class Vault:
    """The sealed secrets of all tenants, through one process's role and keys."""

    def __init__(self, engine: Engine, keys: DataKeys) -> None:
        self._engine = engine
        self._keys = keys

    async def keep(self, tenant_id: str, name: Name, value: bytes, *, seq: int) -> None:
        """Have `name` stand for `value`. seq: of the event that says that it was set.

        Raises DatabaseUnavailable, and what `DataKeys.sealer` does.
        """
        sealer = self._keys.at_hand(tenant_id) or await self._keys.sealer(tenant_id)
        sealed = sealer.seal(value, about=name.about)
        await self._write(tenant_id, name, sealer.key_id, sealed, seq)

    async def remove(self, tenant_id: str, name: Name, *, seq: int) -> None:
        """Have `name` stand for nothing. seq: of the event that says that it was removed."""
        await self._write(tenant_id, name, None, None, seq)

    async def find(self, tenant_id: str, names: Collection[Name]) -> dict[Name, Sealed]:
        """Those of the names that stand for something. Raises DatabaseUnavailable."""
        wanted = {
            "tenant": tenant_id,
            "secrets": [name for kind, name in names if kind is Kind.SECRET],
            "connections": [name for kind, name in names if kind is Kind.CONNECTION],
        }
        assert len(names) <= NAMES_MAX, "a node names few of them"
        async with self._engine.transaction() as session:
            rows = await session.all(FIND, wanted)
        return {
            Name(Kind(row["kind"]), row["name"]): Sealed(row["key_id"], bytes(row["sealed"]))
            for row in rows
        }

    async def opened(self, tenant_id: str, found: Mapping[Name, Sealed]) -> dict[Name, bytes]:
        """Their values.

        Raises DatabaseUnavailable and what `DataKeys.opener` does, Unopenable for a changed row.
        """
        values = {}
        for name, (key_id, sealed) in found.items():
            opener = self._keys.opener_at_hand(tenant_id, key_id)
            opener = opener or await self._keys.opener(tenant_id, key_id)
            values[name] = opener.open(sealed, about=name.about)
        return values

    async def _write(
        self, tenant_id: str, name: Name, key_id: UUID | None, sealed: bytes | None, seq: int
    ) -> None:
        row = {
            "tenant": tenant_id,
            "kind": str(name.kind),
            "name": name.name,
            "key": key_id,
            "sealed": sealed,
            "seq": seq,
        }
        async with tenant_session(self._engine, tenant_id) as session:
            await session.run(KEEP, row)
