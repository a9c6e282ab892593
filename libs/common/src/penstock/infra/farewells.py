"""Hears at once when a tenant is deleted, so that nothing of it stays at hand in any process."""

from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from penstock.domain.tenant.events import TenantDeleted, TenantErased
from penstock.infra.nats import subjects
from penstock.infra.telemetry import logs
from penstock.messages import catalogue
from penstock.messages.codec import Undecodable, codec_for

_log = logs.logger(__name__)


class Farewells:
    """One subscription to what is said of tenants as such.

    hear: told the tenant, for each word that it is deleted or erased. A word may be missed: whoever
    listens keeps nothing for longer than it may be wrong.
    """

    def __init__(self, nc: Client, hear: Callable[[str], None]) -> None:
        self._nc = nc
        self._hear = hear
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begin to listen."""
        subject = subjects.live(subjects.ANY_TENANT)
        self._subscription = await self._nc.subscribe(subject, cb=self._on_word)

    async def stop(self) -> None:
        """Listen no more."""
        if self._subscription is not None and not self._nc.is_closed:
            await self._subscription.unsubscribe()

    async def _on_word(self, msg: Msg) -> None:
        try:
            events = codec_for(catalogue.TENANT).decode(msg.data).events
        except Undecodable as error:
            _log.warning("a word about a tenant cannot be read", error=repr(error))
            return
        if any(isinstance(event, TenantDeleted | TenantErased) for event in events):
            self._hear(msg.subject.rpartition(".")[2])
