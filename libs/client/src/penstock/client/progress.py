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
    """A step as it stands, and since when."""

    id: str
    status: StepStatus
    attempt: int
    since: datetime


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
    "RunStarted": ("started", Tone.PLAIN),
    "RunCancelRequested": ("stopping", Tone.WAITING),
    "RunSucceeded": ("succeeded", Tone.GOOD),
    "RunFailed": ("failed", Tone.BAD),
    "RunCancelled": ("cancelled", Tone.BAD),
    "RunTimedOut": ("timed out", Tone.BAD),
}
"""What is said of an event; of the others, nothing."""


class RunProgress:
    """The steps of one run, event by event. total: None while it is not known."""

    def __init__(self, total: int | None = None) -> None:
        self.total = total
        self.steps: dict[str, StepView] = {}
        self.counts: Counter[StepStatus] = Counter()

    def take(self, event: Event) -> None:
        """Move the step that the event is about."""
        status = STATUS_AFTER.get(event.type)
        if status is None:
            return
        step = str(event.data.get("stepId", ""))
        before = self.steps.get(step)
        if before is not None:
            self.counts[before.status] -= 1
        self.counts[status] += 1
        self.steps[step] = StepView(step, status, attempt_of(event.data), event.at)

    @property
    def settled(self) -> int:
        """How many steps have come to their end."""
        return sum(self.counts[status] for status in SETTLED)

    def in_flight(self) -> list[StepView]:
        """The steps that are on their way, longest first."""
        open_steps = (step for step in self.steps.values() if step.status not in SETTLED)
        return sorted(open_steps, key=lambda step: step.since)

    def stage(self) -> str:
        """What goes on, in a few words."""
        parts = [
            f"{count} {status.replace('_', ' ')}" for status, count in self.counts.items() if count
        ]
        return ", ".join(parts) or "starting"


def sentence(event: Event) -> Sentence | None:
    """What the event says, None when it is nothing for people."""
    said = SAID.get(event.type)
    if said is None:
        return None
    verb, tone = said
    data = event.data
    subject = str(data.get("stepId") or f"run {event.subject.id}")
    return Sentence(subject, verb, ", ".join(details(event.type, data)), tone)


def details(name: str, data: dict[str, Any]) -> Iterable[str]:
    """What else is worth saying of an event."""
    if name == "RunStarted":
        yield f"{data.get('workflowName')} version {data.get('version')}"
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
