"""Migrations: repeatable, at once from many sides, equal to the tables that code names."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from penstock.infra.postgres.tables import SCHEMA_REVISION, metadata
from penstock.projector.migrate import ROLES, head_revision, migrate
from tests.conftest import SERVICE_ROLES, with_login


def is_ours(thing: Any, name: str | None, kind: str, *_: object) -> bool:
    """Partitions are made as months come, and nobody names them in code."""
    schema = getattr(thing, "schema", None)
    if kind == "table":
        leaf = str(name).startswith("event_archive_")
        return schema in {"penstock", "vault"} and not leaf and name != "alembic_version"
    return True


def test_the_migrations_make_the_tables_that_code_names(database_url: str) -> None:
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_object": is_ours,
                "compare_type": True,
                "compare_server_default": True,
                "version_table_schema": "penstock",
            },
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_newest_migration_is_the_one_that_readiness_asks_for() -> None:
    assert head_revision() == SCHEMA_REVISION


def test_a_second_migration_changes_nothing_and_keeps_rows(
    database_url: str, role_passwords: dict[str, str]
) -> None:
    migrate(database_url, {})
    with psycopg.connect(with_login(database_url, ROLES[0], role_passwords[ROLES[0]])) as api:
        assert api.execute("select count(*) from penstock.checkpoints").fetchone() == (2,)


def test_many_migrate_at_once(
    make_database: Callable[[], str], role_passwords: dict[str, str]
) -> None:
    first, second = make_database(), make_database()
    passwords = {role: role_passwords[role] for role in SERVICE_ROLES}
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda url: migrate(url, passwords), [first, second] * 3))
    for url in (first, second):
        with psycopg.connect(url) as connection:
            version = connection.execute("select version_num from penstock.alembic_version")
            assert version.fetchall() == [(SCHEMA_REVISION,)]


def test_an_unknown_role_is_refused(database_url: str) -> None:
    with pytest.raises(ValueError, match="penstock_nobody"):
        migrate(database_url, {"penstock_nobody": "x"})


def test_a_role_above_row_security_is_refused(
    make_database: Callable[[], str], postgres_server: str
) -> None:
    url = make_database()
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("alter role penstock_api bypassrls")
        try:
            with pytest.raises(ValueError, match="penstock_api"):
                migrate(url, {})
        finally:
            connection.execute("alter role penstock_api nobypassrls")
