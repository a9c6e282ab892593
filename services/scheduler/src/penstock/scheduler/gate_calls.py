"""What runs and gates have to say to each other: commands that change nothing when they come twice.

A run asks its gates in turn, and lets go of all that it has asked when it is over. A gate tells
those it lets through, or turns away. Either asks again where it hears nothing for long.
"""

import asyncio
from collections.abc import Callable

from penstock.domain.gate.commands import AcquireSlot, GateCommand, OpenGate, ReleaseSlot
from penstock.domain.gate.events import GateUse
from penstock.domain.run.admission import asked
from penstock.domain.run.commands import AdmitRun, ContinueRun, RunCommand, TurnAway
from penstock.domain.run.state import Run
from penstock.infra.nats import subjects
from penstock.infra.nats.publish import Publisher
from penstock.messages.catalogue import GATE, RUN
from penstock.messages.envelope import CommandMessage, GateMessage, encode
from penstock.scheduler.keys import GateKey, RunKey

Told = asyncio.Future[int]


class GateCalls:
    """Publishes them; every call answers the future of its message. now: ms since the epoch."""

    def __init__(self, publisher: Publisher, *, me: str, now: Callable[[], int]) -> None:
        self._publisher = publisher
        self._actor = f"scheduler:{me}"
        self._now = now

    # --- runs to gates ---------------------------------------------------------------------------

    def acquire(self, key: RunKey, run: Run, use: GateUse) -> Told:
        """Ask a gate to let a queued run through."""
        priority = 0 if run.start is None else run.start.priority
        parent = None if run.start is None else run.start.parent
        command = AcquireSlot(
            run_id=key.run_id,
            rule=use.rule,
            priority=priority,
            above=() if parent is None else parent.above,
        )
        return self._to_gate(GateKey(key.tenant, use.gate_id), command, f"{key.run_id}/acquire")

    def release(self, key: RunKey, run: Run) -> list[Told]:
        """Let go of every gate that a run has asked."""
        command = ReleaseSlot(run_id=key.run_id)
        return [
            self._to_gate(GateKey(key.tenant, use.gate_id), command, f"{key.run_id}/release")
            for use in asked(run)
        ]

    # --- gates to runs, and to themselves --------------------------------------------------------

    def admit(self, key: GateKey, run_id: str) -> Told:
        """Let a run through."""
        return self._to_run(key, run_id, AdmitRun(gate_id=key.gate_id), "admit")

    def turn_away(self, key: GateKey, run_id: str, *, holder: str = "", code: str = "") -> Told:
        """Turn a run away, or out."""
        command = TurnAway(gate_id=key.gate_id, holder=holder, code=code)
        return self._to_run(key, run_id, command, "turn-away")

    def probe(self, key: GateKey, run_id: str) -> Told:
        """Have a run that is over let go once more; nothing happens to any other."""
        return self._to_run(key, run_id, ContinueRun(), "probe")

    def open(self, key: GateKey) -> Told:
        """Have the gate let through those whom one decision could not hold."""
        return self._to_gate(key, OpenGate(), "open")

    def _to_gate(self, key: GateKey, command: GateCommand, name: str) -> Told:
        message = GateMessage(id=name, actor=self._actor, command=command)
        subject = subjects.command(key.tenant, GATE, key.gate_id)
        return self._publisher.publish(subject, encode(message))

    def _to_run(self, key: GateKey, run_id: str, command: RunCommand, name: str) -> Told:
        message = CommandMessage(
            id=f"{key.gate_id}/{name}", actor=self._actor, at=self._now(), command=command
        )
        subject = subjects.command(key.tenant, RUN, run_id)
        return self._publisher.publish(subject, encode(message))
