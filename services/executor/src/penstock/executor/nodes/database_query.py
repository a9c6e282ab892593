"""`database_query`: one statement to a Postgres database, over a connection.

Output `{rows, rowCount, columns}`; `penstock.executor.sql_values` says what becomes of types. The
statement is the definition's own: values get into it as parameters only.
"""

from collections.abc import Mapping
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
from penstock.executor.context import StepContext
from penstock.executor.dialling import connected, connection_of
from penstock.executor.inputs import StepInput, encode
from penstock.executor.nodes.http_request import typed
from penstock.executor.outcome import Done, TimedOut
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
    host, port = str(connection.config["host"]), postgres.port_of(connection)
    opened = await connected(
        context,
        host,
        port,
        ports=POSTGRES_PORTS,
        to=lambda address: postgres.opened(connection, address),
    )
    try:
        return Done(Raw(encode(await postgres.answer(opened, question))))
    except psycopg.Error as error:
        if error.sqlstate == postgres.QUERY_CANCELED:
            raise TimedOut(wanted.timeout_ms) from error
        raise postgres.fault_of(error) from error
    finally:
        await opened.close()
