"""The servers of the tests as containers, where Docker is there and asked for.

Its library takes a second to import, so only a session that wants containers does.
"""

import os
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NATS_IMAGE = "nats:2.15"
POSTGRES_IMAGE = "postgres:18"
NATS_PORT = 4222


def wanted() -> bool:
    """Whether PENSTOCK_TEST_CONTAINERS=1 is set and a Docker daemon really answers."""
    if os.environ.get("PENSTOCK_TEST_CONTAINERS") != "1":
        return False
    docker: Any = pkgutil.resolve_name("docker")
    try:
        client = docker.from_env()
        try:
            return bool(client.ping())
        finally:
            client.close()
    except docker.errors.DockerException:
        return False


@contextmanager
def nats() -> Iterator[str]:
    """A JetStream server; yields its URL."""
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy  # noqa: PLC0415

    ready = LogMessageWaitStrategy("Server is ready")
    container = DockerContainer(NATS_IMAGE).with_command("-js").with_exposed_ports(NATS_PORT)
    with container.waiting_for(ready) as server:
        host, port = server.get_container_host_ip(), server.get_exposed_port(NATS_PORT)
        yield f"nats://{host}:{port}"


@contextmanager
def postgres() -> Iterator[str]:
    """A Postgres server; yields its superuser's URL."""
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415

    with PostgresContainer(POSTGRES_IMAGE, driver=None) as server:
        yield server.get_connection_url()
