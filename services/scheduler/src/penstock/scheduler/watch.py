"""What a scheduler keeps an eye on between decisions, so that nobody is forgotten.

The truth is in the fold; these are its open ends, collected as decisions go by: attempts that
executors owe a word about, timers that have not fired, runs whose consequences did not fit. A
roll call or a look at the clock then tells which of them need a push. Moments named `at` are
milliseconds of the wall clock (timers are set in it), those named `since` seconds of the
monotonic clock.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from msgspec import Struct

from penstock.domain.run.consequences import is_owed
from penstock.domain.run.events import ResultDiscarded, RunEvent, StepDispatched, StepStarted
from penstock.domain.run.state import HELD, Run, Timer
from penstock.domain.run.timers import timers_begun
from penstock.infra.eventlog.transact import Outcome

CHANGES_NO_HOLDER = (StepStarted, ResultDiscarded)
"""What is said of a step whose present attempt stays with whom it is."""


class RunKey(NamedTuple):
    """A run, wherever it is named."""

    tenant: str
    run_id: str


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


class Watched(Struct):
    """The open ends of one run, as of the message `seq` of its history."""

    seq: int
    attempts: dict[str, int]
    timers: dict[str, Timer]
    is_owed: bool


class Watch:
    """The open ends of every live run of the partitions that this scheduler holds.

    holds: whether a run is in one of these; of others, letters may still be in hand.
    """

    def __init__(self, holds: Callable[[RunKey], bool] = lambda _: True) -> None:
        self._holds = holds
        self.runs: dict[RunKey, Watched] = {}
        self.attempts: dict[Attempt, Waited] = {}

    def seq(self, key: RunKey) -> int:
        """The message of a run's history up to which it is known, 0 for none."""
        watched = self.runs.get(key)
        return 0 if watched is None else watched.seq

    def follow(self, key: RunKey, outcome: Outcome[RunEvent, Run], now: float) -> None:
        """Take in what a decision has changed; costs O(events).

        Where somebody else has written in between, the run is taken in whole.
        """
        watched, run = self.runs.get(key), outcome.state
        if not run.is_live:
            if watched is not None:
                self.forget(key)
            return
        if watched is None or watched.seq != outcome.base or was_overtaken(outcome):
            self.begin(key, run, outcome.seq, now)
            return
        watched.seq = outcome.seq
        events = [event for _, event in outcome.events]
        for event in events:
            step_id = getattr(event, "step_id", None)
            if step_id is not None and not isinstance(event, CHANGES_NO_HOLDER):
                self._settle(key, watched, step_id)
            if isinstance(event, StepDispatched):
                watched.attempts[event.step_id] = event.attempt
                self.attempts[Attempt(key, event.step_id, event.attempt)] = Waited(event.queue, now)
        for event_timer_id, timer in timers_begun(events):
            watched.timers[event_timer_id] = timer
        for timer_id in [t for t in watched.timers if t not in run.timers]:
            del watched.timers[timer_id]
        watched.is_owed = is_owed(run)

    def begin(self, key: RunKey, run: Run, seq: int, now: float) -> None:
        """Take in a run whole: at its start, and after a take-over."""
        self.forget(key)
        if not self._holds(key):
            return
        watched = Watched(seq, {}, dict(run.timers.items()), is_owed(run))
        self.runs[key] = watched
        for step_id, step in run.steps.items():
            if step.status in HELD:
                watched.attempts[step_id] = step.attempt
                queue = run.drawn.node(step_id).queue
                self.attempts[Attempt(key, step_id, step.attempt)] = Waited(queue, now)

    def forget(self, key: RunKey) -> None:
        """Let go of a run: it has ended, or its partition is somebody else's."""
        watched = self.runs.pop(key, None)
        if watched is not None:
            for step_id, attempt in watched.attempts.items():
                self.attempts.pop(Attempt(key, step_id, attempt), None)

    def _settle(self, key: RunKey, watched: Watched, step_id: str) -> None:
        attempt = watched.attempts.pop(step_id, None)
        if attempt is not None:
            self.attempts.pop(Attempt(key, step_id, attempt), None)

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

    @property
    def timers_waiting(self) -> int:
        """How many timers the runs wait for."""
        return sum(len(watched.timers) for watched in self.runs.values())

    def owed(self) -> Iterator[RunKey]:
        """The runs that wait for a `ContinueRun`."""
        return (key for key, watched in self.runs.items() if watched.is_owed)

    def unowned(self, at: int) -> int:
        """How many live runs have nobody who owes their next move.

        An attempt has an owner while roll calls find it, a timer until it is overdue.
        """
        return sum(1 for key, watched in self.runs.items() if not self._has_owner(key, watched, at))

    def _has_owner(self, key: RunKey, watched: Watched, at: int) -> bool:
        if watched.is_owed:
            return True
        missing = [
            step_id
            for step_id, attempt in watched.attempts.items()
            if self.attempts[Attempt(key, step_id, attempt)].missed
        ]
        overdue = any(timer.due_at <= at for timer in watched.timers.values())
        waits = bool(watched.attempts) or bool(watched.timers)
        return waits and not missing and not overdue


def was_overtaken(outcome: Outcome[RunEvent, Run]) -> bool:
    """Whether the history went on after this decision before its outcome was known."""
    if not outcome.events:
        return outcome.seq != outcome.base
    position, _ = outcome.events[-1]
    return int(position.partition(".")[0]) != outcome.seq
