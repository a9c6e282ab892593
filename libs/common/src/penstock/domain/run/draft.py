"""A decision while it is being found."""

from collections.abc import Callable

from penstock.domain.ids import derived
from penstock.domain.run.events import (
    CancelCause,
    RunCancelRequested,
    RunError,
    RunEvent,
    StepDispatched,
)
from penstock.domain.run.evolve import evolve
from penstock.domain.run.state import Run, TimerKind

CONSEQUENCES_MAX = 500
"""Events that follow from one command in one decision; the rest follows by `ContinueRun`."""

DISPATCHES_MAX = 1_000
"""Steps that one decision may dispatch, where nobody says less."""

Room = Callable[[str], int]
"""How many more steps the executors of a queue may be given."""

GRACE_MS = 5_000
"""How long running steps have to answer a cancel before they are abandoned."""


def ample(_queue: str) -> int:
    """Room where nobody bounds it."""
    return DISPATCHES_MAX


def none(_queue: str) -> int:
    """No room anywhere."""
    return 0


class Draft:
    """The events of one decision as they are found, and the run as it would be after them.

    room: how many steps the decision may dispatch.
    """

    def __init__(self, run: Run, at: int, room: Room = ample) -> None:
        self.run = run
        self.at = at
        self.events: list[RunEvent] = []
        self._room = room
        self._dispatched: dict[str, int] = {}

    def record(self, event: RunEvent) -> None:
        """One more event."""
        self.events.append(event)
        if isinstance(event, StepDispatched):
            self._dispatched[event.queue] = self._dispatched.get(event.queue, 0) + 1
        self.run = evolve(self.run, event)

    def room(self, queue: str) -> int:
        """How many more steps of a queue the decision may dispatch."""
        return self._room(queue) - self._dispatched.get(queue, 0)

    @property
    def has_room(self) -> bool:
        """Whether one more consequence fits into the decision."""
        return len(self.events) < CONSEQUENCES_MAX


def call_off(draft: Draft, cause: CancelCause, error: RunError, reason: str = "") -> None:
    """From here on nothing new starts, and what runs is told to stop."""
    draft.record(
        RunCancelRequested(
            cause=cause,
            reason=reason,
            error=error,
            timer_id=derived(draft.run.id, TimerKind.GRACE),
            grace_until=draft.at + GRACE_MS,
        )
    )
