"""What routes work with: made once by the composition root, found through the request."""

from dataclasses import dataclass

from fastapi import Request
from nats.aio.client import Client

from penstock.api.arrears import Arrears
from penstock.api.audit.origin import origin_of
from penstock.api.audit.witness import Witness
from penstock.api.capacity import Capacity
from penstock.api.checkpoint import Checkpoint
from penstock.api.commands import Commands, Sender
from penstock.api.crew import Crew
from penstock.api.errors import Unavailable
from penstock.api.gates import Doors
from penstock.api.histories import Histories
from penstock.api.identity.accounts import Accounts
from penstock.api.keys import Keys
from penstock.api.limits import TenantLimits
from penstock.api.origins import Origins
from penstock.api.payloads import Decisions, Payloads
from penstock.api.presence import Presence
from penstock.api.pressure import Pressure
from penstock.api.quotas import Executions, Places
from penstock.api.rates import Rates
from penstock.api.registry import Registry
from penstock.api.runnable import Runnables
from penstock.infra.blobs.port import Blobs
from penstock.infra.definitions import Definitions
from penstock.infra.keyring.payloads import Seals
from penstock.infra.postgres.engine import Engine
from penstock.infra.probes import Probes
from penstock.infra.secrets import Vault


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of one running API."""

    nc: Client
    engine: Engine
    vault: Vault
    blobs: Blobs
    definitions: Definitions
    checkpoint: Checkpoint
    arrears: Arrears
    commands: Commands
    registry: Registry
    histories: Histories
    keys: Keys
    seals: Seals
    presence: Presence
    origins: Origins
    capacity: Capacity
    limits: TenantLimits
    rates: Rates
    executions: Executions
    places: Places
    pressure: Pressure
    crew: Crew
    doors: Doors
    runnables: Runnables
    probes: Probes
    accounts: Accounts
    witness: Witness

    @property
    def pepper(self) -> bytes:
        """What hashes of new API keys are made with."""
        return self.accounts.peppers[0]

    def payloads(self, tenant_id: str, decision: Decisions | None = None) -> Payloads:
        """What opens and makes a tenant's payloads; decision: finds those that lie in the log."""
        found = self.histories.decision if decision is None else decision
        return Payloads(self.blobs, self.seals, found, tenant_id)

    def require_broker(self) -> None:
        """Raise `Unavailable` at once while there is no broker to write to."""
        if not self.nc.is_connected:
            raise Unavailable

    async def require_servers(self) -> None:
        """Raise `Unavailable` unless broker and database are there, within about a second.

        Also while the archive is too far behind for anything to be begun.
        """
        self.require_broker()
        self.arrears.require()
        await self.presence.require()


def parts_of(request: Request) -> Parts:
    """The parts of the API that serves `request`."""
    parts: Parts = request.app.state.parts
    return parts


def sender_of(request: Request, actor: str) -> Sender:
    """On whose behalf a route acts, with what ties its events to the request."""
    return Sender(
        actor=actor,
        request_id=request.scope["request_id"],
        traceparent=request.scope["traceparent"],
        origin=origin_of(request, parts_of(request).accounts.proxies),
    )
