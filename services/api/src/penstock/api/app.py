"""The composition root: parts made once, routes put together, one server around them."""

import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from fastapi.routing import APIRoute
from nats.aio.client import Client
from starlette.types import ASGIApp

from penstock.api import (
    schemas,
    schemas_audit,
    schemas_control,
    schemas_identity,
    schemas_registry,
    schemas_secrets,
)
from penstock.api.arrears import Arrears
from penstock.api.audit.witness import Witness
from penstock.api.capacity import Capacity
from penstock.api.checkpoint import Checkpoint
from penstock.api.commands import Commands
from penstock.api.crew import Crew
from penstock.api.cross_origin import crossed
from penstock.api.door import Door
from penstock.api.errors import HANDLED, handle
from penstock.api.gates import Doors
from penstock.api.histories import Histories
from penstock.api.identity.accounts import accounts_of
from penstock.api.keys import Keys
from penstock.api.limits import TenantLimits
from penstock.api.listener import Listener
from penstock.api.openapi import document
from penstock.api.origins import Origins
from penstock.api.parts import Parts
from penstock.api.presence import Presence
from penstock.api.pressure import Pressure
from penstock.api.protocol import Http, Upgraded
from penstock.api.quotas import Executions, Places
from penstock.api.rates import Rates
from penstock.api.registry import Registry, now_ms
from penstock.api.routes import (
    audit,
    auth,
    bulk,
    connections,
    control,
    executions,
    explain,
    exports,
    forks,
    health,
    history,
    keys,
    live,
    runs,
    secrets,
    tenants,
    usage,
    users,
    variables,
    versions,
    workflows,
)
from penstock.api.runnable import Runnables
from penstock.api.sockets import MESSAGE_MAX_BYTES, PING_S
from penstock.infra.blobs.choice import BlobsCheck, blobs_of
from penstock.infra.definitions import Definitions
from penstock.infra.eventlog.jetstream import JetStreamLog
from penstock.infra.farewells import Farewells
from penstock.infra.keyring.choice import data_keys_of
from penstock.infra.keyring.payloads import Seals
from penstock.infra.nats.bootstrap import Topology
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.publish import Publisher
from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.schema import is_migrated
from penstock.infra.probes import Probes
from penstock.infra.secrets import Vault
from penstock.infra.service import Context, StartRefused
from penstock.infra.settings import ApiSettings

TITLE = "Penstock"
VERSION = "0.1.0"
CONNECTIONS_WAITING = 2048
"""Connections that the system keeps while the process is busy with others."""
STREAMS_CLOSE_S = 3
"""What a stop gives requests in flight; streams end at once, everything else is short."""
READ_S = 1.5
"""What a read of the log may take: longer, and the client is better off with a 503 and its turn
again. Any replica answers, so no change of leader has to be waited for."""
MODULES = (
    schemas,
    schemas_control,
    schemas_registry,
    schemas_identity,
    schemas_secrets,
    schemas_audit,
)
MODELS = [
    model
    for model in {name: each for shapes in MODULES for name, each in vars(shapes).items()}.values()
    if isinstance(model, type) and issubclass(model, schemas.Wire) and model is not schemas.Wire
]


ROUTED = (
    executions,
    runs,
    history,
    control,
    forks,
    explain,
    bulk,
    workflows,
    versions,
    exports,
    variables,
    secrets,
    connections,
    keys,
    users,
    auth,
    tenants,
    usage,
    audit,
    health,
)
"""In this order a request is compared with them: what is asked most comes first."""


def routes() -> list[APIRoute]:
    """Every route of the API, each with its whole path.

    They are put into the application one by one: routers within routers cost a request more.
    """
    return [
        route for module in ROUTED for route in module.router.routes if isinstance(route, APIRoute)
    ]


class Server(uvicorn.Server):
    """A server whose process is told to stop by somebody else."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process's own shell."""
        yield


class Api:
    """The running API: what `penstock.infra.service` starts and stops."""

    def __init__(self, settings: ApiSettings, nc: Client) -> None:
        self._listening = listening(settings.api_host, settings.api_port)
        self._nc = nc
        self._engine = Engine(settings.database_url, name=f"penstock-api:{settings.instance}")
        self._publisher = Publisher(nc)
        self._direct = Direct(nc, timeout_s=READ_S)
        self.parts = self._made(settings)
        self._listener = Listener(
            nc,
            self.parts.keys,
            self.parts.accounts.people,
            self.parts.runnables,
            self.parts.limits,
        )
        self._farewells = Farewells(nc, self.parts.seals.close)
        self._server = Server(configured(application(self.parts, settings.cors_origins)))
        self._serving: asyncio.Task[None] | None = None
        self._topology = Topology(nc)
        self._blobs_check = BlobsCheck(self.parts.blobs)

    def _made(self, settings: ApiSettings) -> Parts:
        log = JetStreamLog(self._publisher, self._direct)
        accounts = accounts_of(settings, self._engine, log, self._is_connected)
        blobs = blobs_of(settings, self._nc)
        checkpoint = Checkpoint(self._nc, self._engine)
        arrears = Arrears(self._direct, checkpoint, now_ms)
        histories = Histories(self._nc, self._direct, self._engine)
        data_keys = data_keys_of(settings, self._engine)
        seals = Seals(data_keys)
        return Parts(
            nc=self._nc,
            engine=self._engine,
            vault=Vault(self._engine, data_keys),
            blobs=blobs,
            definitions=Definitions(blobs),
            checkpoint=checkpoint,
            arrears=arrears,
            commands=Commands(self._nc, self._publisher, arrears, seals),
            registry=Registry(log, self._is_connected, seals),
            histories=histories,
            keys=Keys(
                self._engine,
                peppers=accounts.peppers,
                admin_key=settings.admin_key.get_secret_value(),
                bearers=accounts.bearers,
            ),
            seals=seals,
            presence=Presence(self._engine),
            origins=Origins(self._engine, histories),
            capacity=Capacity(),
            limits=TenantLimits(self._engine, checkpoint),
            rates=Rates(
                self._engine,
                per_key=settings.key_requests_per_minute,
                per_address=settings.address_requests_per_minute,
            ),
            executions=Executions(self._engine),
            places=Places(self._engine),
            pressure=Pressure(self._nc),
            crew=Crew(self._nc),
            doors=Doors(self._direct, blobs),
            runnables=Runnables(self._engine, checkpoint, seals.texts),
            probes=Probes("api", self.ready),
            accounts=accounts,
            witness=Witness(log, seals, self._is_connected, now_ms),
        )

    def _is_connected(self) -> bool:
        return self._nc.is_connected

    async def start(self) -> None:
        """Connect everything, then open the door."""
        parts = self.parts
        await self._engine.open()
        await self._publisher.start()
        await self._direct.start()
        await parts.checkpoint.start()
        await parts.arrears.start()
        await parts.commands.start()
        await parts.rates.start()
        await parts.pressure.start()
        await self._listener.start()
        await self._farewells.start()
        parts.accounts.sweep.start()
        parts.witness.start()
        parts.probes.begin()
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._listening]))

    async def stop(self) -> None:
        """Take no more requests, end streams, finish the rest, leave."""
        parts = self.parts
        parts.histories.close()
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
        await parts.accounts.sweep.stop()
        await self._farewells.stop()
        await parts.witness.stop()
        await self._listener.stop()
        await parts.pressure.stop()
        await parts.rates.stop()
        await parts.executions.stop()
        await parts.commands.stop()
        await parts.arrears.stop()
        await parts.checkpoint.stop()
        await self._direct.stop()
        await self._publisher.stop()
        await self._engine.close()
        await parts.probes.close()

    async def ready(self) -> Mapping[str, bool]:
        """Whether everything is there that requests need."""
        if not self._nc.is_connected:
            return {"nats": False}
        return {
            "nats": True,
            "streams": await self._topology.is_whole(),
            "database": await is_migrated(self._engine),
            **await self._blobs_check.answer(),
        }


async def build(context: Context[ApiSettings]) -> Api:
    """The API of a process."""
    return Api(context.settings, context.nc)


def application(parts: Parts, cors_origins: tuple[str, ...] = ()) -> ASGIApp:
    """The routes with the door around them."""
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        description="Multi-tenant, event-sourced workflows.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"auto_configure": False},
    )
    app.state.parts = parts
    for error in HANDLED:
        app.add_exception_handler(error, handle)
    app.router.routes.extend(routes())
    app.router.routes.extend(live.ROUTES)
    app.openapi = lambda: document(app, routes(), MODELS)  # type: ignore[method-assign]
    return Door(crossed(app, cors_origins), parts)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises StartRefused, with the variable to change, for a taken one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(CONNECTIONS_WAITING)
    except OSError as error:
        found.close()
        said = f"PENSTOCK_API_PORT: cannot listen on {host}:{port}: {error.strerror}"
        raise StartRefused(said) from error
    return found


def configured(app: ASGIApp) -> uvicorn.Config:
    """How uvicorn serves: quietly, for the door writes the log lines."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        date_header=True,
        timeout_graceful_shutdown=STREAMS_CLOSE_S,
        timeout_keep_alive=75,
        backlog=CONNECTIONS_WAITING,
        http=Http,
        ws=Upgraded,
        ws_max_size=MESSAGE_MAX_BYTES,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        ws_per_message_deflate=False,
    )
