"""Where a run's time went: every millisecond between its request and its end has one cause.

Many steps may be doing different things at one moment. What counts then is what was closest to
getting the run forward, in the order of `Cause`: while anything runs, the run is running.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from penstock.domain.run.events import (
    RunAdmitted,
    RunCancelRequested,
    RunEvent,
    RunPaused,
    RunQueued,
    RunResumed,
    RunStarted,
    StepDispatched,
    StepLost,
    StepReady,
    StepRetryScheduled,
    StepStarted,
    StepWaiting,
    WaitKind,
)


class Cause(StrEnum):
    """What a run or a step spends time on; the first of those that apply at a moment counts.

    running: an executor works. delivery: its word is on the way to the scheduler. executor: handed
    out, and nobody has begun. pause: nothing may start. admission: ready, and not handed out yet.
    backoff: the rest before a retry. child, timer, signal, approval: a step waits for that.
    stopping: the run is being brought to its end. gate: the run waits for its turn to start.
    acceptance: between the request and the first event. decision: the scheduler itself.
    dependency: a step waits for others; never a run's own cause.
    """

    RUNNING = "running"
    DELIVERY = "delivery"
    EXECUTOR = "executor"
    PAUSE = "pause"
    ADMISSION = "admission"
    BACKOFF = "backoff"
    CHILD = "child"
    TIMER = "timer"
    SIGNAL = "signal"
    APPROVAL = "approval"
    STOPPING = "stopping"
    GATE = "gate"
    ACCEPTANCE = "acceptance"
    DECISION = "decision"
    DEPENDENCY = "dependency"


RANKS = {cause: rank for rank, cause in enumerate(Cause)}
WAITS = {
    WaitKind.DELAY: Cause.TIMER,
    WaitKind.SIGNAL: Cause.SIGNAL,
    WaitKind.APPROVAL: Cause.APPROVAL,
    WaitKind.CHILD: Cause.CHILD,
}
"""A loop is not among them: while it waits, what counts is what the steps inside of it do."""


class Span(NamedTuple):
    """Something that lasted from `begin` up to, not including, `end`; ms since the epoch."""

    begin: int
    end: int
    cause: Cause


class Timeline(Struct, frozen=True, kw_only=True, rename="camel"):
    """A run's time, without a gap from `begin` to `end`; totals in ms, by cause, largest first."""

    begin: int
    end: int
    spans: tuple[Span, ...]
    totals: dict[Cause, int]


def timeline(history: Iterable[tuple[int, RunEvent]], *, until: int) -> Timeline:
    """The timeline of a history: pairs of the moment of the decision and the event.

    until: now, for a run that has not ended; ms since the epoch.
    """
    found = Sweep()
    for at, event in history:
        found.take(at, event)
    return found.timeline(until)


class Open(NamedTuple):
    """Something that has begun and not ended."""

    begin: int
    cause: Cause


class Sweep:
    """Turns events into spans, one open span a step, and a few of the run's own."""

    def __init__(self) -> None:
        self.begin = 0
        self.last = 0
        self.is_over = False
        self._spans: list[Span] = []
        self._steps: dict[str, Open] = {}
        self._own: dict[Cause, int] = {}

    def timeline(self, until: int) -> Timeline:
        """Where the time went, as far as events were taken; until: as in `timeline`."""
        begin, end = self.begin, self.last if self.is_over else max(until, self.last)
        spans = tuple(merged(begin, end, self.closed(end)))
        totals: Counter[Cause] = Counter()
        for span in spans:
            totals[span.cause] += span.end - span.begin
        return Timeline(begin=begin, end=end, spans=spans, totals=dict(totals.most_common()))

    def take(self, at: int, event: RunEvent) -> None:
        """One more event, decided at `at`."""
        self.last = max(self.last, at)
        step_id: str | None = getattr(event, "step_id", None)
        if isinstance(event, RunQueued | RunStarted | RunAdmitted):
            self._came(at, event)
        elif step_id is not None:
            self._step(at, step_id, event)
        elif isinstance(event, RunPaused):
            self._own[Cause.PAUSE] = at
        elif isinstance(event, RunResumed):
            self._end_own(Cause.PAUSE, at)
        elif isinstance(event, RunCancelRequested):
            self._own[Cause.STOPPING] = at
        elif type(event).__name__ in ENDS:
            self.is_over = True

    def _came(self, at: int, event: RunQueued | RunStarted | RunAdmitted) -> None:
        if isinstance(event, RunQueued):
            self.begin = event.start.created_at
            self._own[Cause.GATE] = at
        elif isinstance(event, RunStarted):
            self.begin = self.begin or event.created_at
            self._end_own(Cause.GATE, at)
        if not self._spans and not isinstance(event, RunAdmitted):
            self._spans.append(Span(min(self.begin, at), at, Cause.ACCEPTANCE))

    def _end_own(self, cause: Cause, at: int) -> None:
        begun = self._own.pop(cause, None)
        if begun is not None:
            self._spans.append(Span(begun, at, cause))

    def _step(self, at: int, step_id: str, event: RunEvent) -> None:
        """A step's open span ends, as the event tells, and another one may begin."""
        match event:
            case StepStarted(started_at=started_at):
                begun = self._end_step(step_id, at, until=started_at)
                self._steps[step_id] = Open(max(begun, min(started_at, at)), Cause.RUNNING)
                return
            case StepReady():
                self._end_step(step_id, at)
                self._steps[step_id] = Open(at, Cause.ADMISSION)
                return
            case StepDispatched():
                self._end_step(step_id, at)
                self._steps[step_id] = Open(at, Cause.EXECUTOR)
                return
            case StepLost():
                self._end_step(step_id, at)
                return
            case _:
                self._worked(step_id, at, event)
        if isinstance(event, StepRetryScheduled):
            self._steps[step_id] = Open(at, Cause.BACKOFF)
        elif isinstance(event, StepWaiting) and event.kind in WAITS:
            self._steps[step_id] = Open(at, WAITS[event.kind])

    def _worked(self, step_id: str, at: int, event: RunEvent) -> None:
        """The end of an attempt tells when it was begun and done, by the executor's clock."""
        held = self._steps.get(step_id)
        if held is None or held.cause not in (Cause.EXECUTOR, Cause.RUNNING):
            self._end_step(step_id, at)
            return
        started = within(held.begin, at, getattr(event, "started_at", 0) or held.begin)
        finished = within(started, at, getattr(event, "finished_at", 0) or at)
        begun = held.begin if held.cause is Cause.RUNNING else started
        self._end_step(step_id, at, until=begun)
        self._spans.append(Span(begun, finished, Cause.RUNNING))
        self._spans.append(Span(finished, at, Cause.DELIVERY))

    def _end_step(self, step_id: str, at: int, *, until: int | None = None) -> int:
        """Ends a step's open span, at `at` or earlier; the moment, clamped into the span."""
        held = self._steps.pop(step_id, None)
        if held is None:
            return at
        end = within(held.begin, at, at if until is None else until)
        self._spans.append(Span(held.begin, end, held.cause))
        return end

    def closed(self, end: int) -> list[Span]:
        """All spans; what is still open lasts until `end`."""
        rest = [Span(held.begin, end, held.cause) for held in self._steps.values()]
        return [*self._spans, *rest, *(Span(at, end, cause) for cause, at in self._own.items())]


ENDS = frozenset({"RunSucceeded", "RunFailed", "RunCancelled", "RunTimedOut"})


def within(least: int, most: int, moment: int) -> int:
    """The moment, or the bound that it lies beyond: two clocks never agree."""
    return min(max(moment, least), most)


def merged(begin: int, end: int, spans: Iterable[Span]) -> Iterator[Span]:
    """One span behind the other from `begin` to `end`, each with the cause that counts."""
    changes: dict[int, Counter[Cause]] = {begin: Counter(), end: Counter()}
    for span in spans:
        first, last = within(begin, end, span.begin), within(begin, end, span.end)
        changes.setdefault(first, Counter())[span.cause] += 1
        changes.setdefault(last, Counter())[span.cause] -= 1
    active: Counter[Cause] = Counter()
    since, cause = begin, Cause.DECISION
    for moment in sorted(changes):
        for changed, by in changes[moment].items():
            active[changed] += by
        leading = min((c for c in active if active[c] > 0), key=RANKS.__getitem__, default=None)
        found = leading or Cause.DECISION
        if found is not cause or moment == end:
            if moment > since:
                yield Span(since, moment, cause)
            since, cause = moment, found
