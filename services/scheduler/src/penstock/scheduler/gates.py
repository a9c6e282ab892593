"""Letters to gates worked off: all that have come at once in one decision, and what follows.

A gate tells a run what it decided about it by a command. Should that be lost with a process, the
letter that led to it comes again, and those who were let through or turned away of late are told
once more; whoever still hears nothing asks again.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence

from penstock.domain.gate.commands import AcquireSlot, GateCommand
from penstock.domain.gate.decide import opens_next_at
from penstock.domain.gate.events import GateEvent, HolderDisplaced, SlotGranted, SlotRefused
from penstock.domain.gate.state import Gate
from penstock.infra.eventlog.transact import Answer, Ledger, Outcome
from penstock.infra.nats import subjects
from penstock.infra.nats.publish import PublishError
from penstock.infra.telemetry import logs, metrics
from penstock.messages import catalogue
from penstock.scheduler.gate_calls import GateCalls
from penstock.scheduler.keys import GateKey
from penstock.scheduler.letters import GateLetter
from penstock.scheduler.lines import Lines
from penstock.scheduler.receipts import RETRY_DELAY_S
from penstock.scheduler.runs import TEMPORARY
from penstock.scheduler.settlement import Settlement
from penstock.scheduler.timers import Timers

TOLD_AGAIN_MS = 60_000
TOLD_AGAIN_MAX = 1_000
"""Runs let through so lately, and so many at most, are told again when a letter has come twice."""

PutAside = Callable[[GateKey, GateLetter, Exception], Awaitable[None]]

logger = logs.logger(__name__)


class Gates:
    """Works off the letters of gates. put_aside: for a letter that this code cannot handle."""

    def __init__(
        self,
        ledger: Ledger[GateCommand, GateEvent, Gate],
        calls: GateCalls,
        timers: Timers,
        lines: Lines,
        put_aside: PutAside,
    ) -> None:
        self._ledger = ledger
        self._calls = calls
        self._timers = timers
        self._lines = lines
        self._put_aside = put_aside

    async def work_off(self, key: GateKey, letters: list[GateLetter]) -> None:
        """Decide about all letters, in as few decisions as they fit into. Never raises."""
        try:
            while letters:
                taken = await self._decide(key, letters)
                del letters[:taken]
        except TEMPORARY as error:
            logger.warning("a gate's letters must wait", gate_id=key.gate_id, error=repr(error))
            for letter in letters:
                letter.failed(RETRY_DELAY_S)
        except Exception as error:  # noqa: BLE001 - the fault is ours, the stream must go on
            await self._blame(key, letters, error)

    def forget(self, partition: int) -> None:
        """What is known of the gates of a partition may be out of date from now on."""
        self._lines.forget(partition)
        for subject in self._ledger.cache.subjects():
            if subjects.partition_of(subjects.parse_events(subject).id) == partition:
                self._ledger.cache.drop(subject)

    async def _blame(self, key: GateKey, letters: list[GateLetter], error: Exception) -> None:
        """Find out which letter it was by trying them one at a time; put that one aside."""
        if len(letters) > 1:
            for letter in letters:
                await self.work_off(key, [letter])
            return
        logger.error("a gate's letter could not be handled", gate_id=key.gate_id, exc_info=error)
        try:
            await self._put_aside(key, letters[0], error)
            letters[0].done()
        except PublishError:
            letters[0].failed(RETRY_DELAY_S)

    async def _decide(self, key: GateKey, letters: Sequence[GateLetter]) -> int:
        """One decision; how many of the letters it took."""
        subject = subjects.events(key.tenant, catalogue.GATE, key.gate_id)
        outcome = await self._ledger.transact(subject, [each.addressed for each in letters])
        if outcome.events:
            metrics.scheduler_decisions.inc()
            metrics.scheduler_events.inc(len(outcome.events))
        handled = letters[: outcome.taken]
        self._follow(key, outcome, handled)
        return len(handled)

    def _follow(
        self, key: GateKey, outcome: Outcome[GateEvent, Gate], letters: Sequence[GateLetter]
    ) -> None:
        """Tell the runs, have the gate open in time, settle all letters or none."""
        gate, now = outcome.state, self._ledger.now()
        settlement = Settlement(letters)
        concerned = dict.fromkeys(told(outcome, letters))
        if any(letter.deliveries > 1 or letter.failures for letter in letters):
            concerned |= dict.fromkeys(told_of_late(gate, now))
        for run_id in concerned:
            if run_id in gate.displaced:
                by = gate.displaced[run_id]
                settlement.expect_future(self._calls.turn_away(key, run_id, holder=by))
            elif run_id in gate.holders:
                settlement.expect_future(self._calls.admit(key, run_id))
            elif run_id in gate.refused:
                holder = gate.refused[run_id]
                settlement.expect_future(self._calls.turn_away(key, run_id, holder=holder))
        for run_id, code in not_taken(outcome.answers, letters):
            settlement.expect_future(self._calls.turn_away(key, run_id, code=code))
        opens_at = opens_next_at(gate, now)
        if opens_at is not None and opens_at <= now:
            settlement.expect_future(self._calls.open(key))
        elif opens_at is not None and opens_at != self._lines.opens_at(key):
            settlement.expect_future(self._timers.open_gate(key, opens_at))
        self._lines.follow(key, gate, opens_at, refused=refuses(outcome))
        settlement.close()


def told(outcome: Outcome[GateEvent, Gate], letters: Sequence[GateLetter]) -> Iterator[str]:
    """The runs that must hear of a decision, and those that have asked again."""
    for _, event in outcome.events:
        if isinstance(event, SlotGranted | SlotRefused | HolderDisplaced):
            yield event.run_id
    for letter, answer in zip(letters, outcome.answers, strict=True):
        command = letter.addressed.command
        if isinstance(command, AcquireSlot) and answer.replayed:
            yield command.run_id


def told_of_late(gate: Gate, now: int) -> list[str]:
    """The runs that may not have heard what was decided about them in the last moments."""
    lately = [run_id for run_id, at in gate.holders.items() if at >= now - TOLD_AGAIN_MS]
    return [*lately, *gate.displaced, *gate.refused][:TOLD_AGAIN_MAX]


def not_taken(
    answers: Sequence[Answer], letters: Sequence[GateLetter]
) -> Iterator[tuple[str, str]]:
    """The runs that could not even stand in line, each with the code of the refusal."""
    for letter, answer in zip(letters, answers, strict=True):
        command = letter.addressed.command
        if answer.refusal is not None and isinstance(command, AcquireSlot):
            yield command.run_id, answer.refusal.code


def refuses(outcome: Outcome[GateEvent, Gate]) -> bool:
    """Whether the decision has turned somebody away."""
    return any(isinstance(event, SlotRefused) for _, event in outcome.events)
