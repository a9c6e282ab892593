"""What a scheduler keeps an eye on between decisions, so that nobody is forgotten.

The truth is in the fold; these are its open ends, collected as decisions go by: attempts that
executors owe a word about, timers that have not fired, child runs that have not ended, waits for
somebody's word, runs that wait at a gate, runs whose consequences did not fit. A roll call, a look
at the clock or a question to child or gate then tells which of them need a push. Moments named
`at` are milliseconds of the wall clock (timers are set in it), those named `since` seconds of the
monotonic clock.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from msgspec import Struct

from penstock.domain.run.consequences import demand, is_owed, queue_of
from penstock.domain.run.events import (
    ApprovalDecided,
    ResultDiscarded,
    RunEvent,
    SecretUsed,
    StepDispatched,
    StepReady,
    StepStarted,
    StepWaiting,
    WaitKind,
)
from penstock.domain.run.state import HELD, Run, Timer
from penstock.domain.run.timers import timers_begun
from penstock.infra.eventlog.transact import Outcome
from penstock.scheduler.admission import Admission
from penstock.scheduler.keys import RunKey

__all__ = ["Attempt", "Child", "RunKey", "Waited", "Watch", "Watched"]

CHANGES_NO_HOLDER = frozenset(
    {StepReady, StepStarted, ResultDiscarded, SecretUsed, ApprovalDecided}
)
"""What is said of a step whose present attempt stays with whom it is, or that nobody holds."""

FOR_SOMEBODY = (WaitKind.SIGNAL, WaitKind.APPROVAL)
"""Waits that a person or another system ends, whenever that may be."""


class Attempt(NamedTuple):
    """One attempt of one step of one run."""

    run: RunKey
    step_id: str
    attempt: int


class Waited(Struct):
    """How long an attempt has been out, and how many roll calls in a row did not find it."""

    queue: str
    since: float
    missed: int = 0


class Child(Struct):
    """A child run that an attempt waits for, and since when nobody has asked after it."""

    run: RunKey
    since: float


class Queueing(NamedTuple):
    """A gate that a queued run waits for, and since when nobody has asked it on its behalf."""

    gate_id: str
    since: float


class Watched(Struct):
    """The open ends of one run, as of the message `seq` of its history.

    children: attempts that wait for a child run, by step. waits: steps that wait for somebody's
    word. is_paused: it is, and may stay so. wants_room: it has steps for which executors have none.
    """

    seq: int
    attempts: dict[str, int]
    timers: dict[str, Timer]
    is_owed: bool
    is_paused: bool = False
    wants_room: bool = False
    children: dict[str, int] = {}
    waits: set[str] = set()


class Watch:
    """The open ends of every live run of the partitions that this scheduler holds.

    holds: whether a run is in one of these; of others, letters may still be in hand. admission:
    who owns the next move of runs that wait for room at the executors.
    """

    def __init__(
        self,
        holds: Callable[[RunKey], bool] = lambda _: True,
        admission: Admission | None = None,
    ) -> None:
        self._holds = holds
        self.admission = Admission() if admission is None else admission
        self.runs: dict[RunKey, Watched] = {}
        self.attempts: dict[Attempt, Waited] = {}
        self.children: dict[Attempt, Child] = {}
        self.queued: dict[RunKey, Queueing] = {}

    def seq(self, key: RunKey) -> int:
        """The message of a run's history up to which it is known, 0 for none."""
        watched = self.runs.get(key)
        return 0 if watched is None else watched.seq

    def follow(self, key: RunKey, outcome: Outcome[RunEvent, Run], now: float) -> None:
        """Take in what a decision has changed; costs O(events).

        Where somebody else has written in between, the run is taken in whole.
        """
        watched, run = self.runs.get(key), outcome.state
        if not run.is_live and run.gate is None:
            if watched is not None:
                self.forget(key)
            return
        is_whole = watched is not None and watched.seq == outcome.base
        if watched is None or not is_whole or was_overtaken(outcome) or key in self.queued:
            asked_at = now if outcome.events else self.asked_at(key)
            self.begin(key, run, outcome.end, now)
            self._stand_in_line(key, run, asked_at)
            return
        watched.seq = outcome.end
        events = [event for _, event in outcome.events]
        for event in events:
            if isinstance(event, StepDispatched):
                attempt = Attempt(key, event.step_id, event.attempt)
                self._send_out(watched, attempt, event.queue, now)
            elif type(event) not in CHANGES_NO_HOLDER:
                step_id = getattr(event, "step_id", None)
                if step_id is not None:
                    self._settle(key, watched, step_id, now)
                if isinstance(event, StepWaiting):
                    self._wait(key, watched, event, now)
        for event_timer_id, timer in timers_begun(events):
            watched.timers[event_timer_id] = timer
        if watched.timers:
            for timer_id in [t for t in watched.timers if t not in run.timers]:
                del watched.timers[timer_id]
        watched.is_owed = is_owed(run)
        watched.is_paused = is_resting(run)
        self._enlist(key, watched, run, now)

    def begin(self, key: RunKey, run: Run, seq: int, now: float) -> None:
        """Take in a run whole: at its start, and after a take-over."""
        self.forget(key)
        if not self._holds(key):
            return
        watched = Watched(seq, {}, dict(run.timers.items()), is_owed(run), is_resting(run))
        self.runs[key] = watched
        for step_id, step in run.steps.items():
            if step.status in HELD:
                attempt = Attempt(key, step_id, step.attempt)
                self._send_out(watched, attempt, queue_of(run, step_id), now)
            elif step.wait is not None and step.wait.kind in FOR_SOMEBODY:
                watched.waits.add(step_id)
            elif step.wait is not None and step.wait.kind is WaitKind.CHILD:
                attempt = Attempt(key, step_id, step.attempt)
                self._expect(watched, attempt, step.wait.child_id, now)
        self._enlist(key, watched, run, now)

    def forget(self, key: RunKey) -> None:
        """Let go of a run: it has ended, or its partition is somebody else's."""
        watched = self.runs.pop(key, None)
        self.queued.pop(key, None)
        if watched is not None:
            self.admission.forget(key)
            for step_id, attempt in watched.attempts.items():
                waited = self.attempts.pop(Attempt(key, step_id, attempt))
                self.admission.lost_sight(waited.queue, key.tenant)
            for step_id, attempt in watched.children.items():
                self.children.pop(Attempt(key, step_id, attempt), None)

    def asked_at(self, key: RunKey) -> float:
        """When the gate of a queued run was asked last; 0 where that is not known."""
        queueing = self.queued.get(key)
        return 0.0 if queueing is None else queueing.since

    def _stand_in_line(self, key: RunKey, run: Run, asked_at: float) -> None:
        """Take in that a run waits at a gate, if it does."""
        if run.gate is not None and key in self.runs:
            self.queued[key] = Queueing(run.gate.gate_id, asked_at)

    def _enlist(self, key: RunKey, watched: Watched, run: Run, now: float) -> None:
        """Have the run wait for room where it has steps for which there is none."""
        watched.wants_room = run.waiting.head is not None and demand(run) is not None
        self.admission.follow(key, run, now)

    def _send_out(self, watched: Watched, attempt: Attempt, queue: str, now: float) -> None:
        """Take in that an executor owes a word about an attempt."""
        watched.attempts[attempt.step_id] = attempt.attempt
        self.attempts[attempt] = Waited(queue, now)
        self.admission.went_out(queue, attempt.run.tenant)

    def _settle(self, key: RunKey, watched: Watched, step_id: str, now: float) -> None:
        attempt = watched.attempts.pop(step_id, None)
        if attempt is not None:
            waited = self.attempts.pop(Attempt(key, step_id, attempt))
            self.admission.came_back(waited.queue, key.tenant, now)
        elif watched.children or watched.waits:
            watched.waits.discard(step_id)
            attempt = watched.children.pop(step_id, 0)
            self.children.pop(Attempt(key, step_id, attempt), None)

    def _wait(self, key: RunKey, watched: Watched, event: StepWaiting, now: float) -> None:
        """Take in that a step waits; a delay has its timer, and a loop what is inside of it."""
        if event.kind in FOR_SOMEBODY:
            watched.waits.add(event.step_id)
        elif event.kind is WaitKind.CHILD:
            attempt = Attempt(key, event.step_id, event.attempt)
            self._expect(watched, attempt, event.child_id, now)

    def _expect(self, watched: Watched, attempt: Attempt, child_id: str, now: float) -> None:
        """Take in that an attempt waits for a child run."""
        watched.children[attempt.step_id] = attempt.attempt
        self.children[attempt] = Child(RunKey(attempt.run.tenant, child_id), now)

    def out_since(self, before: float) -> Iterator[tuple[Attempt, Waited]]:
        """The attempts that have been out since before a moment, the longest first."""
        for attempt, waited in self.attempts.items():
            if waited.since > before:
                return
            yield attempt, waited

    def overdue(self, at: int) -> Iterator[tuple[RunKey, str]]:
        """The timers that were due at or before a moment and that nobody has seen fire."""
        for key, watched in self.runs.items():
            for timer_id, timer in watched.timers.items():
                if timer.due_at <= at:
                    yield key, timer_id

    def silent(self, before: float, now: float, most: int) -> list[Attempt]:
        """Attempts whose child run nobody has asked after since before a moment, at most so many.

        They count as asked after now. A child that is looked after here will speak up by itself.
        """
        found = []
        for attempt, child in list(islice(self.children.items(), most)):
            if child.since > before:
                break
            del self.children[attempt]
            self.children[attempt] = Child(child.run, now)
            if child.run not in self.runs:
                found.append(attempt)
        return found

    def unheard(self, before: float, now: float, most: int) -> list[tuple[RunKey, str]]:
        """Queued runs whose gate nobody has asked since before a moment, at most so many.

        They count as asked now. Each with the id of its gate.
        """
        found = []
        for key, queueing in list(islice(self.queued.items(), most)):
            if queueing.since <= before:
                found.append((key, queueing.gate_id))
            del self.queued[key]
            since = now if queueing.since <= before else queueing.since
            self.queued[key] = Queueing(queueing.gate_id, since)
        return found

    @property
    def timers_waiting(self) -> int:
        """How many timers the runs wait for."""
        return sum(len(watched.timers) for watched in self.runs.values())

    def owed(self) -> Iterator[RunKey]:
        """The runs that wait for a `ContinueRun`."""
        return (key for key, watched in self.runs.items() if watched.is_owed)

    def overlooked(self) -> Iterator[RunKey]:
        """The runs that want room at the executors, and that nobody has enlisted for it."""
        wanting = (key for key, watched in self.runs.items() if watched.wants_room)
        return (key for key in wanting if key not in self.admission)

    def unowned(self, at: int) -> int:
        """How many live runs have nobody who owes their next move.

        An attempt has an owner while roll calls find it, a timer until it is overdue, a wait for a
        child run that child, a run that waits for somebody's word, or is paused, that somebody, a
        queued run its gate, and one that wants room at the executors whoever gives that away.
        """
        return sum(1 for key, watched in self.runs.items() if not self._has_owner(key, watched, at))

    def _has_owner(self, key: RunKey, watched: Watched, at: int) -> bool:
        if watched.is_owed or key in self.admission:
            return True
        missing = [
            step_id
            for step_id, attempt in watched.attempts.items()
            if self.attempts[Attempt(key, step_id, attempt)].missed
        ]
        overdue = any(timer.due_at <= at for timer in watched.timers.values())
        somebody = watched.is_paused or bool(watched.children) or bool(watched.waits)
        somebody = somebody or key in self.queued
        waits = somebody or bool(watched.attempts) or bool(watched.timers)
        return waits and not missing and not overdue


def is_resting(run: Run) -> bool:
    """Whether nothing new starts in a run until somebody lets it."""
    return run.paused and run.ending is None


def was_overtaken(outcome: Outcome[RunEvent, Run]) -> bool:
    """Whether the history went on after this decision before its outcome was known."""
    if not outcome.events:
        return outcome.seq != outcome.base
    position, _ = outcome.events[-1]
    return int(position.partition(".")[0]) != outcome.seq
