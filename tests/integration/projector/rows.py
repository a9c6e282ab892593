"""Rows put into the tables by hand, and the tables read back."""

from typing import Any
from uuid import UUID

import psycopg

RUN = UUID("0190b000-0000-7000-8000-000000000001")

Connection = psycopg.Connection[Any]


def plant_run(connection: Connection, tenant: UUID, run: UUID, **changes: Any) -> None:
    """One running run; `changes` by column."""
    values: dict[str, Any] = {
        "tenant_id": tenant,
        "id": run,
        "workflow_id": UUID(int=2),
        "workflow_name": "planted",
        "version": 1,
        "definition": "0" * 64,
        "status": "running",
        "trigger": "api",
        "tags": [],
        "priority": 0,
        "created_at": "2026-11-20T00:00:00Z",
        "started_at": "2026-11-20T00:00:00Z",
        "input": "{}",
        "request_hash": "",
        "correlation_id": "",
        "traceparent": "",
        "partition": 0,
        "last_seq": 1,
    } | changes
    columns, marks = ", ".join(values), ", ".join(f"%({name})s" for name in values)
    connection.execute(f"insert into penstock.runs ({columns}) values ({marks})".encode(), values)


def plant_key(connection: Connection, tenant: UUID, key: UUID) -> None:
    """The hash of an API key."""
    connection.execute(
        "insert into vault.api_keys (tenant_id, id, hash, role) values (%s, %s, 'hash', 'admin')",
        [tenant, key],
    )


def table(url: str, name: str, order: str) -> list[tuple[Any, ...]]:
    """All rows of a read model, payloads as text."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(
            f"select t.*::text from (select * from penstock.{name} order by {order}) t".encode()
        ).fetchall()
