"""The part of a scheduler that looks after gates: their letters, their ledger, their lines."""

from collections.abc import Awaitable, Callable

from penstock.infra.nats.publish import Publisher
from penstock.scheduler.aside import Aside
from penstock.scheduler.gate_calls import GateCalls
from penstock.scheduler.gate_ledger import GateStore, gate_ledger
from penstock.scheduler.gates import Gates
from penstock.scheduler.keys import GateKey
from penstock.scheduler.letters import GateLetter
from penstock.scheduler.lines import Lines
from penstock.scheduler.mailboxes import Mailboxes
from penstock.scheduler.runs import Clock
from penstock.scheduler.timers import Timers

WorkOff = Callable[[GateKey, list[GateLetter]], Awaitable[None]]


class Gatehouse:
    """All gates of the partitions that this scheduler holds. before: sees to letters first."""

    def __init__(
        self,
        publisher: Publisher,
        store: GateStore,
        calls: GateCalls,
        timers: Timers,
        clock: Clock,
        *,
        before: Callable[[WorkOff], WorkOff] = lambda work_off: work_off,
    ) -> None:
        ledger = gate_ledger(store, clock.wall)
        self._mailboxes: Mailboxes[GateKey, GateLetter] = Mailboxes(before(self._work_off))
        self._lines = Lines(calls, clock, self.post)
        self._gates = Gates(ledger, calls, timers, self._lines, Aside(publisher).put_gate)

    def start(self) -> None:
        """Look after them from now on."""
        self._lines.start()

    async def stop(self, within_s: float) -> None:
        """Work off the letters in hand, or as many as the time allows."""
        await self._lines.stop()
        await self._mailboxes.drained(within_s)

    def post(self, key: GateKey, letter: GateLetter) -> None:
        """Put a letter into a gate's box."""
        self._mailboxes.post(key, letter)

    def forget(self, partition: int) -> None:
        """Read the gates of a partition anew: somebody else has them, or had them until now."""
        self._gates.forget(partition)

    async def _work_off(self, key: GateKey, letters: list[GateLetter]) -> None:
        await self._gates.work_off(key, letters)
