"""A whole Penstock on this machine: servers, services, one default tenant.

    async with Stack(StackOptions(data_dir=directory, port=0)) as stack:
        print(stack.api_url, stack.api_key)

Starting makes what is missing; stopping lets each part finish, those first that take in work.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from penstock.dev.credentials import credentials
from penstock.dev.default_tenant import DefaultTenant, default_tenant
from penstock.dev.errors import ServerFailed
from penstock.dev.groundwork import prepare
from penstock.dev.kept import write_private
from penstock.dev.occupancy import Occupancy
from penstock.dev.options import StackOptions, stack_settings
from penstock.dev.places import places
from penstock.dev.postgres_files import remove_data
from penstock.dev.servers import servers
from penstock.dev.services import Place, Surroundings, service_unit
from penstock.dev.supervisor import Supervisor

STOP_BY_S = ((("api", "executor"), 7.5), (("scheduler",), 8.25), (("projector",), 8.75))
"""No new work comes in and what runs is finished or handed back; what that came to is decided;
what is recorded is projected. Each with the moment, from the stop's beginning, by which it is over:
a stop mostly takes a fraction of it, and what was not given time to leave in order loses nothing.
"""
SERVERS = ("nats", "postgres")
SERVERS_BY_S = 9.75
TENANT_FILE = "tenant.json"
CONNECTION_FILE = "penstock.json"


def silent(_: str) -> None:
    """Tell nobody."""


class Stack:
    """One stack, from `start` to `stop`; an async context manager does both.

    `say` hears of processes that end and start again.
    """

    def __init__(self, options: StackOptions, say: Callable[[str], None] = silent) -> None:
        self.options = options
        self.data_dir = options.data_dir.absolute()
        self._occupancy = Occupancy(self.data_dir)
        self._supervisor = Supervisor(self.data_dir / "run", say)
        self._places: tuple[Place, ...] = ()
        self._surroundings: Surroundings | None = None
        self._tenant: DefaultTenant | None = None

    # --- what it is, once started ----------------------------------------------------------------

    @property
    def api_url(self) -> str:
        """The first API process's URL, without a path."""
        return self.api_urls[0]

    @property
    def api_urls(self) -> tuple[str, ...]:
        """The URL of each API process."""
        return tuple(self._around.url(p) for p in self._places if p.service == "api")

    @property
    def nats_url(self) -> str:
        """Where NATS listens."""
        return self._around.nats_url

    @property
    def database_url(self) -> str:
        """Postgres as the owner."""
        return self._around.database_url

    @property
    def admin_key(self) -> str:
        """The platform admin's API key."""
        return self._around.credentials.admin_key

    @property
    def tenant_id(self) -> str:
        """The id of the tenant `default`."""
        return self._introduced.id

    @property
    def api_key(self) -> str:
        """The API key of the default tenant's admin."""
        return self._introduced.api_key

    @property
    def metrics_urls(self) -> dict[str, str]:
        """Where each process tells its metrics."""
        return {place.name: f"{self._around.url(place)}/metrics" for place in self._places}

    def pid(self, name: str) -> int:
        """The id of the process that runs now as `nats`, `postgres`, `api-0`, `executor-1`, …"""
        return self._supervisor.pid(name)

    @property
    def _around(self) -> Surroundings:
        if self._surroundings is None:
            raise ServerFailed("the stack is not started")
        return self._surroundings

    @property
    def _introduced(self) -> DefaultTenant:
        if self._tenant is None:
            raise ServerFailed("the stack is not started")
        return self._tenant

    # --- start -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start everything and return when it is ready; a failure stops what had come up.

        Raises `SettingWrong`, `PortTaken` or `ServerFailed`.
        """
        settings = stack_settings(self.options)
        self._places = places(self.options, settings)
        await asyncio.to_thread(self._occupancy.occupy)
        try:
            (self.data_dir / CONNECTION_FILE).unlink(missing_ok=True)
            write_private(self.data_dir / "run" / "supervisor.pid", f"{os.getpid()}\n")
            keys = credentials(self.data_dir / "keys", settings)
            below = await servers(self.data_dir, self.options, settings, keys)
            await self._supervisor.start(below.units)
            self._surroundings = Surroundings(
                options=self.options,
                logs=self.data_dir / "log",
                api_host=settings.api_host,
                nats_url=below.nats_url,
                user_urls=below.user_urls,
                database_url=below.database_url,
                credentials=keys,
            )
            await prepare(self._surroundings)
            await self._supervisor.start([service_unit(p, self._around) for p in self._places])
            await self._introduce()
        except BaseException:
            await self.stop()
            raise

    async def _introduce(self) -> None:
        """Make the default tenant when there is none, and tell clients where all this is."""
        file = self.data_dir / "keys" / TENANT_FILE
        self._tenant = await asyncio.to_thread(default_tenant, file, self.api_url, self.admin_key)
        told = {
            "apiUrl": self.api_url,
            "natsUrl": self.nats_url,
            "databaseUrl": self.database_url,
            "adminKey": self.admin_key,
            "tenantId": self.tenant_id,
            "apiKey": self.api_key,
            "metricsUrls": self.metrics_urls,
        }
        write_private(self.data_dir / CONNECTION_FILE, json.dumps(told, indent=2) + "\n")

    async def restart_services(self) -> None:
        """Stop and start the services, as after a change of their source."""
        await self._supervisor.restart([place.name for place in self._places])

    # --- stop ------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Stop everything gracefully, within 10 s; what is left of a part's time is not waited."""
        begun = time.monotonic()
        for services, by_s in STOP_BY_S:
            names = [place.name for place in self._places if place.service in services]
            await self._supervisor.stop(names, by=begun + by_s)
        await self._supervisor.stop(SERVERS, by=begun + SERVERS_BY_S)
        if not self.options.keep:
            await asyncio.to_thread(remove_data, self.data_dir / "postgres")
        (self.data_dir / "run" / "supervisor.pid").unlink(missing_ok=True)
        self._occupancy.leave()

    def kill(self) -> None:
        """End every process at once; nothing acknowledged is lost by it."""
        self._supervisor.kill()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
