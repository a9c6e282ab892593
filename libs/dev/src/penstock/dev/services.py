"""The services as units: command, environment, port, and the time each has to stop."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from penstock.dev.credentials import ROLES, Credentials, role_url
from penstock.dev.loopback import is_ok
from penstock.dev.options import StackOptions
from penstock.dev.ports import HOST
from penstock.dev.process import Launch
from penstock.dev.supervisor import Unit
from penstock.infra.settings import FILE_SUFFIX, PREFIX

GRACE_S = {"api": 2.0, "scheduler": 2.5, "executor": 7.0, "projector": 1.0}
"""How long a service may finish or hand back its work. An executor's leaves the steps that run
nearly 5 s of it to come to their end."""
LEAVE_S = 0.5
"""On top of it, to leave."""
EVERYWHERE = frozenset({"0.0.0.0", "::"})
PROVIDED = (
    "NATS_URL",
    "DATABASE_URL",
    "ADMIN_KEY",
    "KEY_ENCRYPTION_KEY",
    "KEY_ENCRYPTION_KEYS_OLD",
    "PEPPER_KEY",
    "API_PORT",
    "METRICS_PORT",
    "METRICS_HOST",
    "INSTANCE",
    "GRACEFUL_TIMEOUT_S",
)
"""What each service gets from us and not from our own environment."""
KEYED = frozenset({"api", "scheduler", "executor"})
"""The services that seal or open with the tenants' data keys."""


@dataclass(frozen=True)
class Place:
    """A process of a service: `name` is `<service>-<number>`, `port` where it answers probes.

    `spare_port` is one nobody else uses, should the API want its probes on a port of their own too.
    """

    service: str
    number: int
    port: int
    spare_port: int

    @property
    def name(self) -> str:
        """The process's name."""
        return f"{self.service}-{self.number}"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all services of a stack share.

    `nats_url` and `database_url` are the owner's; user_urls: of NATS, by service.
    """

    options: StackOptions
    logs: Path
    api_host: str
    nats_url: str
    user_urls: Mapping[str, str]
    database_url: str
    credentials: Credentials

    def url(self, place: Place) -> str:
        """Where this machine reaches the process, without a path."""
        listens = self.api_host if place.service == "api" else HOST
        host = HOST if listens in EVERYWHERE else listens
        return f"http://{f'[{host}]' if ':' in host else host}:{place.port}"


def service_unit(place: Place, around: Surroundings) -> Unit:
    """The unit that keeps one process of a service."""
    command = around.options.commands.get(place.service) or (
        sys.executable,
        *("-P", "-m", f"penstock.{place.service}"),
    )
    launch = Launch(
        name=place.name,
        argv=command,
        log=around.logs / f"{place.name}.log",
        env=inherited()
        | around.options.queue_variables()
        | _provided(place, around)
        | dict(around.options.env),
        cwd=Path.cwd(),
    )
    is_ready = partial(is_ok, f"{around.url(place)}/readyz")
    grace_s = GRACE_S[place.service] + LEAVE_S
    return Unit(launch=launch, is_ready=is_ready, stop_within_s=grace_s)


def inherited() -> dict[str, str]:
    """Our environment without what each service gets of its own, in either spelling."""
    ours = {PREFIX + name + suffix for name in PROVIDED for suffix in ("", FILE_SUFFIX)}
    return {name: value for name, value in os.environ.items() if name not in ours}


def _provided(place: Place, around: Surroundings) -> dict[str, str]:
    """Its own variables: the role it has in Postgres, and keys only where they are used."""
    keys, role = around.credentials, ROLES[place.service]
    values = {
        "NATS_URL": around.user_urls.get(place.service, around.nats_url),
        "INSTANCE": place.name,
        "METRICS_PORT": str(place.spare_port if place.service == "api" else place.port),
        "GRACEFUL_TIMEOUT_S": str(GRACE_S[place.service]),
        "DATABASE_URL": role_url(around.database_url, role, keys.role_passwords[role]),
    }
    if place.service in KEYED:
        values["KEY_ENCRYPTION_KEY"] = keys.key_encryption_key
        values["KEY_ENCRYPTION_KEYS_OLD"] = keys.key_encryption_keys_old
    if place.service == "api":
        values["API_PORT"] = str(place.port)
        values["ADMIN_KEY"] = keys.admin_key
        values["PEPPER_KEY"] = keys.pepper_key
    return {PREFIX + name: value for name, value in values.items()}
