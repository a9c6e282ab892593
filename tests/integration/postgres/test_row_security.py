"""Every requirement of reliability.md T4, planted: what is tried here must come to nothing."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.rows import TupleRow

from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.tables import metadata, runs
from penstock.infra.postgres.tenant import tenant_session
from tests.integration.projector.rows import RUN, plant_key, plant_run

MINE = UUID("0190a000-0000-7000-8000-00000000aaaa")
THEIRS = UUID("0190a000-0000-7000-8000-00000000bbbb")
SCHEMAS = "('penstock', 'vault')"
WITHOUT_TENANT = {"checkpoints", "alembic_version", "failures"}
CLOSED = {("vault", "data_keys"), ("vault", "destroyed_keys"), ("vault", "erasing")}
"""Tables that no service reads: tests/integration/keyring tries."""
OF_THE_INSTALLATION = {"emails"}
"""An address belongs to one user of all tenants', by contract; its digest tells nobody whose."""

Connection = psycopg.Connection[TupleRow]


@pytest.fixture(scope="module")
def owner(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for tenant in (MINE, THEIRS):
            plant_run(connection, tenant, RUN)
            plant_key(connection, tenant, RUN)
        yield connection
        for tenant in (MINE, THEIRS):
            connection.execute("delete from penstock.runs where tenant_id = %s", [tenant])
            connection.execute("delete from vault.api_keys where tenant_id = %s", [tenant])


@pytest.fixture
def api(owner: Connection, role_urls: dict[str, str]) -> Iterator[Connection]:
    """As a careless API would: a pooled session that nobody told a tenant."""
    with psycopg.connect(role_urls["penstock_api"], autocommit=True) as connection:
        yield connection


def tables(owner: Connection) -> list[tuple[str, str]]:
    found = owner.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        f"where n.nspname in {SCHEMAS} and c.relkind in ('r', 'p')"
    )
    return [(schema, name) for schema, name in found if name not in WITHOUT_TENANT]


def test_row_security_is_enabled_and_forced_on_every_table_with_a_tenant(owner: Connection) -> None:
    found = owner.execute(
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        f"where n.nspname in {SCHEMAS} and c.relkind in ('r', 'p') "
        "and not (c.relrowsecurity and c.relforcerowsecurity)"
    )
    assert {name for (name,) in found} == WITHOUT_TENANT


def test_every_unique_key_begins_with_the_tenant(owner: Connection) -> None:
    found = owner.execute(
        "select c.relname, a.attname from pg_index i join pg_class c on c.oid = i.indrelid "
        "join pg_namespace n on n.oid = c.relnamespace "
        "join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0] "
        f"where n.nspname in {SCHEMAS} and i.indisunique and c.relkind in ('r', 'p')"
    )
    keys = {
        name: column for name, column in found if name not in WITHOUT_TENANT | OF_THE_INSTALLATION
    }
    assert set(keys.values()) == {"tenant_id"}
    assert len(keys) >= len([t for t in metadata.tables.values() if "tenant_id" in t.c]) - 2


def test_views_would_show_what_their_reader_may_see(owner: Connection) -> None:
    found = owner.execute(
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        f"where n.nspname in {SCHEMAS} and c.relkind in ('v', 'm') "
        "and not coalesce(c.reloptions @> array['security_invoker=true'], false)"
    )
    assert found.fetchall() == []


def test_no_role_of_ours_stands_above_row_security(owner: Connection) -> None:
    found = owner.execute(
        "select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles "
        "where rolname like 'penstock_%' and rolname <> 'penstock_owner'"
    )
    assert sorted(found) == [
        ("penstock_api", False, False, False, False),
        ("penstock_executor", False, False, False, False),
        ("penstock_projector", False, False, False, False),
        ("penstock_scheduler", False, False, False, False),
    ]


def test_without_a_tenant_there_are_no_rows(owner: Connection, api: Connection) -> None:
    for schema, name in tables(owner):
        if name.startswith("event_archive_") or (schema, name) in CLOSED:
            continue
        count = sql.SQL("select count(*) from {}").format(sql.Identifier(schema, name))
        assert api.execute(count).fetchone() == (0,), name


def test_a_setting_left_empty_by_the_pool_is_no_tenant(api: Connection) -> None:
    with api.transaction():
        api.execute("select set_config('app.tenant', %s, true)", [str(MINE)])
        assert api.execute("select count(*) from penstock.runs").fetchone() == (1,)
    assert api.execute("select current_setting('app.tenant', true)").fetchone() == ("",)
    assert api.execute("select count(*) from penstock.runs").fetchone() == (0,)


def test_a_tenant_writes_nothing_for_another(api: Connection) -> None:
    api.execute("select set_config('app.tenant', %s, false)", [str(MINE)])
    with pytest.raises(errors.InsufficientPrivilege):
        plant_key(api, THEIRS, UUID(int=1))


def test_a_tenant_can_change_no_key_of_another(api: Connection) -> None:
    with api.transaction():
        api.execute("select set_config('app.tenant', %s, true)", [str(MINE)])
        changed = api.execute("update vault.api_keys set revoked_at = now() where id = %s", [RUN])
        assert changed.rowcount == 1


@pytest.mark.parametrize("verb", ["insert", "update", "delete", "truncate"])
def test_the_api_changes_no_read_model(api: Connection, verb: str) -> None:
    statements = {
        "insert": "insert into penstock.run_tags values (%s, 'x', now(), %s)",
        "update": "update penstock.runs set status = 'failed' where tenant_id = %s and id = %s",
        "delete": "delete from penstock.run_steps where tenant_id = %s and run_id = %s",
        "truncate": "truncate penstock.runs",
    }
    parameters = None if verb == "truncate" else [MINE, RUN]
    with pytest.raises(errors.InsufficientPrivilege):
        api.execute(statements[verb], parameters)


def test_nobody_but_the_owner_reads_a_partition(
    owner: Connection, role_urls: dict[str, str]
) -> None:
    partitions = [name for _, name in tables(owner) if name.startswith("event_archive_")]
    assert len(partitions) >= 4
    for url in role_urls.values():
        assert [name for name in partitions if may_read(url, name)] == []


def may_read(url: str, name: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            connection.execute(sql.SQL("select 1 from {}").format(sql.Identifier("penstock", name)))
        except errors.InsufficientPrivilege:
            return False
        return True


def test_history_can_be_added_to_and_not_changed(
    owner: Connection, role_urls: dict[str, str]
) -> None:
    with psycopg.connect(role_urls["penstock_projector"], autocommit=True) as projector:
        for statement in (
            "update penstock.event_archive set body = ''",
            "delete from penstock.event_archive",
            "select * from vault.api_keys",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                projector.execute(statement.encode())


def test_the_scheduler_sees_all_tenants_and_only_what_it_needs(
    owner: Connection, role_urls: dict[str, str]
) -> None:
    with psycopg.connect(role_urls["penstock_scheduler"], autocommit=True) as scheduler:
        live = "select tenant_id from penstock.runs where id = %s and status = 'running'"
        assert scheduler.execute(live, [RUN]).rowcount == 2
        scheduler.execute("select log, seq, hash from penstock.checkpoints")
        for statement in (
            "select input from penstock.runs",
            "select * from penstock.run_steps",
            "select * from vault.api_keys",
            "select * from vault.find_api_key(gen_random_uuid())",
            "delete from penstock.runs",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                scheduler.execute(statement.encode())


def test_a_key_is_found_before_its_tenant_is_known(api: Connection) -> None:
    found = api.execute("select tenant_id, hash from vault.find_api_key(%s)", [RUN]).fetchall()
    assert sorted(found) == [(MINE, b"hash"), (THEIRS, b"hash")]
    assert api.execute("select * from vault.find_api_key(%s)", [UUID(int=9)]).fetchall() == []


CALLERS = {
    "add_archive_partition": {"projector"},
    "add_data_key": {"api", "executor", "scheduler"},
    "count_erased": {"projector"},
    "destroy_data_keys": {"api"},
    "erase_rows": {"projector"},
    "erased_so_far": {"projector"},
    "expire_runs": {"projector"},
    "find_api_key": {"api"},
    "find_data_key": {"api", "executor", "scheduler"},
    "find_invitation": {"api"},
    "find_login": {"api"},
    "find_public_version": {"api"},
    "find_public_workflow": {"api"},
    "find_secrets": {"executor"},
    "find_session": {"api"},
    "first_data_key": {"api", "executor", "scheduler"},
    "list_doubtful": {"api"},
    "list_public_versions": {"api"},
    "list_tenants": {"api"},
    "sweep": {"api"},
}
"""Every function that crosses tenants, and who may call it."""


def test_the_functions_that_cross_tenants_are_known_and_not_for_everybody(
    owner: Connection,
) -> None:
    found = owner.execute(
        "select p.proname, array_agg(replace(r.rolname, 'penstock_', '')) "
        "filter (where has_function_privilege(r.rolname, p.oid, 'execute')), "
        "p.proconfig from pg_proc p join pg_namespace n on n.oid = p.pronamespace "
        "cross join pg_roles r "
        "where r.rolname like 'penstock_%' and r.rolname <> 'penstock_owner' "
        f"and n.nspname in {SCHEMAS} and p.prosecdef group by p.proname, p.proconfig"
    ).fetchall()
    assert {name: set(callers) for name, callers, _ in found} == CALLERS
    assert all(config == ["search_path=pg_catalog, pg_temp"] for _, _, config in found)


async def test_the_door_shows_one_tenant_and_is_closed_behind(
    owner: Connection, role_urls: dict[str, str]
) -> None:
    engine = Engine(role_urls["penstock_api"], connections_max=1)
    await engine.open()
    async with tenant_session(engine, MINE) as session:
        assert [row["tenant_id"] for row in await session.all(runs.select())] == [MINE]
    async with tenant_session(engine, str(THEIRS)) as session:
        assert [row["tenant_id"] for row in await session.all(runs.select())] == [THEIRS]
    async with engine.transaction() as session:
        assert await session.all(runs.select()) == []
    with pytest.raises(ValueError, match="UUID"):
        async with tenant_session(engine, "' or true"):
            pass
    await engine.close()
