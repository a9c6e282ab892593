"""A run as its events tell it: each step's status, and a sentence for each event worth one.

Pure: events in, values out. `penstock.client.display` shows them.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from penstock.client.models import Event, StepStatus

MS_PER_S: Final = 1000


class Tone(StrEnum):
    """How a sentence sounds."""

    GOOD = "green"
    BAD = "red"
    WAITING = "yellow"
    QUIET = "dim"
    PLAIN = "default"


class Sentence(NamedTuple):
    """What an event says, for people. subject: the step, or the run's id."""

    subject: str
    verb: str
    rest: str
    tone: Tone


class StepView(NamedTuple):
    """A step as it stands, and since when. note: what it waits for, or how far a loop is."""

    id: str
    status: StepStatus
    attempt: int
    since: datetime
    note: str = ""


class LoopView:
    """A loop in the run's own drawing. count: its items; None where it goes on by a condition.

    opened: iterations of which something was heard; steps: all steps heard of inside of it, those
    of loops in its body included.
    """

    def __init__(self) -> None:
        self.count: int | None = None
        self.opened = 0
        self.steps = 0

    def hear(self, index: int) -> None:
        """One more step of an iteration."""
        self.steps += 1
        self.opened = max(self.opened, index + 1)

    def expected(self) -> int:
        """How many steps there will be inside, as far as can be told from those heard of."""
        if self.count is None or not self.opened:
            return self.steps
        return max(self.steps, self.steps * self.count // self.opened)

    def note(self) -> str:
        """How far it is."""
        of = "" if self.count is None else f" of {self.count:,}"
        return f"iteration {self.opened:,}{of}"


STATUS_AFTER: Final = {
    "StepReady": StepStatus.READY,
    "StepDispatched": StepStatus.READY,
    "StepStarted": StepStatus.RUNNING,
    "StepWaiting": StepStatus.WAITING,
    "StepRetryScheduled": StepStatus.RETRYING,
    "StepLost": StepStatus.READY,
    "StepSucceeded": StepStatus.SUCCEEDED,
    "StepFailed": StepStatus.FAILED,
    "StepTimedOut": StepStatus.TIMED_OUT,
    "StepSkipped": StepStatus.SKIPPED,
    "StepCancelled": StepStatus.CANCELLED,
    "StepAbandoned": StepStatus.CANCELLED,
}
SETTLED: Final = frozenset(
    {
        StepStatus.SUCCEEDED,
        StepStatus.FAILED,
        StepStatus.TIMED_OUT,
        StepStatus.SKIPPED,
        StepStatus.CANCELLED,
    }
)
WAITS: Final = {
    "delay": "for a moment",
    "signal": "for the signal {name}",
    "approval": "for an approval",
    "child": "for run {childId}",
}
LOOP: Final = "loop"
EVALUATION: Final = "@"
"""In the path of what is evaluated for a step or for the run; it is no step itself."""
SAID: Final = {
    "StepStarted": ("running", Tone.PLAIN),
    "StepWaiting": ("waiting", Tone.WAITING),
    "StepRetryScheduled": ("retrying", Tone.WAITING),
    "StepLost": ("lost", Tone.WAITING),
    "StepSucceeded": ("succeeded", Tone.GOOD),
    "StepFailed": ("failed", Tone.BAD),
    "StepTimedOut": ("timed out", Tone.BAD),
    "StepSkipped": ("skipped", Tone.QUIET),
    "StepCancelled": ("cancelled", Tone.QUIET),
    "StepAbandoned": ("abandoned", Tone.BAD),
    "RunQueued": ("queued", Tone.WAITING),
    "RunStarted": ("started", Tone.PLAIN),
    "RunForked": ("goes on", Tone.PLAIN),
    "RunPaused": ("paused", Tone.WAITING),
    "RunResumed": ("resumed", Tone.PLAIN),
    "SignalReceived": ("signalled", Tone.PLAIN),
    "ApprovalDecided": ("decided", Tone.PLAIN),
    "RunCancelRequested": ("stopping", Tone.WAITING),
    "RunSucceeded": ("succeeded", Tone.GOOD),
    "RunFailed": ("failed", Tone.BAD),
    "RunCancelled": ("cancelled", Tone.BAD),
    "RunTimedOut": ("timed out", Tone.BAD),
}
"""What is said of an event; of the others, nothing."""


class RunProgress:
    """The steps of one run, event by event. total: None while it is not known.

    loops: those of the run's own drawing, by their paths.
    """

    def __init__(self, total: int | None = None) -> None:
        self.total = total
        self.steps: dict[str, StepStatus] = {}
        self.counts: Counter[StepStatus] = Counter()
        self.loops: dict[str, LoopView] = {}
        self.paused = False
        self._open: dict[str, StepView] = {}
        self._inside = 0

    def take(self, event: Event) -> None:
        """Move the step that the event is about."""
        if event.type in {"RunPaused", "RunResumed"}:
            self.paused = event.type == "RunPaused"
        step = step_of(event)
        status = status_after(event)
        if status is None or EVALUATION in step:
            return
        self._count(step, status)
        if status in SETTLED:
            self._open.pop(step, None)
            return
        if is_loop(event) and "." not in step:
            self.loops.setdefault(step, LoopView()).count = event.data.get("count")
        note = waits_for(event.data) if event.type == "StepWaiting" else ""
        self._open[step] = StepView(step, status, attempt_of(event.data), event.at, note)

    def _count(self, step: str, status: StepStatus) -> None:
        before = self.steps.get(step)
        if before is not None:
            self.counts[before] -= 1
        elif "." in step:
            loop, index = iteration_of(step)
            self.loops.setdefault(loop, LoopView()).hear(index)
            self._inside += 1
        self.counts[status] += 1
        self.steps[step] = status

    @property
    def settled(self) -> int:
        """How many steps have come to their end."""
        return sum(self.counts[status] for status in SETTLED)

    @property
    def own(self) -> int:
        """How many steps were heard of that are inside of no loop."""
        return len(self.steps) - self._inside

    @property
    def expected(self) -> int | None:
        """How many steps there will be, those in loops included; None while nothing is known."""
        known = self.own + sum(loop.expected() for loop in self.loops.values())
        return max(self.total or 0, known) or None

    def in_flight(self) -> list[StepView]:
        """The steps that are on their way, longest first."""
        flying = sorted(self._open.values(), key=lambda step: step.since)
        return [
            step._replace(note=self.loops[step.id].note()) if step.id in self.loops else step
            for step in flying
        ]

    def stage(self) -> str:
        """What goes on, in a few words."""
        parts = ["paused"] if self.paused else []
        parts += [
            f"{count:,} {status.replace('_', ' ')}"
            for status, count in self.counts.items()
            if count
        ]
        return ", ".join(parts) or "starting"


def step_of(event: Event) -> str:
    """The path of the step that an event is about; empty for the run itself."""
    return str(event.data.get("stepId") or "")


def status_after(event: Event) -> StepStatus | None:
    """How its step stands after an event; None for an event that moves none."""
    return StepStatus.RUNNING if is_loop(event) else STATUS_AFTER.get(event.type)


def is_loop(event: Event) -> bool:
    """Whether a loop begins: for the log it waits, but its iterations run."""
    return event.type == "StepWaiting" and event.data.get("kind") == LOOP


def iteration_of(step: str) -> tuple[str, int]:
    """The outermost loop around a step, and the number of the iteration there."""
    loop, _, rest = step.partition(".")
    index = rest.partition(".")[0]
    return loop, int(index) if index.isdecimal() else 0


def waits_for(data: dict[str, Any]) -> str:
    """What a step waits for; empty for a kind that a newer server knows."""
    kind = str(data.get("kind") or "delay")
    return WAITS.get(kind, "").format_map(
        {"name": data.get("name"), "childId": data.get("childId")}
    )


def sentence(event: Event) -> Sentence | None:
    """What the event says, None when it is nothing for people."""
    said = SAID.get(event.type)
    step = step_of(event)
    if said is None or EVALUATION in step:
        return None
    verb, tone = ("looping", Tone.PLAIN) if is_loop(event) else said
    subject = step or f"run {event.subject.id}"
    return Sentence(subject, verb, ", ".join(details(event.type, event.data)), tone)


def details(name: str, data: dict[str, Any]) -> Iterable[str]:
    """What else is worth saying of an event."""
    yield from of_its_kind(name, data)
    if attempt_of(data) > 1:
        yield f"attempt {attempt_of(data)}"
    if data.get("branch") is not None:
        yield f"branch {data['branch']}"
    took = took_ms(data)
    if took is not None:
        yield shown_ms(took)
    error = data.get("error")
    if isinstance(error, dict):
        yield f"{error.get('code')}: {error.get('message')}"
    elif data.get("reason"):
        yield str(data["reason"])
    until = data.get("dueAt") or data.get("until")
    if isinstance(until, str):
        yield f"until {local_time(datetime.fromisoformat(until))}"


def of_its_kind(name: str, data: dict[str, Any]) -> Iterable[str]:
    """What only events of this type say."""
    match name:
        case "RunStarted":
            yield f"{data.get('workflowName')} version {data.get('version')}"
        case "RunForked":
            yield f"from run {data.get('runId')} at {data.get('position')}"
        case "SignalReceived":
            yield str(data.get("name"))
        case "ApprovalDecided":
            yield str(data.get("decision"))
        case "StepWaiting" if data.get("kind") == LOOP:
            if data.get("count") is not None:
                yield f"{data['count']:,} items, {data.get('width', 1)} at a time"
        case "StepWaiting":
            yield waits_for(data)
        case _:
            pass


def attempt_of(data: dict[str, Any]) -> int:
    """The attempt that an event is about; 0 for none."""
    attempt = data.get("attempt")
    return attempt if isinstance(attempt, int) else 0


def took_ms(data: dict[str, Any]) -> int | None:
    """How long an attempt took, by its executor's clock."""
    began, ended = data.get("startedAt"), data.get("finishedAt")
    if not isinstance(began, str) or not isinstance(ended, str):
        return None
    taken = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
    return round(taken.total_seconds() * MS_PER_S)


def shown_ms(milliseconds: float) -> str:
    """A duration as people read it."""
    if milliseconds < MS_PER_S:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / MS_PER_S
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def local_time(moment: datetime) -> str:
    """The time of day here, to the millisecond."""
    return moment.astimezone().strftime("%H:%M:%S.%f")[:-3]
