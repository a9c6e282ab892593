"""Questions to a real database of somebody else's, on the server that the tests have."""

import asyncio
import resource
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from penstock.executor import postgres
from penstock.executor.connections import Connection
from penstock.executor.context import StepContext
from penstock.executor.nodes import database_query
from penstock.executor.outcome import StepFault
from penstock.executor.transport import GuardedTransport
from tests.conftest import with_login
from tests.integration.executor.connected import given, said, step, transport
from tests.integration.executor.test_outbound import certificate

SCHEMA = """
    create table orders (id int primary key, total numeric(10, 2), made timestamptz not null);
    insert into orders values (1, 12.50, '2026-01-02 03:04:05.6+00'), (2, null, '2026-01-03+00');
    create table notes (key text primary key);
"""


@pytest.fixture(scope="module")
def shop(postgres_server: str) -> Iterator[Connection]:
    """A database with a user who owns it and is nobody else."""
    name, password = f"shop_{secrets.token_hex(4)}", secrets.token_hex(8)
    with psycopg.connect(postgres_server, autocommit=True) as owner:
        owner.execute(f"create role {name} login password '{password}'")
        owner.execute(f"create database {name} owner {name}")
    with psycopg.connect(with_login(postgres_server, name, password, database=name)) as own:
        own.execute(SCHEMA)
    place = urlsplit(postgres_server)
    config = {
        "host": place.hostname or "127.0.0.1",
        "port": place.port,
        "database": name,
        "username": name,
        "sslMode": "disable",
    }
    yield Connection("postgres", config, {"password": password}, "shop")
    with psycopg.connect(postgres_server, autocommit=True) as owner:
        owner.execute(f"drop database {name} with (force)")
        owner.execute(f"drop role {name}")


@pytest.fixture
async def way() -> AsyncIterator[GuardedTransport]:
    made = transport("127.0.0.1", "localhost")
    yield made
    await made.close()


@pytest.fixture
def context(shop: Connection, way: GuardedTransport) -> StepContext:
    """A step that asks the shop."""
    return step(shop, way)


async def asked(context: StepContext, sql: str, params: Any = None, **more: Any) -> Any:
    config = {"sql": sql, **({} if params is None else {"params": params}), **more}
    return said(await database_query.run(context, config, given()))


async def fault(asking: Awaitable[Any]) -> StepFault:
    with pytest.raises(StepFault) as raised:
        await asking
    return raised.value


async def sessions(shop: Connection, owner: str) -> int:
    """How many connections the server has of the shop's user."""
    async with await psycopg.AsyncConnection.connect(owner) as connection:
        cursor = await connection.execute(
            "select count(*) from pg_stat_activity where usename = %s", [shop.config["username"]]
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])


async def one_asks(shop: Connection, owner: str) -> None:
    """Returns once a statement of the shop's user is at work."""
    async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as connection:
        for _ in range(200):
            cursor = await connection.execute(
                "select from pg_stat_activity where usename = %s and query like '%%pg_sleep%%'"
                " and state = 'active'",
                [shop.config["username"]],
            )
            if cursor.rowcount:
                return
            await asyncio.sleep(0.05)
    raise AssertionError("nothing is asked")


async def none_left(shop: Connection, owner: str) -> None:
    for _ in range(200):
        if not await sessions(shop, owner):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("a connection is still there")


async def test_rows_come_with_their_columns(context: StepContext) -> None:
    answer = await asked(context, "select * from orders where id = %s", [1])
    assert answer == {
        "rows": [{"id": 1, "total": "12.50", "made": "2026-01-02T03:04:05.6Z"}],
        "rowCount": 1,
        "columns": [
            {"name": "id", "type": "int4"},
            {"name": "total", "type": "numeric(10,2)"},
            {"name": "made", "type": "timestamptz"},
        ],
    }
    named = await asked(context, "select %(a)s::int + %(b)s::int as sum", {"a": 2, "b": 3})
    assert named["rows"] == [{"sum": 5}]
    nothing = await asked(context, "select id from orders where id = %s", [99])
    assert (nothing["rows"], nothing["rowCount"]) == ([], 0)
    assert (await asked(context, "select '50%' as p"))["rows"] == [{"p": "50%"}]


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("true", True),
        ("9007199254740993", 9007199254740993),
        ("1.5::float8", 1.5),
        ("'NaN'::float8", "NaN"),
        ("'-inf'::float4", "-Infinity"),
        ("0.1::numeric", "0.1"),
        ("'NaN'::numeric", "NaN"),
        ("date '2026-02-03'", "2026-02-03"),
        ("timestamp '2026-02-03 04:05:06'", "2026-02-03T04:05:06"),
        ("timestamptz '2026-02-03 04:05:06+02'", "2026-02-03T02:05:06Z"),
        ("timestamptz 'infinity'", "infinity"),
        ("interval '1 day 2 hours'", "P1DT2H"),
        ("'7f0c2f5e-0000-4000-8000-000000000001'::uuid", "7f0c2f5e-0000-4000-8000-000000000001"),
        ("'{\"a\": [1, 2.5, null]}'::jsonb", {"a": [1, 2.5, None]}),
        ("'[1]'::json", [1]),
        ("'\\x00ff'::bytea", "AP8="),
        ("array[1.5, null]::numeric[]", ["1.5", None]),
        ("array[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
        ("array['\\x01'::bytea]", ["AQ=="]),
        ("'10.0.0.1'::inet", "10.0.0.1"),
        ("int4range(1, 5)", "[1,5)"),
        ("row(1, 'a')", "(1,a)"),
        ("null", None),
        ("'ü\U0001f600'", "ü\U0001f600"),
    ],
)
async def test_each_type_has_its_place_in_json(
    context: StepContext, literal: str, value: Any
) -> None:
    assert (await asked(context, f"select {literal} as it"))["rows"] == [{"it": value}]


@pytest.mark.parametrize(
    ("cast", "value"),
    [
        ("text", 'it\'s "quoted"; drop table orders; --'),
        ("text", "100% {{ }} \\ \n"),
        ("jsonb", {"a": [1, {"b": None}], "ü": True}),
        ("jsonb", [{"a": 1}, 2]),
        ("int[]", [1, 2, 3]),
        ("text[]", ["a", "b,c", None]),
        ("text[]", []),
        ("boolean", False),
        ("float8", 1.25),
        ("bigint", 2**53 + 1),
        ("uuid", "7f0c2f5e-0000-4000-8000-000000000001"),
        ("timestamptz", "2026-01-02T03:04:05Z"),
        ("text", None),
    ],
)
async def test_each_value_is_a_parameter_and_nothing_else(
    context: StepContext, cast: str, value: Any
) -> None:
    answer = await asked(context, f"select %s::{cast} as it", [value])
    assert answer["rows"] == [{"it": value}]


WRITES = (
    "delete from orders",
    "commit; delete from orders",
    "set transaction read write; delete from orders",
    "do $$ begin set transaction_read_only = off; delete from orders; end $$",
    "do $$ begin commit; delete from orders; end $$",
    "with gone as (delete from orders returning id) select * from gone",
    "select set_config('transaction_read_only', 'off', false)",
    "create table more (id int)",
)


@pytest.mark.parametrize("sql", WRITES)
async def test_a_step_that_may_only_read_only_reads(context: StepContext, sql: str) -> None:
    wrong = await fault(asked(context, sql))
    assert (wrong.code, wrong.retryable) == ("SQL_ERROR", False)
    assert (await asked(context, "select count(*) as n from orders"))["rows"] == [{"n": 2}]


async def test_what_ends_or_opens_the_transaction_changes_nothing(context: StepContext) -> None:
    for sql in ("commit", "set default_transaction_read_only = off"):
        await asked(context, sql)
    refused = await fault(asked(context, "set transaction read write"))
    assert refused.details == {"sqlstate": "25001"}
    wrong = await fault(asked(context, "delete from orders"))
    assert wrong.details == {"sqlstate": "25006"}


async def test_a_step_may_write_where_it_says_so(context: StepContext) -> None:
    sql = "insert into notes values (current_setting('workflow.step_key')) on conflict do nothing"
    first = await asked(context, sql, readOnly=False)
    second = await asked(context, sql, readOnly=False)
    assert (first["rows"], first["columns"]) == ([], [])
    assert (first["rowCount"], second["rowCount"]) == (1, 0)
    kept = await asked(context, "delete from notes returning key", readOnly=False)
    assert kept["rows"] == [{"key": context.step_key}]
    again = await fault(asked(context, "insert into notes values ('a'); select 1", readOnly=False))
    assert again.details == {"sqlstate": "42601"}


@pytest.mark.parametrize(
    ("sql", "params", "sqlstate", "retryable"),
    [
        ("selec 1", None, "42601", False),
        ("select * from nowhere", None, "42P01", False),
        ("select 1 / %s::int", [0], "22012", False),
        ("select %s::int", ["x"], "22P02", False),
        ("do $$ begin raise exception using errcode = '40001'; end $$", None, "40001", True),
        ("do $$ begin raise exception using errcode = '40P01'; end $$", None, "40P01", True),
        ("do $$ begin raise exception using errcode = '53300'; end $$", None, "53300", True),
        ("do $$ begin raise exception using errcode = '55P03'; end $$", None, "55P03", True),
        ("do $$ begin raise exception using errcode = '23505'; end $$", None, "23505", False),
    ],
)
async def test_an_error_says_its_state_and_whether_it_may_pass(
    context: StepContext, sql: str, params: Any, sqlstate: str, retryable: bool
) -> None:
    wrong = await fault(asked(context, sql, params))
    assert (wrong.code, wrong.retryable) == ("SQL_ERROR", retryable)
    assert isinstance(wrong.details, dict)
    assert wrong.details["sqlstate"] == sqlstate


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("select %s", None),
        ("select %s", []),
        ("select %s", [1, 2]),
        ("select %(a)s", {"b": 1}),
        ("select 5 % 2", [1]),
        ("select %s::text", ["a\0b"]),
        ("copy orders to stdout", None),
        ("select 1 as a, 2 as a", None),
    ],
)
async def test_what_cannot_be_asked_is_final(context: StepContext, sql: str, params: Any) -> None:
    wrong = await fault(asked(context, sql, params))
    assert (wrong.code, wrong.retryable) == ("SQL_ERROR", False), wrong


async def test_an_answer_has_so_many_rows_and_bytes(
    context: StepContext, shop: Connection, postgres_server: str
) -> None:
    rows = "select n from generate_series(1, %s) as n"
    assert (await asked(context, rows, [5], maxRows=5))["rowCount"] == 5
    many = await fault(asked(context, rows, [6], maxRows=5))
    assert (many.code, many.retryable) == ("PAYLOAD_TOO_LARGE", False)
    assert "maxRows" in many.message
    before = peak()
    for sql in (
        "select repeat('x', 500 * 1024 * 1024)",
        "select repeat('x', 1000) from generate_series(1, 1000000)",
        "do $$ begin loop raise notice '%', repeat('x', 1000); end loop; end $$",
    ):
        flood = await fault(asked(context, sql))
        assert (flood.code, flood.retryable) == ("PAYLOAD_TOO_LARGE", False), sql
    assert peak() - before < 100 * 1024
    await none_left(shop, postgres_server)


def peak() -> int:
    """The most memory that this process has had, KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    context: StepContext, shop: Connection, postgres_server: str
) -> None:
    late = await fault(asked(context, "select pg_sleep(60)", timeoutMs=200))
    assert (late.code, late.retryable) == ("TIMEOUT", True)
    assert "200 ms" in late.message
    await none_left(shop, postgres_server)


async def test_a_cancelled_step_leaves_no_statement_behind(
    context: StepContext, shop: Connection, postgres_server: str
) -> None:
    asking = asyncio.create_task(asked(context, "select pg_sleep(60)"))
    await one_asks(shop, postgres_server)
    begun = time.monotonic()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert time.monotonic() - begun < 5
    await none_left(shop, postgres_server)


async def test_nothing_of_one_question_is_left_for_the_next(context: StepContext) -> None:
    await asked(context, "select set_config('app.who', 'me', false)")
    left = "select coalesce(current_setting('app.who', true), '') as who"
    assert (await asked(context, left))["rows"] == [{"who": ""}]


async def test_who_is_not_let_in_is_not_tried_again(
    shop: Connection, way: GuardedTransport
) -> None:
    secret = {"password": "another-password"}
    wrong = Connection("postgres", shop.config, secret, "shop")
    for connection in (
        wrong,
        Connection("postgres", shop.config | {"database": "nowhere"}, shop.secrets, "shop"),
        Connection("postgres", shop.config | {"sslMode": "require"}, shop.secrets, "shop"),
        Connection("postgres", shop.config | {"sslMode": "verify-full"}, shop.secrets, "shop"),
    ):
        refused = await fault(asked(step(connection, way), "select 1"))
        assert (refused.code, refused.retryable) == ("AUTHENTICATION_FAILED", False), refused
        assert "another-password" not in refused.message


@asynccontextmanager
async def under_tls(shop: Connection, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """The shop's server with TLS before it, as Postgres itself has it; its port."""
    at = str(shop.config["host"]), int(shop.config["port"])
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"S")
        try:
            await writer.start_tls(tls)
        except (ssl.SSLError, ConnectionError):
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(*at)
        ways = (pump(reader, far_writer), pump(far_reader, writer))
        await asyncio.gather(*ways, return_exceptions=True)

    def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.create_task(talk(reader, writer)))

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.gather(*talks, return_exceptions=True)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


async def test_a_server_proves_its_name_where_that_is_asked_for(
    shop: Connection, way: GuardedTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, _ = certificate(tmp_path)

    async def asking(port: int, host: str, mode: str) -> Any:
        config = shop.config | {"port": port, "host": host, "sslMode": mode}
        context = step(Connection("postgres", config, shop.secrets, "shop"), way)
        return await asked(context, "select 1 as one")

    async with under_tls(shop, tls) as port:
        assert (await asking(port, "127.0.0.1", "require"))["rowCount"] == 1
        for mode in ("verify-ca", "verify-full"):
            stranger = await fault(asking(port, "localhost", mode))
            assert (stranger.code, stranger.retryable) == ("AUTHENTICATION_FAILED", False)
            assert "certificate verify failed" in stranger.message
        monkeypatch.setattr(postgres, "ROOTS", str(tmp_path / "server.pem"))
        assert (await asking(port, "localhost", "verify-full"))["rowCount"] == 1
        other = await fault(asking(port, "127.0.0.1", "verify-full"))
        assert (other.code, other.retryable) == ("AUTHENTICATION_FAILED", False)


@pytest.mark.parametrize(
    "database",
    ["postgres://127.0.0.1/x", "host=127.0.0.9 dbname=x", "x hostaddr=127.0.0.9", "dbname='y'"],
)
async def test_a_database_s_name_names_no_other_place(
    shop: Connection, way: GuardedTransport, database: str
) -> None:
    elsewhere = Connection("postgres", shop.config | {"database": database}, shop.secrets, "shop")
    refused = await fault(asked(step(elsewhere, way), "select 1"))
    assert refused.code == "AUTHENTICATION_FAILED"
    assert f'database "{database}" does not exist' in refused.message


async def test_a_server_that_is_not_there_or_says_nonsense_is_tried_again(
    shop: Connection, way: GuardedTransport
) -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    for port in (1, server.sockets[0].getsockname()[1]):
        connection = Connection("postgres", shop.config | {"port": port}, shop.secrets, "shop")
        gone = await fault(asked(step(connection, way), "select 1"))
        assert (gone.code, gone.retryable) == ("CONNECTION_ERROR", True)
    server.close()


async def test_a_restart_in_the_midst_is_tried_again(
    context: StepContext, shop: Connection, postgres_server: str
) -> None:
    asking = asyncio.create_task(asked(context, "select pg_sleep(60)"))
    await one_asks(shop, postgres_server)
    async with await psycopg.AsyncConnection.connect(postgres_server) as owner:
        ended = "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s"
        await owner.execute(ended, [shop.config["username"]])
    lost = await fault(asking)
    assert lost.retryable
