"""Which timers a history begins."""

from collections.abc import Iterable
from typing import Final

from penstock.domain.run.events import (
    RunCancelRequested,
    RunEvent,
    RunForked,
    RunQueued,
    RunStarted,
    StepRetryScheduled,
    StepWaiting,
)
from penstock.domain.run.snapshot import inherited
from penstock.domain.run.state import Timer, TimerKind

BEGIN_TIMERS: Final[frozenset[type]] = frozenset(
    {RunCancelRequested, RunForked, RunQueued, RunStarted, StepRetryScheduled, StepWaiting}
)
"""The events that can begin a timer; asked before the match, because most events cannot."""


def timers_begun(events: Iterable[RunEvent]) -> list[tuple[str, Timer]]:
    """The timers that `events` begin, with their ids: what the shell must have set."""
    found: list[tuple[str, Timer]] = []
    for event in events:
        if type(event) not in BEGIN_TIMERS:
            continue
        match event:
            case StepRetryScheduled():
                timer = Timer(TimerKind.RETRY, event.due_at, event.step_id)
                found.append((event.timer_id, timer))
            case StepWaiting() if event.timer_id:
                found.append((event.timer_id, Timer(TimerKind.WAIT, event.until, event.step_id)))
            case RunCancelRequested():
                found.append((event.timer_id, Timer(TimerKind.GRACE, event.grace_until)))
            case RunStarted(timer_id=str(timer_id), deadline_at=int(deadline_at)):
                found.append((timer_id, Timer(TimerKind.DEADLINE, deadline_at)))
            case RunQueued() if event.timer_id:
                found.append((event.timer_id, Timer(TimerKind.QUEUE, event.until)))
            case RunForked():
                found.extend(inherited(event.state))
            case _:
                pass
    return found
