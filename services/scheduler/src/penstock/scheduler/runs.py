"""Commands in, decisions out: what happens to the letters of one run.

The only place of the scheduler that changes history, and it does so through `transact`. Faults
are told apart by who can act: a refusal goes to the sender, a fault of the infrastructure makes
the message come again, and a fault of ours is tried a few times alone and then put aside as a
dead letter.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import NamedTuple

from penstock.domain.errors import Contention, NotFound
from penstock.domain.run.admission import is_beyond
from penstock.domain.run.commands import CancelRun, FireTimer, RunCommand
from penstock.domain.run.events import RunEvent
from penstock.domain.run.reports import is_ahead
from penstock.domain.run.state import Run
from penstock.infra.blobs.port import BlobsUnavailable
from penstock.infra.eventlog.log import AppendUnknown, EventLog, LogUnavailable
from penstock.infra.eventlog.transact import Answer, Ledger, Outcome
from penstock.infra.nats import subjects
from penstock.infra.nats.publish import PublishError
from penstock.infra.telemetry import logs, metrics
from penstock.messages.envelope import Refusal, Reply, encode
from penstock.scheduler.allowance import Allowance
from penstock.scheduler.effects import Effects
from penstock.scheduler.letters import Letter
from penstock.scheduler.precedents import LedTo, Precedents
from penstock.scheduler.receipts import RETRY_DELAY_S
from penstock.scheduler.settlement import Settlement
from penstock.scheduler.watch import RunKey, Watch

HAND_BACKS_MAX = 10
"""How often is handed back what comes too early, before it is answered: a command to a run that has
no history yet, a report about an attempt that is not in its history yet."""

HAND_BACK_DELAY_S = 0.5

HAND_BACK_DELAY_MAX_S = 64.0
"""Of a cancel, whose pauses double up to this: it comes again for over two minutes.

A run's start may be held up as long by an object store that is away, and a child whose cancel was
given up meanwhile would go on for nobody.
"""

LOOKS_MAX = 2
"""How often a run that does not wait for a timer is looked at, before the timer is believed."""

TEMPORARY = (
    AppendUnknown,
    BlobsUnavailable,
    LogUnavailable,
    PublishError,
    Contention,
    TimeoutError,
    OSError,
)
"""Faults of the infrastructure: the same message may simply come again, without a limit."""

Send = Callable[[str, bytes], Awaitable[None]]
PutAside = Callable[[RunKey, Letter, Exception], Awaitable[None]]

logger = logs.logger(__name__)


class Clock(NamedTuple):
    """wall: milliseconds since the epoch. monotonic: seconds."""

    wall: Callable[[], int]
    monotonic: Callable[[], float]


class Runs:
    """Works off the letters of runs.

    send: publishes a reply on a private subject. put_aside: what to do with a letter that this
    code cannot handle.
    """

    def __init__(
        self,
        ledger: Ledger[RunCommand, RunEvent, Run],
        log: EventLog,
        effects: Effects,
        watch: Watch,
        clock: Clock,
        doors: tuple[Send, PutAside],
    ) -> None:
        self._ledger = ledger
        self._precedents = Precedents(log, ledger.whole)
        self._effects = effects
        self._watch = watch
        self._clock = clock
        self._send, self._put_aside = doors

    async def work_off(self, key: RunKey, letters: list[Letter]) -> None:
        """Decide about all letters, in as few decisions as they fit into. Never raises."""
        try:
            await self._decide(key, letters)
        except TEMPORARY as error:
            logger.warning("letters must come again", run_id=key.run_id, error=repr(error))
            for letter in letters:  # those that were seen to are not on the list any more
                letter.failed(RETRY_DELAY_S)
        except Exception as error:  # noqa: BLE001 - the fault is ours, the stream must go on
            await self._blame(key, letters, error)

    async def _blame(self, key: RunKey, letters: list[Letter], error: Exception) -> None:
        """Find out which letter it was by trying them one at a time; put that one aside."""
        if len(letters) > 1:
            for letter in letters:
                await self.work_off(key, [letter])
            return
        logger.error("a letter could not be handled", run_id=key.run_id, exc_info=error)
        try:
            await self._put_aside(key, letters[0], error)
            letters[0].done()
        except TEMPORARY:
            letters[0].failed(RETRY_DELAY_S)

    async def _decide(self, key: RunKey, letters: list[Letter]) -> None:
        """Decide about letters in turn; each is taken off the list when it is seen to."""
        subject = subjects.run_events(key.tenant, key.run_id)
        await self._watch.admission.know(key.tenant)
        while letters:
            with Allowance(self._watch.admission, key) as allowance:
                with metrics.scheduler_append_seconds.time():
                    asked = [item.addressed for item in letters]
                    outcome = await self._ledger.transact(subject, asked, allowance.rules)
                self._take_in(key, outcome)
            await self._follow(key, outcome, letters[: outcome.taken])
            del letters[: outcome.taken]

    def _take_in(self, key: RunKey, outcome: Outcome[RunEvent, Run]) -> None:
        """Keep an eye on what the decision has left open."""
        if outcome.seq < self._watch.seq(key):
            self.forget(key)
            raise LogUnavailable(f"{key.run_id}: the replica that was read is behind")
        self._watch.follow(key, outcome, self._clock.monotonic())

    async def _follow(
        self, key: RunKey, outcome: Outcome[RunEvent, Run], letters: Sequence[Letter]
    ) -> None:
        """Publish what the decision owes, answer the senders, settle all letters or none."""
        run = outcome.state
        handled: list[Letter] = []
        back: list[Letter] = []
        answers: list[Answer] = []
        before = await self._led_to(key, letters, outcome)
        recorded = [*outcome.events, *chain.from_iterable(before.values())]
        for letter, answer in zip(letters, outcome.answers, strict=True):
            answer = as_first(answer, before.get(letter.addressed.id, ()))  # noqa: PLW2901
            answers.append(answer)
            early = outcome.base == 0 and is_unborn(letter, answer)
            early = early or (answer.replayed and self._is_early(key, letter, run))
            (back if early else handled).append(letter)
        for letter, answer in zip(letters, answers, strict=True):
            if letter.reply_to and letter not in back:
                await self._send(letter.reply_to, encode(reply_of(answer)))
        settlement = Settlement(handled)
        self._effects.follow(key, run, recorded, settlement)
        for letter in letters:
            if letter.about:
                self._effects.ask_after(key, run, letter.about, settlement)
        settlement.close()
        for letter in back:
            letter.failed(pause_before(letter))
        counted(outcome, run)

    async def _led_to(
        self, key: RunKey, letters: Sequence[Letter], outcome: Outcome[RunEvent, Run]
    ) -> LedTo:
        """What those of the letters that come again have led to before."""
        again = {each.addressed.id for each in letters if each.deliveries > 1 or each.failures > 0}
        if not again or not outcome.base:
            return {}
        subject = subjects.run_events(key.tenant, key.run_id)
        return await self._precedents.of(subject, again, known=outcome.seq, upto=outcome.base)

    def _is_early(self, key: RunKey, letter: Letter, run: Run) -> bool:
        """Whether a letter is to come again because the run may be older than it looks.

        Nothing is appended for what is answered with nothing, so nobody would notice that somebody
        else has gone on with the run: what is held of it is forgotten, and read anew next time.
        """
        command, often = letter.addressed.command, 0
        if is_ahead(command, run) or is_beyond(command, run):
            often = HAND_BACKS_MAX
        elif isinstance(command, FireTimer) and not run.is_over:
            often = LOOKS_MAX
        if letter.receipt is None or letter.deliveries >= often:
            return False
        self.forget(key)
        return True

    def forget(self, key: RunKey) -> None:
        """Read the run's history anew when its next letter comes."""
        self._ledger.cache.drop(subjects.run_events(key.tenant, key.run_id))


def is_unborn(letter: Letter, answer: Answer) -> bool:
    """Whether a command to a run without history is handed back: its start may be on its way."""
    refusal = answer.refusal
    if refusal is None or refusal.code != NotFound.code or letter.receipt is None:
        return False
    return letter.deliveries < HAND_BACKS_MAX


def pause_before(letter: Letter) -> float:
    """How long, in seconds, until a letter comes again that came too early."""
    if not isinstance(letter.addressed.command, CancelRun):
        return HAND_BACK_DELAY_S
    doubled = HAND_BACK_DELAY_S * 2.0 ** (letter.deliveries - 1)
    return min(HAND_BACK_DELAY_MAX_S, doubled)


def as_first(answer: Answer, led_to: Sequence[tuple[str, RunEvent]]) -> Answer:
    """What the sender is told of a command that had taken effect before.

    By now it may be refused: a run that has been resumed is not paused any more.
    """
    if answer.refusal is None or not led_to:
        return answer
    position, _ = led_to[-1]
    return Answer(position, replayed=True)


def reply_of(answer: Answer) -> Reply:
    """What the sender of a command is told."""
    refusal = answer.refusal
    said = None if refusal is None else Refusal(code=refusal.code, message=str(refusal))
    return Reply(position=answer.position, replayed=answer.replayed, refusal=said)


def counted(outcome: Outcome[RunEvent, Run], run: Run) -> None:
    """Add a decision to the metrics."""
    if outcome.events:
        metrics.scheduler_decisions.inc()
        metrics.scheduler_events.inc(len(outcome.events))
        if run.is_over:
            metrics.scheduler_runs_ended.labels(run.status.value).inc()
    for answer in outcome.answers:
        if answer.refusal is not None:
            metrics.scheduler_refused.labels(answer.refusal.code).inc()
