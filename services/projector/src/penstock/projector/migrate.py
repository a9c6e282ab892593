"""Brings the database to this release: roles, tables, policies, grants.

Everything happens in one transaction under an advisory lock, so that several may start at once
and a half-made schema is never seen.
"""

import time
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import Error, errors, sql
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from penstock.infra.postgres.engine import conninfo
from penstock.infra.postgres.schema import is_migrated

__all__ = ["ROLES", "head_revision", "is_migrated", "migrate"]

ROLES = ("penstock_projector", "penstock_api", "penstock_scheduler", "penstock_executor")
"""The roles of the services; `penstock_owner`, who migrates, is made with the database."""

LOCK = 0x70656E73
"""The advisory lock of migrations: `pens`."""

ATTEMPTS_MAX = 20
"""Roles belong to the whole server: two databases that migrate at once may collide on them."""

PAUSE_S = 0.05

COLLISIONS = (errors.UniqueViolation, errors.InternalError_, errors.DuplicateObject)


def migrate(owner_url: str, passwords: dict[str, str]) -> None:
    """Make or update roles and tables.

    owner_url: of the role that owns the database. passwords: by role; a role without one keeps
    what it has. Raises ValueError for an unknown role or one that could see all tenants' rows,
    and SQLAlchemy's errors when the database cannot be reached.
    """
    unknown = passwords.keys() - set(ROLES)
    if unknown:
        raise ValueError(f"not roles of ours: {', '.join(sorted(unknown))}")
    url = conninfo(owner_url).replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, connect_args={"application_name": "penstock-migrate"})
    try:
        _retried(engine, passwords)
    finally:
        engine.dispose()


def _retried(engine: Engine, passwords: dict[str, str]) -> None:
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            with engine.begin() as connection:
                upgrade(connection, passwords)
            return
        except (DBAPIError, Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if attempt == ATTEMPTS_MAX or not isinstance(cause, COLLISIONS):
                raise
            time.sleep(PAUSE_S * attempt)


def head_revision() -> str:
    """The newest migration of this release."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "there are migrations"
    return head


def upgrade(connection: Connection, passwords: dict[str, str]) -> None:
    """All of it, in the connection's open transaction."""
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    for role in ROLES:
        make_role(connection, role, passwords.get(role))
    connection.execute(text("create schema if not exists penstock"))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def make_role(connection: Connection, role: str, password: str | None) -> None:
    """A role that can log in and that no privilege lifts over row security."""
    known = connection.execute(
        text("select rolsuper or rolbypassrls from pg_roles where rolname = :role"), {"role": role}
    ).scalar_one_or_none()
    if known:
        raise ValueError(f"role {role} is a superuser or bypasses row security")
    driver = connection.connection.driver_connection
    assert driver is not None
    name = sql.Identifier(role)
    with driver.cursor() as cursor:
        if known is None:
            cursor.execute(
                sql.SQL(
                    "create role {} login nosuperuser nobypassrls nocreatedb nocreaterole"
                ).format(name)
            )
        if password is not None:
            sealed = driver.pgconn.encrypt_password(
                password.encode(), role.encode(), b"scram-sha-256"
            )
            cursor.execute(
                sql.SQL("alter role {} login password {}").format(
                    name, sql.Literal(sealed.decode())
                )
            )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("penstock.projector") / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
