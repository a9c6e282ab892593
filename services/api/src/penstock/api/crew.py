"""Who is there to work: the queues that executors pull from, by a roll call of our own."""

import asyncio
from time import monotonic

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from penstock.infra.nats import subjects
from penstock.infra.telemetry import logs
from penstock.messages.rollcall import RollCall

ANSWER_S = 0.3
"""How long executors have to answer."""

REMEMBERED_S = 2.0
"""Who asks again so soon is told the same."""

_decode = msgspec.json.Decoder(RollCall).decode
_log = logs.logger(__name__)


class Crew:
    """Knows which queues are served."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._known: frozenset[str] | None = None
        self._known_until = 0.0

    async def queues(self) -> frozenset[str] | None:
        """The queues that at least one executor pulls from; None while nobody can be asked."""
        if self._known_until > monotonic():
            return self._known
        if not self._nc.is_connected:
            return None
        found: set[str] = set()

        async def hear(msg: Msg) -> None:
            if not msg.data:  # without one, the broker says that nobody listens
                return
            try:
                found.update(_decode(msg.data).queues)
            except msgspec.DecodeError as error:
                _log.warning("unreadable roll call", error=str(error))

        inbox = self._nc.new_inbox()
        hearing = await self._nc.subscribe(inbox, cb=hear)
        await self._nc.publish(subjects.ROLL_CALL, b"", reply=inbox)
        await asyncio.sleep(ANSWER_S)
        await hearing.unsubscribe()
        self._known, self._known_until = frozenset(found), monotonic() + REMEMBERED_S
        return self._known
