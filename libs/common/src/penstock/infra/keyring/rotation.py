"""Rotation of the key-encryption key: every data key is wrapped anew, and nothing else changes.

Batches of their own transactions: who stops it and starts it again goes on where it was. Whoever
has both key-encryption keys meanwhile notices nothing.
"""

from collections.abc import AsyncGenerator

from msgspec import Struct

from penstock.infra.keyring.keks import Keks
from penstock.infra.postgres.engine import Engine, Session

BATCH_MAX = 200
"""Data keys in one transaction: some milliseconds of locks that nobody else wants."""

OUTDATED = """
select tenant_id, id, kek_id, wrapped from vault.data_keys
where kek_id <> %(newest)s order by tenant_id, id limit %(most)s for update
"""
REWRAP = """
update vault.data_keys set kek_id = %(newest)s, wrapped = %(wrapped)s
where tenant_id = %(tenant)s and id = %(key)s
"""
COUNTS = "select kek_id, count(*) as keys from vault.data_keys group by kek_id order by kek_id"


class Wraps(Struct, frozen=True):
    """How many data keys one key-encryption key wraps. known: whether this process has it."""

    kek_id: str
    keys: int
    newest: bool
    known: bool


async def rewrap(engine: Engine, keks: Keks) -> AsyncGenerator[int, None]:
    """Wrap all data keys with the newest key; how many are done, after each batch.

    engine: as the owner. Raises KekUnknown for a data key whose wrapping key this process lacks,
    with all batches before it done.
    """
    done = 0
    while True:
        async with engine.transaction() as session:
            count = await rewrap_batch(session, keks)
        if not count:
            return
        done += count
        yield done


async def rewrap_batch(session: Session, keks: Keks) -> int:
    """Wrap a batch of data keys anew; how many they were, 0 when none is left."""
    wanted = {"newest": keks.newest, "most": BATCH_MAX}
    rows = await session.all(OUTDATED, wanted)
    for row in rows:
        tenant, key = str(row["tenant_id"]), row["id"]
        data_key = keks.unwrap(row["kek_id"], tenant, key, bytes(row["wrapped"]))
        wrapped = keks.wrap(tenant, key, data_key)
        values = {"newest": keks.newest, "wrapped": wrapped, "tenant": tenant, "key": key}
        await session.run(REWRAP, values)
    return len(rows)


async def wraps(engine: Engine, keks: Keks) -> list[Wraps]:
    """Which key-encryption keys are in use, by id. engine: as the owner."""
    async with engine.transaction() as session:
        rows = await session.all(COUNTS)
    return [
        Wraps(row["kek_id"], row["keys"], row["kek_id"] == keks.newest, row["kek_id"] in keks.ids)
        for row in rows
    ]
