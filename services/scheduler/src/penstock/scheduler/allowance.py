"""What one decision about a run may dispatch: reserved from its draft on, until it is on record."""

from types import TracebackType
from typing import Self

from penstock.domain.run.commands import (
    CompleteStep,
    FailStep,
    ReportLost,
    RunCommand,
    SuspendStep,
)
from penstock.domain.run.consequences import queue_of
from penstock.domain.run.decide import play
from penstock.domain.run.events import RunEvent, StepDispatched
from penstock.domain.run.state import Run
from penstock.scheduler.admission import Admission
from penstock.scheduler.keys import RunKey

LETS_GO = (CompleteStep, FailStep, SuspendStep, ReportLost)
"""The words after which an executor does not hold the step any more."""


class Allowance:
    """A context around a decision, and the rules that it is made by.

    At its end the record tells what was dispatched, and nothing is reserved any more. Where the
    decision failed, the run is not enlisted any more: whoever looks after it enlists it again.
    """

    def __init__(self, admission: Admission, key: RunKey) -> None:
        self._admission = admission
        self._key = key
        self._granted: dict[str, int] = {}
        self._left: dict[str, int] = {}
        self._beyond: dict[str, int] = {}
        self._first = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if kind is GeneratorExit:
            return  # the process is gone, and with it the loop: there is nobody left to tell
        touched = self._granted.keys() | self._beyond.keys()
        self._give_back()
        if kind is not None:
            self._admission.forget(self._key)
        for queue, steps in self._granted.items():
            self._admission.reserve(queue, self._key.tenant, -steps)
        for queue in touched:
            self._admission.offer(self._admission.window(queue))

    def rules(self) -> "Allowance":
        """The rules of the run, for one more try at the decision."""
        self._give_back()
        for queue, steps in self._admission.taken(self._key):
            self._granted[queue] = self._granted.get(queue, 0) + steps
        self._left = dict(self._granted)
        return self

    def __call__(self, command: RunCommand, run: Run, /, *, at: int) -> tuple[list[RunEvent], Run]:
        """What the run's rules answer, with the room that there is now.

        A step that executors let go of by this very command makes room for what follows from it.
        """
        if isinstance(command, LETS_GO) and run.awaits(command.step_id, command.attempt):
            self._reserve(queue_of(run, command.step_id), -1)
        self._first = ""
        events, after = play(command, run, at=at, room=self._room)
        for event in events:
            if isinstance(event, StepDispatched):
                self._spend(event.queue)
        return events, after

    def _room(self, queue: str) -> int:
        """What is granted, and all that is free where nobody else waits for it.

        What is free is free for one queue: steps for two would share a tenant's room unseen.
        """
        self._first = self._first or queue
        granted = self._left.get(queue, 0)
        if queue != self._first:
            return granted
        return granted + self._admission.room(queue, self._key)

    def _spend(self, queue: str) -> None:
        left = self._left.get(queue, 0)
        if left:
            self._left[queue] = left - 1
        else:
            self._reserve(queue, 1)

    def _reserve(self, queue: str, steps: int) -> None:
        self._admission.reserve(queue, self._key.tenant, steps)
        self._beyond[queue] = self._beyond.get(queue, 0) + steps

    def _give_back(self) -> None:
        for queue, steps in self._beyond.items():
            self._admission.reserve(queue, self._key.tenant, -steps)
        self._beyond = {}
