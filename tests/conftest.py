"""Real servers for the tests: embedded ones, those that variables name, or containers.

Each session, and under xdist each worker, starts what its tests ask for and no more.
`PENSTOCK_NATS_URL` and `PENSTOCK_DATABASE_URL` name servers that run already (the latter's role
must be allowed to make databases and roles); `PENSTOCK_TEST_CONTAINERS=1` takes containers where
Docker answers.
"""

import hashlib
import os
import pkgutil
import secrets
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from penstock.dev.nats_server import NatsServer
from penstock.dev.postgres import Postgres
from tests import containers

# Two workers and real servers share two cores: how long an example took says nothing about it.
settings.register_profile("penstock", deadline=None)
settings.load_profile("penstock")

LONGEST_FIRST = ("e2e", "simulation", "integration", "patterns", "contract")
"""Tiers whose files take long: two workers that begin with them end at the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files in the order of their tiers; those of the same tier stay as they are."""
    places = {tier: place for place, tier in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(tier_of(item), len(places)))


def tier_of(item: pytest.Item) -> str:
    """The folder of `tests` that a test is in."""
    return item.nodeid.split("/")[1]


SERVICE_ROLES = ("penstock_projector", "penstock_api", "penstock_scheduler", "penstock_executor")

MakeDatabase = Callable[[], str]


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A JetStream server that the session's tests share: make streams with names of your own."""
    if given := os.environ.get("PENSTOCK_NATS_URL"):
        yield given
    elif containers.wanted():
        with containers.nats() as url:
            yield url
    else:
        server = NatsServer(tmp_path_factory.mktemp("nats"))
        server.start()
        yield server.url
        server.stop()


@pytest.fixture
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A running server of the test's own, to stop, kill and start again."""
    server = NatsServer(tmp_path_factory.mktemp("private-nats"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the session's Postgres, as a role that may make databases and roles."""
    if given := os.environ.get("PENSTOCK_DATABASE_URL"):
        yield given
    elif containers.wanted():
        with containers.postgres() as url:
            yield url
    else:
        server = Postgres(tmp_path_factory.mktemp("postgres"), durable=False)
        server.start()
        yield server.superuser_url()
        server.stop()
        server.remove()


@pytest.fixture
def private_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A running server of the test's own, to stop, kill and start again; its database is empty."""
    server = Postgres(tmp_path_factory.mktemp("private-postgres"), durable=False)
    server.start()
    yield server
    server.stop()
    server.remove()


@pytest.fixture(scope="session")
def role_passwords(postgres_server: str) -> dict[str, str]:
    """The passwords of the services' roles: roles belong to a server, so one set per server."""
    return {
        role: hashlib.sha256(f"{postgres_server} {role}".encode()).hexdigest()
        for role in ("penstock_owner", *SERVICE_ROLES)
    }


@pytest.fixture(scope="session")
def make_database(postgres_server: str, role_passwords: dict[str, str]) -> Iterator[MakeDatabase]:
    """Makes an empty database and answers its owner's URL; all are dropped with the session."""
    made: list[str] = []
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        owner = _owner(connection, role_passwords["penstock_owner"])

        def make() -> str:
            name = f"test_{secrets.token_hex(6)}"
            text = "CREATE DATABASE {} OWNER {}"
            connection.execute(sql.SQL(text).format(sql.Identifier(name), sql.Identifier(owner[0])))
            made.append(name)
            return with_login(postgres_server, *owner, database=name)

        yield make
        for name in made:
            text = "DROP DATABASE {} WITH (FORCE)"
            connection.execute(sql.SQL(text).format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def database_url(make_database: MakeDatabase, role_passwords: dict[str, str]) -> str:
    """The owner's URL of a migrated database that the session's tests share."""
    url = make_database()
    migrate: Any = pkgutil.resolve_name("penstock.projector.migrate:migrate")
    migrate(url, {role: role_passwords[role] for role in SERVICE_ROLES})
    return url


@pytest.fixture(scope="session")
def role_urls(database_url: str, role_passwords: dict[str, str]) -> dict[str, str]:
    """The URL of `database_url`'s database for each of the services' roles."""
    return {role: with_login(database_url, role, role_passwords[role]) for role in SERVICE_ROLES}


def _owner(connection: psycopg.Connection[Any], password: str) -> tuple[str, str]:
    """Who owns the databases: a superuser lends `penstock_owner`, any other role is it itself."""
    if connection.info.parameter_status("is_superuser") != "on":
        return connection.info.user, connection.info.password
    powers = "LOGIN NOSUPERUSER NOBYPASSRLS CREATEROLE PASSWORD {}"
    found = connection.execute("SELECT FROM pg_roles WHERE rolname = 'penstock_owner'").rowcount
    verb = "ALTER" if found else "CREATE"
    text = sql.SQL(f"{verb} ROLE penstock_owner {powers}")
    connection.execute(text.format(sql.Literal(password)))
    return "penstock_owner", password


def with_login(url: str, role: str, password: str, *, database: str | None = None) -> str:
    """`url` for another role, and another database where one is named."""
    parts = urlsplit(url)
    server = parts.netloc.rpartition("@")[2]
    path = parts.path if database is None else f"/{database}"
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{server}", path=path))
