"""How much waits inside: where it is too much, runs are refused at the door and not piled up.

Schedulers tell how many steps of each tenant are out, and how many wait for room; the broker, how
many commands nobody has decided about. Both are looked at now and then, never for a request.
"""

import asyncio
from time import monotonic
from typing import NamedTuple

import msgspec
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.errors import Error as JetStreamError

from penstock.api.limits import RATE_LIMITED, Met, later
from penstock.infra.nats import subjects
from penstock.infra.nats.streams import COMMANDS
from penstock.infra.telemetry import logs, metrics
from penstock.messages.load import Load, Steps

WAITING_STEPS_MAX = 250_000
"""Steps of one tenant that wait for room at the executors; beyond it none of its runs begins."""
BACKLOG_MAX = 20_000
"""Commands that wait for a decision: some seconds of work for one scheduler."""
LOOK_EVERY_S = 1.0
BELIEVED_S = 5.0
"""What a scheduler said so long ago counts no more: it is gone, and another tells what it has."""
RETRY_AFTER_S = 2
SCHEDULERS_MAX = 256

_decode = msgspec.json.Decoder(Load).decode
_log = logs.logger(__name__)


class Heard(NamedTuple):
    """What a scheduler said, at a moment of the monotonic clock."""

    at: float
    load: Load


class Pressure:
    """Knows how much waits; nothing, as long as nobody can tell."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._heard: dict[str, Heard] = {}
        self._subscription: Subscription | None = None
        self._looking: asyncio.Task[None] | None = None
        self.backlog = 0

    async def start(self) -> None:
        """Listen, and look at the backlog from time to time."""
        self._subscription = await self._nc.subscribe(subjects.LOAD, cb=self._on_load)
        self._looking = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Look and listen no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._subscription is not None and not self._nc.is_closed:
            await self._subscription.unsubscribe()

    def steps(self, tenant_id: str) -> Steps:
        """A tenant's steps, at all schedulers that were heard of lately."""
        oldest = monotonic() - BELIEVED_S
        out = waiting = 0
        for heard in self._heard.values():
            steps = heard.load.tenants.get(tenant_id)
            if steps is not None and heard.at >= oldest:
                out, waiting = out + steps.out, waiting + steps.waiting
        return Steps(out=out, waiting=waiting)

    def refuse(self, tenant_id: str) -> None:
        """Raise Problem 429 while no run of the tenant is to begin."""
        waiting = self.steps(tenant_id).waiting
        if waiting > WAITING_STEPS_MAX:
            said = f"{waiting} steps of the tenant wait for executors: try again later"
            which = Met("waitingSteps", WAITING_STEPS_MAX, waiting)
            raise later(RATE_LIMITED, said, which, RETRY_AFTER_S)
        if self.backlog > BACKLOG_MAX:
            said = "too many commands wait for a decision: try again later"
            raise later(
                RATE_LIMITED, said, Met("commands", BACKLOG_MAX, self.backlog), RETRY_AFTER_S
            )

    async def look(self) -> None:
        """Ask the broker for the backlog; what cannot be known stays as it was."""
        try:
            info = await self._nc.jetstream().stream_info(COMMANDS)
        except (JetStreamError, errors.Error, TimeoutError) as error:
            _log.debug("the backlog of commands is unknown", error=repr(error))
            return
        self.backlog = info.state.messages
        metrics.api_commands_waiting.set(self.backlog)

    async def _go_on(self) -> None:
        while True:
            await self.look()
            oldest = monotonic() - BELIEVED_S
            self._heard = {i: heard for i, heard in self._heard.items() if heard.at >= oldest}
            await asyncio.sleep(LOOK_EVERY_S)

    async def _on_load(self, msg: Msg) -> None:
        try:
            load = _decode(msg.data)
        except msgspec.DecodeError as error:
            _log.warning("unreadable load", error=str(error))
            return
        if load.instance in self._heard or len(self._heard) < SCHEDULERS_MAX:
            self._heard[load.instance] = Heard(monotonic(), load)
