"""Hears what happens in the registry, so that nothing remembered here outlives its truth."""

from uuid import UUID

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from penstock.api.identity.people import People
from penstock.api.keys import Keys
from penstock.api.limits import TenantLimits
from penstock.api.runnable import Runnables, uuid_or_none
from penstock.infra.nats import subjects
from penstock.messages import catalogue

SEQUENCE = "Nats-Sequence"
LIVE = subjects.live("penstock.")


class Listener:
    """One subscription to the registry's republished tail."""

    def __init__(
        self, nc: Client, keys: Keys, people: People, runnables: Runnables, limits: TenantLimits
    ) -> None:
        self._nc = nc
        self._keys = keys
        self._people = people
        self._runnables = runnables
        self._limits = limits
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begin to listen."""
        subject = subjects.live(subjects.ANY_REGISTRY)
        self._subscription = await self._nc.subscribe(subject, cb=self._on_event)

    async def stop(self) -> None:
        """Listen no more."""
        if self._subscription is not None and not self._nc.is_closed:
            await self._subscription.unsubscribe()

    async def _on_event(self, msg: Msg) -> None:
        try:
            about = subjects.parse_events(f"{subjects.ROOT}.{msg.subject.removeprefix(LIVE)}")
        except subjects.BadSubject:
            return
        known = uuid_or_none(about.id)
        if known is not None:
            seq = int((msg.headers or {}).get(SEQUENCE, "0"))
            self._forget(about.kind, known, seq)

    def _forget(self, kind: str, known: UUID, seq: int) -> None:
        match kind:
            case catalogue.KEY:
                self._keys.forget_key(known)
            case catalogue.TENANT:
                self._keys.forget_tenant(known)
                self._limits.changed(str(known), seq)
                self._people.forget(known)
            case catalogue.USERS:
                self._people.forget(known)
            case catalogue.WORKFLOW:
                self._runnables.changed(str(known), seq)
            case _:
                pass
