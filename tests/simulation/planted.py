"""Planted bugs: each takes one thought out of the code that ships, for as long as it is planted.

Whoever removes one of these thoughts for real must see a simulation fail.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

from penstock.domain import payload
from penstock.domain.ids import derived
from penstock.domain.run import consequences, decide, evolve, reports, settling
from penstock.domain.run.commands import FailStep
from penstock.domain.run.draft import Draft as RunDraft
from penstock.domain.run.events import ResultDiscarded, RunCancelRequested, StepReady
from penstock.domain.run.state import HELD, Run, Step, StepStatus, TimerKind
from penstock.infra.blobs.port import BlobsUnavailable
from penstock.infra.eventlog import transact
from penstock.infra.eventlog.cache import Cache
from penstock.infra.eventlog.draft import Draft
from penstock.infra.eventlog.jetstream import JetStreamLog
from penstock.infra.eventlog.log import VersionConflict
from penstock.infra.nats import subjects
from penstock.infra.nats.publish import PublishTimeout, WrongSequence
from penstock.messages.envelope import NO_HASH
from penstock.scheduler import aside, runs
from penstock.scheduler.fairness import Turns
from penstock.scheduler.letters import Letter
from penstock.scheduler.precedents import LedTo
from penstock.scheduler.receipts import Receipt
from penstock.scheduler.reconciler import Reconciler
from penstock.scheduler.runs import Runs
from penstock.scheduler.settlement import Settlement
from penstock.scheduler.watch import RunKey, Watch
from tests.simulation.tables import Staged, Tables

Change = tuple[Any, str, object]
"""Owner, name, and what stands there instead."""


class Bug(NamedTuple):
    """changes: what is planted. caught_by: the invariants that may object first."""

    changes: Callable[[], list[Change]]
    caught_by: frozenset[str]


BUGS: dict[str, Bug] = {}


def bug(*caught_by: str) -> Callable[[Callable[[], list[Change]]], Callable[[], list[Change]]]:
    """Put a bug on the list under the name of its function."""

    def put(changes: Callable[[], list[Change]]) -> Callable[[], list[Change]]:
        BUGS[changes.__name__] = Bug(changes, frozenset(caught_by))
        return changes

    return put


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The bug of that name is in the code here."""
    with ExitStack() as stack:
        for owner, attribute, value in BUGS[name].changes():
            stack.enter_context(patch.object(owner, attribute, value))
        yield


@bug("L1", "L2")
def a_tenant_that_was_passed_over_is_forgotten() -> list[Change]:
    return [(Turns, "wake", lambda self, tenant: None)]


# --- the rules -----------------------------------------------------------------------------------


@bug("S4", "S1")
def every_report_counts() -> list[Change]:
    return [(Run, "awaits", lambda self, step_id, attempt: True)]


@bug("S4", "S1")
def any_attempt_will_do() -> list[Change]:
    return [(Run, "awaits", lambda self, step_id, attempt: self.step(step_id).status in HELD)]


@bug("S4", "S1")
def a_discarded_result_is_discarded_again() -> list[Change]:
    def discard(draft: RunDraft, command: Any) -> None:
        if draft.run.is_live and command.attempt < draft.run.step(command.step_id).attempt:
            event = ResultDiscarded(step_id=command.step_id, attempt=command.attempt, reason="")
            draft.record(event)

    return [(reports, "discard", discard)]


@bug("S4", "S1")
def a_timer_fires_whoever_waits_for_it() -> list[Change]:
    before = decide.fire

    def fire(draft: RunDraft, timer_id: str) -> None:
        before(draft, timer_id)
        run = draft.run
        if draft.events or not run.is_live:
            return
        for step_id in run.drawn.order:
            attempt = run.step(step_id).attempt
            if timer_id == derived(run.id, step_id, str(attempt - 1), TimerKind.RETRY):
                draft.record(StepReady(step_id=step_id, attempt=attempt + 1))

    return [(decide, "fire", fire)]


@bug("S17")
def retries_know_no_bound() -> list[Change]:
    def next_attempt(_policy: object, failure: FailStep, *, run_id: str, tries: int) -> int | None:
        return 20 if failure.error.retryable else None

    return [(reports, "next_attempt_in_ms", next_attempt)]


@bug("S17")
def a_rest_ends_before_it_begins() -> list[Change]:
    def next_attempt(policy: Any, failure: FailStep, *, run_id: str, tries: int) -> int | None:
        again = failure.error.retryable and tries < policy.max_attempts
        return -50 if again else None

    return [(reports, "next_attempt_in_ms", next_attempt)]


@bug("S2")
def a_key_is_taken_for_any_request() -> list[Change]:
    before = decide.start

    def start(draft: RunDraft, command: Any) -> None:
        if draft.run.started is None:
            before(draft, command)

    return [(decide, "start", start)]


@bug("L2", "L1")
def a_skipped_step_tells_nobody() -> list[Change]:
    before = settling.arrived

    def arrived(run: Run, step_id: str, step: Step) -> Run:
        return run if step.status is StepStatus.SKIPPED else before(run, step_id, step)

    return [(settling, "arrived", arrived)]


@bug("S5")
def a_step_starts_though_no_edge_to_it_was_taken() -> list[Change]:
    return [(consequences, "is_entered", lambda graph, node_id, arrival: True)]


@bug("S5")
def a_join_waits_for_nobody() -> list[Change]:
    return [(settling, "is_joined", lambda graph, step_id, arrival: arrival.taken > 0)]


@bug("cancel", "S3", "S1")
def a_cancel_does_not_win() -> list[Change]:
    def called_off(run: Run, event: RunCancelRequested) -> Run:
        return run

    return [(evolve, "called_off", called_off)]


@bug("S5", "unhandled")
def a_large_payload_is_sought_next_door() -> list[Change]:
    before = payload.at_rest

    def at_rest(held: payload.Payload, place: str) -> payload.Payload:
        position, _, member = place.partition("/")
        seq, _, index = position.partition(".")
        return before(held, f"{seq}.{int(index or 0) + 1}/{member}")

    return [(payload, "at_rest", at_rest)]


# --- the log -------------------------------------------------------------------------------------


@bug("S10")
def appends_expect_nothing() -> list[Change]:
    async def append(self: Any, subject: str, body: bytes, *, expected: int) -> int:
        return int(await self._publisher.publish(subject, body))

    return [(JetStreamLog, "append", append)]


@bug("S10")
def the_chain_is_not_carried_on() -> list[Change]:
    return [(transact, "chain_hash", lambda previous, body: NO_HASH)]


@bug("outbox", "S1")
def an_unknown_append_is_taken_for_a_lost_race() -> list[Change]:
    async def append(self: Any, subject: str, body: bytes, *, expected: int) -> int:
        try:
            return int(await self._publisher.publish(subject, body, expected=expected))
        except (WrongSequence, PublishTimeout) as error:
            raise VersionConflict(subject) from error

    return [(JetStreamLog, "append", append)]


@bug("S1", "L2", "L1")
def a_lost_race_teaches_nothing() -> list[Change]:
    return [(Cache, "drop", lambda self, subject: None)]


# --- the scheduler -------------------------------------------------------------------------------


@bug("S5")
def work_is_published_before_the_append() -> list[Change]:
    before = Runs._decide

    async def decide_(self: Any, key: RunKey, letters: list[Letter]) -> None:
        held = self._ledger.cache.get(subjects.run_events(key.tenant, key.run_id))
        if held is not None:
            ledger = self._ledger
            draft = Draft(ledger.decider, held, ledger.now())
            draft.take([letter.addressed for letter in letters])
            owed = [(f"0.{index}", event) for index, event in enumerate(draft.events)]
            self._effects.follow(key, draft.state_at(0), owed, Settlement(()))
        await before(self, key, letters)

    return [(Runs, "_decide", decide_)]


@bug("S1", "outbox")
def letters_are_acknowledged_before_the_append() -> list[Change]:
    before = Runs._decide

    async def decide_(self: Any, key: RunKey, letters: list[Letter]) -> None:
        for letter in letters:
            letter.done()
        await before(self, key, [letter._replace(receipt=None) for letter in letters])

    return [(Runs, "_decide", decide_)]


@bug("outbox")
def letters_are_acknowledged_before_the_work_is_published() -> list[Change]:
    return [(Settlement, "expect", lambda self: None), (Settlement, "heard", heard_first)]


def heard_first(self: Any, error: BaseException | None) -> None:
    """Settles with the first word, whatever comes after it."""
    letters, self._letters = self._letters, ()
    for letter in letters:
        letter.done()


@bug("outbox")
def a_repeated_command_owes_nothing() -> list[Change]:
    async def led_to(self: Any, key: RunKey, letters: Any, outcome: Any) -> LedTo:
        return {}

    return [(Runs, "_led_to", led_to)]


@bug("outbox")
def a_command_that_goes_on_owes_only_what_is_new() -> list[Change]:
    before = Runs._led_to

    async def led_to(self: Any, key: RunKey, letters: Any, outcome: Any) -> LedTo:
        return {} if outcome.events else await before(self, key, letters, outcome)

    return [(Runs, "_led_to", led_to)]


@bug("S1", "outbox")
def what_failed_is_acknowledged() -> list[Change]:
    return [(Receipt, "failed", lambda self, delay_s=0.0: self.done())]


@bug("S1", "outbox")
def an_empty_answer_is_believed_at_once() -> list[Change]:
    return [(Runs, "_is_early", lambda self, key, letter, run: False)]


@bug("S1", "outbox")
def a_store_that_is_away_is_the_letters_fault() -> list[Change]:
    temporary = tuple(kind for kind in runs.TEMPORARY if kind is not BlobsUnavailable)
    return [(runs, "TEMPORARY", temporary), (aside, "FAILURES_MAX", 1)]


@bug("S1")
def a_cancel_does_not_wait_for_its_start() -> list[Change]:
    return [(runs, "HAND_BACKS_MAX", 0)]


@bug("L2")
def nobody_counts_who_is_missing() -> list[Change]:
    async def count_absent(self: Any, held: object) -> None:
        return

    return [(Reconciler, "_count_absent", count_absent)]


@bug("L2", "outbox")
def a_lost_timer_is_lost() -> list[Change]:
    return [(Watch, "overdue", lambda self, at: iter(()))]


# --- the read models -----------------------------------------------------------------------------


@bug("S6")
def the_checkpoint_is_committed_apart() -> list[Change]:
    """A projector that dies between its two transactions, now and then."""

    def commit(self: Tables, staged: Staged) -> bool:
        if staged.before != self.checkpoint:
            return False
        self.rows |= staged.rows
        if staged.after % 3:
            self.checkpoint = staged.after
        return bool(staged.after % 3)

    return [(Tables, "commit", commit)]
