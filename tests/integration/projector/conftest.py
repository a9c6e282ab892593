"""A database of each test's own, at its first checkpoint."""

from collections.abc import Callable

import psycopg
import pytest

from penstock.projector.migrate import migrate
from tests.conftest import SERVICE_ROLES, with_login

EMPTIED = (
    "runs", "run_tags", "run_steps", "tenants", "api_keys", "workflows", "workflow_versions",
    "event_archive", "chain_heads", "quarantined", "erasures", "registry_places",
)  # fmt: skip


@pytest.fixture(scope="session")
def own_database(make_database: Callable[[], str], role_passwords: dict[str, str]) -> str:
    """Its owner's URL."""
    url = make_database()
    migrate(url, {role: role_passwords[role] for role in SERVICE_ROLES})
    return url


@pytest.fixture
def empty(own_database: str) -> str:
    """The owner's URL of a migrated database that has read nothing yet."""
    with psycopg.connect(own_database, autocommit=True) as connection:
        connection.execute(f"truncate {', '.join(f'penstock.{name}' for name in EMPTIED)}".encode())
        connection.execute(
            "update penstock.checkpoints set seq = 0, hash = decode(repeat('00', 32), 'hex')"
        )
    return own_database


@pytest.fixture
def projector_url(empty: str, role_passwords: dict[str, str]) -> str:
    """The same database for the projector."""
    return with_login(empty, "penstock_projector", role_passwords["penstock_projector"])
