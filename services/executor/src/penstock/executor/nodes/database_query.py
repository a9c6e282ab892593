"""`database_query`: one statement to a Postgres database, over a connection.

Output `{rows, rowCount, columns}`; `penstock.executor.sql_values` says what becomes of types. The
statement is the definition's own: values get into it as parameters only.
"""

import socket
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import psycopg
from msgspec import Meta, Raw, Struct

from penstock.domain.workflow.config_schemas import (
    QUERY_TIMEOUT_MS,
    REQUEST_TIMEOUT_MAX_MS,
    ROWS,
    ROWS_MAX,
)
from penstock.executor import postgres
from penstock.executor.connections import Connection
from penstock.executor.context import StepContext
from penstock.executor.dialling import connected, connection_of, dialled
from penstock.executor.inputs import StepInput, encode
from penstock.executor.nodes.http_request import typed
from penstock.executor.outcome import Done, StepFault, TimedOut
from penstock.executor.relay import Relay
from penstock.infra.egress.guard import POSTGRES_PORTS


class QueryConfig(Struct, frozen=True, rename="camel", kw_only=True):
    """The config of `database_query`, its templates filled in."""

    sql: str
    params: list[Any] | dict[str, Any] | None = None
    read_only: bool = True
    timeout_ms: Annotated[int, Meta(ge=1, le=REQUEST_TIMEOUT_MAX_MS)] = QUERY_TIMEOUT_MS
    max_rows: Annotated[int, Meta(ge=1, le=ROWS_MAX)] = ROWS
    connection: str = ""


async def run(context: StepContext, config: Mapping[str, Any], _: StepInput) -> Done:
    """Ask the database. Raises StepFault; a statement that changed something may then be undone."""
    connection = connection_of(context, "postgres")
    wanted: QueryConfig = typed(config, QueryConfig)
    question = postgres.Question(
        sql=wanted.sql,
        params=wanted.params,
        read_only=wanted.read_only,
        timeout_ms=wanted.timeout_ms,
        rows_max=wanted.max_rows,
        step_key=context.step_key,
    )
    address, opened = await reached(context, connection)
    again = partial(dialled, address, postgres.port_of(connection))
    async with Relay(opened, again, bytes_max=postgres.ANSWER_BYTES_MAX) as relay:
        try:
            return Done(Raw(encode(await answered(connection, question, relay.port))))
        except StepFault as fault:
            raise too_much() if relay.is_flooded else fault from None


async def reached(context: StepContext, connection: Connection) -> tuple[str, socket.socket]:
    """The address of the server that is open and answers, and a socket to it."""
    port = postgres.port_of(connection)

    async def to(address: str) -> tuple[str, socket.socket]:
        return address, await dialled(address, port)

    host = str(connection.config["host"])
    return await connected(context, host, port, ports=POSTGRES_PORTS, to=to)


async def answered(
    connection: Connection, question: postgres.Question, port: int
) -> postgres.Answered:
    """What the database says. port: of this machine, where the way to it begins."""
    conversation = await postgres.begun(connection, port)
    try:
        return await postgres.answer(conversation, question)
    except psycopg.Error as error:
        if error.sqlstate == postgres.QUERY_CANCELED:
            raise TimedOut(question.timeout_ms) from error
        raise postgres.fault_of(error) from error
    finally:
        await conversation.close()


def too_much() -> StepFault:
    """The fault of an answer that was cut off."""
    said = f"the answer is over {postgres.ANSWER_BYTES_MAX} bytes"
    return StepFault("PAYLOAD_TOO_LARGE", said)
