"""The projector's own connection to Postgres: the lock of the one writer, and its transactions.

Rows, archive and checkpoint of a batch commit together or not at all, and the checkpoint moves
only from where memory says that it is. So a projector that lost its lock without noticing, or
that does not know whether its last commit took effect, can do no harm: it starts over from there.
"""

import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date

from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.errors import (
    DataError,
    DivisionByZero,
    IntegrityError,
    ProgramLimitExceeded,
    StatementTooComplex,
)
from psycopg.rows import dict_row

from penstock.infra.postgres.engine import JsonText, conninfo
from penstock.infra.postgres.schema import DATABASE
from penstock.infra.telemetry import logs
from penstock.messages.chains import Head, message_hash
from penstock.projector import arrays
from penstock.projector.entry import Entry, Log
from penstock.projector.fold import Changes, fold, settle, wanted
from penstock.projector.ids import uuid_text
from penstock.projector.memory import Memory
from penstock.projector.projections.event_archive import RETENTION, month
from penstock.projector.projections.statements import Statement
from penstock.projector.reads import Connection, checkpoint, load
from penstock.projector.sources import Sources
from penstock.projector.writes import write

DURABLE = "set local synchronous_commit to on"
"""For the registry: the API has said of these rows that they exist, and asks no log when one does
not; after a crash of Postgres a workflow would be unknown until it is read again."""

WRITER_LOCK = 0x70656E74
"""The advisory lock of the one projector that writes: `pent`."""

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_MS = 60_000

SETTINGS = {
    "TimeZone": "UTC",
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    "synchronous_commit": "off",  # the log is the truth; what a crash takes is read again
    # Every statement is about known keys. A plan made while a table is small stays in use, and
    # must not read the whole table when it has grown.
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}

POISON = (DataError, IntegrityError, ProgramLimitExceeded, StatementTooComplex, struct.error)
"""What a single message can cause that no repetition mends."""

_log = logs.logger(__name__)


class CheckpointMoved(Exception):
    """Somebody else has written; what memory says is out of date."""


class Store:
    """One connection. Any error of psycopg's leaves it fit only to be closed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._partitions: set[tuple[str, date]] = set()
        self._memories: dict[Log, Memory] = {}

    @classmethod
    async def connect(cls, url: str, *, name: str) -> "Store":
        """Raises psycopg's OperationalError while Postgres is away."""
        connection = await AsyncConnection.connect(
            conninfo(url),
            autocommit=True,
            row_factory=dict_row,
            prepare_threshold=1,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name=name,
            options=" ".join(f"-c {key}={value}" for key, value in SETTINGS.items()),
        )
        connection.adapters.register_loader("json", JsonText)
        arrays.register(connection)
        return cls(connection)

    async def close(self) -> None:
        """Give the lock back, too."""
        await self._connection.close()

    async def became_writer(self) -> bool:
        """Whether this connection holds the writer's lock now; it does as long as it lives."""
        sql = "select pg_try_advisory_lock(%s) as held"
        row = await (await self._connection.execute(sql, [WRITER_LOCK])).fetchone()
        return row is not None and bool(row["held"])

    async def head(self, log: Log) -> Head:
        """Where the tables are in the log; begins its memory anew."""
        head = await checkpoint(self._connection, log)
        self._memories[log] = Memory(head)
        return head

    async def database(self) -> str:
        """Which database this is, in the words of `penstock.infra.postgres.schema`."""
        row = await (await self._connection.execute(DATABASE)).fetchone()
        return str(row["database"]) if row else ""

    async def check(self) -> None:
        """Raises psycopg's OperationalError when the connection, and with it the lock, is gone."""
        await self._connection.execute("select 1")

    async def has_archived(self, entry: Entry) -> bool:
        """Whether the archive has this very message in its place, or had it."""
        sql = (
            "select body, hash, previous_hash from penstock.event_archive "
            "where tenant_id = %s and log = %s and seq = %s and kind = %s and subject_id = %s"
        )
        place = [uuid_text(entry.tenant), str(entry.log), entry.seq]
        key = [*place, entry.kind, entry.subject_id]
        row = await (await self._connection.execute(sql, key)).fetchone()
        if row is None:
            return False
        if row["body"]:
            return bool(row["body"] == entry.body)
        return message_hash(row["previous_hash"].hex(), entry.body) == bytes(row["hash"])

    async def apply(
        self, log: Log, batch: Sequence[Entry], *, now_ms: int, sources: Sources
    ) -> None:
        """Write a batch that begins right after the checkpoint.

        A message that the tables refuse is archived and what it is about quarantined; to find it
        the batch is halved. Raises Broken, CheckpointMoved, or psycopg's OperationalError.
        """
        try:
            await self._write(log, batch, now_ms=now_ms, sources=sources)
        except POISON as error:
            head = await self.head(log)
            rest = [entry for entry in batch if entry.seq > head.seq]
            if len(rest) > 1:
                middle = len(rest) // 2
                await self.apply(log, rest[:middle], now_ms=now_ms, sources=sources)
                await self.apply(log, rest[middle:], now_ms=now_ms, sources=sources)
            elif rest and not rest[0].flaw:
                _log.error("message refused by the tables", seq=rest[0].seq, error=str(error))
                await self.apply(log, [rest[0].flawed(str(error))], now_ms=now_ms, sources=sources)
            elif rest:
                raise

    async def _write(
        self, log: Log, batch: Sequence[Entry], *, now_ms: int, sources: Sources
    ) -> None:
        memory = self._memories[log]
        if needs := wanted(batch, memory):
            await load(self._connection, needs, memory, log, sources)
        changes = fold(batch, memory, log, now_ms=now_ms)
        await self._make_partitions(changes)
        await self._commit(changes, memory.head)
        settle(memory, changes)
        for tenant in changes.ended:
            for other in self._memories.values():
                if other is not memory:
                    other.forget_tenant(tenant)

    async def _commit(self, changes: Changes, head: Head) -> None:
        """One statement, which commits by itself; the registry's rare ones go before it."""
        done = write(changes, head)
        try:
            async with self._together(changes.statements):
                cursor = AsyncRawCursor(self._connection)
                await cursor.execute(done.sql, done.parameters)
        except DivisionByZero as error:
            raise CheckpointMoved(f"{changes.log} is not at {changes.before.seq}") from error
        touched = await cursor.fetchone() or {}
        for name, rows in done.expected.items():
            if touched.get(name) != rows:
                _log.error("rows are missing", part=name, want=rows, found=touched.get(name))

    @asynccontextmanager
    async def _together(self, statements: Sequence[Statement]) -> AsyncIterator[None]:
        """One transaction of `statements` and the body; none of its own for the body alone."""
        if not statements:
            yield
            return
        async with self._connection.transaction():
            await self._connection.execute(DURABLE)
            for sql, parameters in statements:
                await self._connection.execute(sql, parameters)
            yield

    async def _make_partitions(self, changes: Changes) -> None:
        retention = RETENTION[changes.log]
        months = {(retention, month(row.recorded_at)) for row in changes.archive}
        for class_, first in months - self._partitions:
            await self._connection.execute(
                "select penstock.add_archive_partition(%s, %s)", [class_, first]
            )
        self._partitions |= months
