"""One question to a tenant's Postgres: one connection, one transaction, one statement.

Each question has a connection of its own. A pool would hand settings, locks and temporary tables of
one step to the next, keep a password alive that was replaced, and hold idle connections of servers
that are not ours; a connection costs a few ms, and executors bound how many steps run at once.
"""

import asyncio
from contextlib import suppress
from typing import Any, TypeVar

import certifi
import psycopg
from msgspec import Struct
from psycopg import AsyncConnection, waiting
from psycopg.abc import PQGen

from penstock.executor.connections import Connection
from penstock.executor.dialling import unreachable
from penstock.executor.outcome import StepFault
from penstock.executor.relay import HOST
from penstock.executor.sql_values import Parameters, adapters, jsonable, parameters

POSTGRES_PORT = 5432
ANSWER_BYTES_MAX = 10 * 1024 * 1024
"""Of all that a server says to one question, as it comes over the wire."""
CONNECT_SECONDS_MAX = 10
"""For TLS and the login, on a socket that is connected."""
CANCEL_SECONDS_MAX = 1.0
"""For a server to be told that nobody waits any more; its statement_timeout says so too."""
ROOTS = certifi.where()
"""The authorities that certificates may come from."""
NOWHERE = "/nonexistent"
"""Files of this machine's user that libpq would read for passwords, keys and roots."""

OPENING = (
    "select set_config('statement_timeout', %s, true), set_config('TimeZone', 'UTC', true),"
    " set_config('DateStyle', 'ISO', true), set_config('IntervalStyle', 'iso_8601', true),"
    " set_config('bytea_output', 'hex', true), set_config('workflow.step_key', %s, true)"
)
"""For this transaction. A query, not SET: after one nobody can leave `READ ONLY` any more."""

T = TypeVar("T")


class Question(Struct, frozen=True, kw_only=True):
    """A statement for a database. timeout_ms: of the statement. step_key: of who asks."""

    sql: str
    params: Parameters | None
    read_only: bool
    timeout_ms: int
    rows_max: int
    step_key: str


class Answered(Struct, frozen=True, rename="camel"):
    """What came of it. row_count: those that are answered, or else touched."""

    rows: list[dict[str, Any]]
    row_count: int
    columns: list[dict[str, str]]


class Conversation(AsyncConnection[tuple[Any, ...]]):
    """A connection that is given up when its step is, without waiting for what the server says."""

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """What an exchange comes to."""
        try:
            return await waiting.wait_async(
                gen, self.pgconn.socket, interval=interval, timeout=timeout
            )
        except asyncio.CancelledError:
            with suppress(psycopg.Error, OSError):
                await self.cancel_safe(timeout=CANCEL_SECONDS_MAX)
            # Whoever leaves now says goodbye no more: a server could keep them with that.
            self.pgconn.finish()
            raise


async def begun(connection: Connection, port: int) -> Conversation:
    """A conversation with a server by way of a port of this machine; its name is for TLS.

    Raises StepFault.
    """
    config = connection.config
    mode = config.get("sslMode", "require")
    try:
        return await Conversation.connect(
            context=adapters(),
            prepare_threshold=None,
            host=config["host"],
            hostaddr=HOST,
            port=port,
            dbname=config["database"],
            user=config["username"],
            password=connection.secrets.get("password", ""),
            sslmode=mode,
            sslrootcert=ROOTS if mode.startswith("verify") else NOWHERE,
            sslcert=NOWHERE,
            sslkey=NOWHERE,
            passfile=NOWHERE,
            gssencmode="disable",
            client_encoding="utf8",
            application_name="penstock",
            connect_timeout=CONNECT_SECONDS_MAX,
            options="",
        )
    except psycopg.OperationalError as error:
        raise not_let_in(error, connection) from error


def port_of(connection: Connection) -> int:
    """The port of the server."""
    return int(connection.config.get("port", POSTGRES_PORT))


async def answer(connection: Conversation, question: Question) -> Answered:
    """The answer to a question; committed when it is whole. Raises StepFault, psycopg.Error."""
    await connection.set_read_only(question.read_only)
    async with connection.cursor() as cursor:
        await cursor.execute(OPENING, [str(question.timeout_ms), question.step_key])
        params = None if question.params is None else parameters(question.params)
        # Within a pipeline it is always the protocol that takes one statement and no second one:
        # `commit; delete …` would leave the transaction that may only read.
        async with connection.pipeline() as pipeline:
            await cursor.execute(question.sql.encode(), params)
            await pipeline.sync()
        columns = columns_of(cursor.description)
        rows = await cursor.fetchmany(question.rows_max + 1) if columns else []
        touched = max(cursor.rowcount, 0)
    if len(rows) > question.rows_max:
        said = f"the answer has more than {question.rows_max} rows (maxRows)"
        raise StepFault("PAYLOAD_TOO_LARGE", said)
    await connection.commit()
    names = [column["name"] for column in columns]
    shown = [dict(zip(names, map(jsonable, row), strict=True)) for row in rows]
    return Answered(shown, touched, columns)


def columns_of(description: list[psycopg.Column] | None) -> list[dict[str, str]]:
    """The names and types of an answer's columns. Raises StepFault where a name is there twice."""
    columns = [{"name": each.name, "type": each.type_display} for each in description or []]
    names = [column["name"] for column in columns]
    for name in names:
        if names.count(name) > 1:
            said = f"two columns of the answer are named {name!r:.100}: name one of them with `as`"
            raise StepFault("SQL_ERROR", said)
    return columns


RETRYABLE_CLASSES = frozenset({"08", "40", "53", "57"})
"""Connection, rollback of a transaction (serialization, deadlock), resources, an operator."""
LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
READ_ONLY = "25006"
FINAL_REFUSALS = (
    *("authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist"),
    "not permitted to log in",
    *("certificate verify failed", "does not support SSL", "permission denied", "SSL was required"),
    "does not match host name",
)
"""What libpq says, which has no codes for this, when the same will be said again."""


def not_let_in(error: psycopg.OperationalError, connection: Connection) -> StepFault:
    """Why there is no conversation."""
    said = str(error).rpartition("failed: ")[2].strip()
    message = f"the server of {connection.name!r} lets nobody in: {said}"
    if any(words in said for words in FINAL_REFUSALS):
        return StepFault("AUTHENTICATION_FAILED", message)
    return unreachable(message)


def is_retryable(sqlstate: str) -> bool:
    """Whether the same statement may succeed later."""
    return sqlstate[:2] in RETRYABLE_CLASSES or sqlstate == LOCK_NOT_AVAILABLE


def fault_of(error: psycopg.Error) -> StepFault:
    """What a database's error means for the step."""
    if error.sqlstate is None:
        said = str(error).strip()
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return unreachable(f"the connection was lost: {said}")
        return StepFault("SQL_ERROR", said)
    found = error.diag
    about = {
        "sqlstate": error.sqlstate,
        "hint": found.message_hint,
        "position": found.statement_position,
        "constraint": found.constraint_name,
    }
    message = found.message_primary or str(error)
    if error.sqlstate == READ_ONLY:
        message += " (readOnly: false lets it)"
    details = {name: value for name, value in about.items() if value is not None}
    return StepFault("SQL_ERROR", message, retryable=is_retryable(error.sqlstate), details=details)
