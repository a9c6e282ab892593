"""Runs at a gate whose scheduler dies between what it appends and what it says about it."""

import asyncio

from msgspec.structs import replace
from nats.aio.client import Client
from uuid_utils import uuid7

from penstock.domain.gate.commands import AcquireSlot, GateCommand
from penstock.domain.gate.decide import GATE
from penstock.domain.gate.events import GateEvent, GateUse, Rule
from penstock.domain.gate.state import Gate
from penstock.domain.ids import derived
from penstock.domain.payload import of_value
from penstock.domain.run.commands import AdmitRun, CancelRun, StartRun
from penstock.domain.workflow.model import Strategy, from_wire
from penstock.infra.definitions import Definitions
from penstock.infra.eventlog.cache import Cache
from penstock.infra.eventlog.transact import Addressed, Ledger
from penstock.infra.nats import subjects
from penstock.messages.codec import codec_for
from tests.integration.scheduler.replicas import DEFINITION, TENANT, Replicas
from tests.integration.scheduler.test_lost_words import (
    POLL_S,
    DyingHand,
    until_told,
)

ONE = Rule(most=1)
NEXT_WITHIN_S = 60.0


class Hand(DyingHand):
    """Appends to runs and gates, and says nothing about it."""

    async def queued(self, gate: GateUse) -> str:
        """A run that stands in front of a gate and has not asked it."""
        run_id = str(uuid7())
        definition = await Definitions(self.blobs).put(TENANT, from_wire(DEFINITION))
        start = StartRun(
            workflow_id="w",
            workflow_name="w",
            version=1,
            definition=definition,
            input=of_value(None),
            created_at=0,
            gates=(gate,),
        )
        assert len(await self.append(run_id, start)) == 1
        return run_id

    async def ask(self, gate: GateUse, run_id: str) -> list[str]:
        """What the gate decides about a run, which does not hear of it."""
        ledger: Ledger[GateCommand, GateEvent, Gate] = Ledger(
            log=self.log, cache=Cache(), decider=GATE, codec=codec_for("gate"), now=lambda: 0
        )
        command = AcquireSlot(run_id=run_id, rule=gate.rule)
        asked = [Addressed[GateCommand](command, id="dying", actor="scheduler:test")]
        subject = subjects.events(TENANT, "gate", gate.gate_id)
        outcome = await ledger.transact(subject, asked)
        return [type(event).__name__ for _, event in outcome.events]


def gate_of(name: str, rule: Rule = ONE) -> GateUse:
    """A gate that only one test uses."""
    return GateUse(gate_id=derived(TENANT, "gate", name, str(uuid7())), rule=rule, label=name)


async def hand_of(nc: Client) -> Hand:
    """A hand that can write."""
    hand = Hand(nc)
    await hand.start()
    return hand


async def one_of(replicas: Replicas, runs: set[str]) -> str:
    """The one of some runs whose step has been given out, as soon as there is one."""
    deadline = asyncio.get_running_loop().time() + NEXT_WITHIN_S
    while not (found := replicas.tasks.keys() & runs):
        assert asyncio.get_running_loop().time() < deadline, "nobody is let through"
        await asyncio.sleep(POLL_S)
    (running,) = found
    return running


async def test_a_run_asks_its_gate_although_nobody_said_that_it_was_queued(
    nc: Client, replicas: Replicas
) -> None:
    hand = await hand_of(nc)
    run_id = await hand.queued(gate_of("never asked"))
    await replicas.start("heir")
    await replicas.until_dispatched([run_id], within_s=NEXT_WITHIN_S)


async def test_a_run_that_was_let_through_hears_of_it_although_the_gate_died_before_saying_so(
    nc: Client, replicas: Replicas
) -> None:
    hand, gate = await hand_of(nc), gate_of("never told")
    run_id = await hand.queued(gate)
    assert await hand.ask(gate, run_id) == ["GateRuled", "SlotQueued", "SlotGranted"]
    await replicas.start("heir")
    await replicas.until_dispatched([run_id], within_s=NEXT_WITHIN_S)


async def test_a_run_that_was_turned_away_hears_of_it_however_late(
    nc: Client, replicas: Replicas
) -> None:
    hand = await hand_of(nc)
    gate = gate_of("turned away")
    skipping = replace(gate, rule=Rule(most=1, strategy=Strategy.SKIP))
    first, second = await hand.queued(skipping), await hand.queued(skipping)
    await hand.ask(skipping, first)
    assert await hand.ask(skipping, second) == ["SlotRefused"]
    await replicas.start("heir")
    await until_told(replicas, second, "RunCancelled")
    await replicas.until_dispatched([first], within_s=NEXT_WITHIN_S)


async def test_the_place_of_a_run_that_ended_without_letting_go_is_found(
    nc: Client, replicas: Replicas
) -> None:
    hand, gate = await hand_of(nc), gate_of("never released")
    gone, waiting = await hand.queued(gate), await hand.queued(gate)
    await hand.ask(gate, gone)
    assert await hand.ask(gate, waiting) == ["SlotQueued"]
    await hand.append(gone, AdmitRun(gate_id=gate.gate_id))
    await hand.append(gone, CancelRun())
    assert "RunStarted" not in await replicas.history(waiting)
    await replicas.start("heir")
    await replicas.until_dispatched([waiting], within_s=NEXT_WITHIN_S)


async def test_two_schedulers_let_everybody_through_one_by_one_while_one_is_killed(
    nc: Client, replicas: Replicas
) -> None:
    hand, gate = await hand_of(nc), gate_of("survivors")
    runs = [await hand.queued(gate) for _ in range(6)]
    left = set(runs)
    victim = await replicas.start("victim")
    await replicas.start("heir")
    for turn in range(len(runs)):
        running = await one_of(replicas, left)
        if turn == 1:
            victim.kill()
        await replicas.report(running)
        left.discard(running)
    await replicas.until_ended(runs)
