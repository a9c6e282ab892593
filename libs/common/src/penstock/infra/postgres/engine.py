"""Connections to Postgres, and transactions on them.

`Engine` is a bounded pool that mends itself: a server that restarts costs the requests of that
moment a `DatabaseUnavailable`, nothing else. What belongs to a tenant is reached through
`penstock.infra.postgres.tenant` only.

Answers are dicts by column name. A `json` column comes as its text in `bytes`, undecoded, because
only whoever needs the value knows its shape; `uuid` as UUID; moments as UTC datetimes.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg.adapt import Loader
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import ClauseElement, Dialect, make_url

from penstock.domain.errors import PenstockError

CONNECTIONS_MAX = 8
"""Of one process; Postgres has 100 for all of them."""

WAITING_MAX = 1_000
"""Requests that wait for a connection; the next one is told at once that the database is busy."""

WAIT_S = 2.0
"""How long a request waits for a connection."""

RECONNECT_S = 1.5
"""Attempts of one request to reach a server that is down; the next request begins anew."""

STATEMENT_TIMEOUT_MS = 10_000

STALE_MAX = CONNECTIONS_MAX + 1
"""Pooled connections that a restart may have left dead, before the database counts as down."""

Row = dict[str, Any]
Query = str | ClauseElement


class DatabaseUnavailable(PenstockError):
    """The database cannot be reached now."""


class JsonText(Loader):
    """A `json` value as the bytes of its text."""

    def load(self, data: bytes | bytearray | memoryview) -> bytes:
        """`data` as it came."""
        return bytes(data)


def conninfo(url: str) -> str:
    """`url` for libpq, whether or not it names SQLAlchemy's driver."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


class Session:
    """One open transaction."""

    def __init__(self, connection: AsyncConnection[Row]) -> None:
        self.connection = connection

    async def all(self, query: Query, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Every row that the query answers."""
        async with self.connection.cursor() as cursor:
            await cursor.execute(*rendered(query, parameters))
            return await cursor.fetchall()

    async def one(self, query: Query, parameters: Mapping[str, Any] | None = None) -> Row | None:
        """The first row, None where there is none."""
        async with self.connection.cursor() as cursor:
            await cursor.execute(*rendered(query, parameters))
            return await cursor.fetchone()

    async def run(self, query: Query, parameters: Mapping[str, Any] | None = None) -> int:
        """Execute a statement; the number of rows it touched."""
        async with self.connection.cursor() as cursor:
            await cursor.execute(*rendered(query, parameters))
            return cursor.rowcount


DIALECT: Dialect = make_url("postgresql+psycopg://").get_dialect()()


def rendered(
    query: Query, parameters: Mapping[str, Any] | None = None
) -> tuple[str, Mapping[str, Any] | None]:
    """The query's text and parameters; a text of ours has `%(name)s` for each."""
    if isinstance(query, str):
        return query, parameters
    compiled = query.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    return str(compiled), {**compiled.params, **(parameters or {})}


async def _configured(connection: AsyncConnection[Row]) -> None:
    connection.adapters.register_loader("json", JsonText)


class Engine:
    """A bounded pool of connections for one role."""

    def __init__(
        self, url: str, *, name: str = "penstock", connections_max: int = CONNECTIONS_MAX
    ) -> None:
        options = f"-c TimeZone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS}"
        self._pool: AsyncConnectionPool[AsyncConnection[Row]] = AsyncConnectionPool(
            conninfo(url),
            kwargs={
                "row_factory": dict_row,
                "application_name": name,
                "connect_timeout": 2,
                "options": options,
            },
            min_size=1,
            max_size=connections_max,
            max_waiting=WAITING_MAX,
            timeout=WAIT_S,
            reconnect_timeout=RECONNECT_S,
            configure=_configured,
            open=False,
            name=name,
        )

    async def open(self) -> None:
        """Begin to connect in the background: a process starts without a server, too."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close all connections; transactions that are open end by themselves first."""
        await self._pool.close()

    @asynccontextmanager
    async def transaction(
        self, opening: Query = "select 1", parameters: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Session]:
        """One transaction that begins with the statement `opening`; committed unless it raises.

        Raises DatabaseUnavailable when Postgres is away, also in the midst; whether a commit then
        took effect is unknown.
        """
        try:
            connection = await self._begun(opening, parameters)
            try:
                yield Session(connection)
                await connection.commit()
            finally:
                await self._given_back(connection)
        except (OperationalError, InterfaceError) as error:
            raise DatabaseUnavailable(str(error)) from error

    async def is_reachable(self) -> bool:
        """Whether Postgres answers now."""
        try:
            async with self.transaction():
                return True
        except DatabaseUnavailable:
            return False

    async def _begun(
        self, opening: Query, parameters: Mapping[str, Any] | None
    ) -> AsyncConnection[Row]:
        for _ in range(STALE_MAX):
            connection = await self._pool.getconn()
            try:
                await Session(connection).run(opening, parameters)
            except (OperationalError, InterfaceError):
                await self._given_back(connection)
                if not connection.broken:
                    raise
            except BaseException:
                await self._given_back(connection)
                raise
            else:
                return connection
        raise OperationalError("every pooled connection was broken")

    async def _given_back(self, connection: AsyncConnection[Row]) -> None:
        if connection.pgconn.transaction_status in _OPEN:
            await connection.rollback()
        await self._pool.putconn(connection)


_OPEN: Sequence[TransactionStatus] = (TransactionStatus.INTRANS, TransactionStatus.INERROR)
