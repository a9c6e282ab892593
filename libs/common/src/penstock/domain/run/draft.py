"""A decision while it is being found."""

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

GRACE_MS = 5_000
"""How long running steps have to answer a cancel before they are abandoned."""


class Draft:
    """The events of one decision as they are found, and the run as it would be after them.

    room: how many steps the decision may dispatch.
    """

    def __init__(self, run: Run, at: int, room: int = DISPATCHES_MAX) -> None:
        self.run = run
        self.at = at
        self.room = room
        self.events: list[RunEvent] = []

    def record(self, event: RunEvent) -> None:
        """One more event."""
        self.events.append(event)
        if isinstance(event, StepDispatched):
            self.room -= 1
        self.run = evolve(self.run, event)

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
