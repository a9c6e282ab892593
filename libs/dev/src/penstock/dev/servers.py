"""The servers beneath the services: embedded ones, or those that the environment names."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.dev.credentials import Credentials
from penstock.dev.nats_server import NatsServer
from penstock.dev.options import StackOptions, StackSettings
from penstock.dev.postgres import Postgres, is_refusal
from penstock.dev.supervisor import Unit
from penstock.infra.nats.users import USERS, url_of
from penstock.infra.settings import SyncInterval

STOP_WITHIN_S = 2.0


@dataclass(frozen=True)
class Servers:
    """Where the services find their servers, and the units of those that are to be started.

    `database_url` is the owner's, as is `nats_url`. user_urls: where each service connects to NATS
    as itself; empty where the server is not ours.
    """

    nats_url: str
    user_urls: Mapping[str, str]
    database_url: str
    units: tuple[Unit, ...]


async def servers(
    data_dir: Path, options: StackOptions, settings: StackSettings, keys: Credentials
) -> Servers:
    """The servers of a stack; makes Postgres' cluster when there is none yet."""
    nats_url, database_url, units = settings.nats_url, settings.database_url, []
    user_urls: dict[str, str] = {}
    interval = options.sync_interval or settings.nats_sync_interval
    if not nats_url:
        nats = NatsServer(
            data_dir / "nats",
            sync_always=interval is SyncInterval.ALWAYS,
            passwords=keys.nats_passwords,
            log=data_dir / "log" / "nats.log",
        )
        nats_url = nats.url
        user_urls = {name: url_of(nats_url, name, keys.nats_passwords[name]) for name in USERS}
        units.append(_nats_unit(nats))
    if not database_url:
        postgres = Postgres(data_dir / "postgres", log=data_dir / "log" / "postgres.log")
        # Where its data is must be settled before we can say how to start it.
        await asyncio.to_thread(postgres.prepare)
        database_url = postgres.url
        units.append(_postgres_unit(postgres))
    return Servers(nats_url, user_urls, database_url, tuple(units))


def _nats_unit(server: NatsServer) -> Unit:
    return Unit(
        launch=server.launch,
        prepare=server.prepare,
        is_ready=server.is_ready,
        stop_within_s=STOP_WITHIN_S,
    )


def _postgres_unit(server: Postgres) -> Unit:
    return Unit(
        launch=server.launch,
        prepare=server.prepare,
        is_ready=server.is_ready,
        is_refusal=is_refusal,
        stop_within_s=STOP_WITHIN_S,
    )
