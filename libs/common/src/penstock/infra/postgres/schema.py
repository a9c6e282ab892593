"""Which database this is, and which migration it is at, for the readiness of every service."""

from penstock.infra.postgres.engine import DatabaseUnavailable, Engine
from penstock.infra.postgres.tables import SCHEMA_REVISION

DATABASE = """
select control.system_identifier || '/' || own.oid as database
from pg_control_system() control, pg_database own
where own.datname = current_database()
"""
"""Tells this database from every other one; a replica and its primary are the same."""

REVISION = "select version_num from penstock.alembic_version"


async def is_migrated(engine: Engine) -> bool:
    """Whether the database has the tables of this release; False while it cannot be asked."""
    try:
        async with engine.transaction() as session:
            known = await session.one("select to_regclass('penstock.alembic_version') as name")
            if known is None or known["name"] is None:
                return False
            row = await session.one(REVISION)
    except DatabaseUnavailable:
        return False
    return row is not None and row["version_num"] == SCHEMA_REVISION
