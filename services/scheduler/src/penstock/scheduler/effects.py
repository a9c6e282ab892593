"""What follows from a decision outside the log: tasks, timers, cancels, replies.

Everything here may happen twice and none of it is the truth. The messages that led to the
decision are settled when the broker has all that follows from it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from msgspec import Raw
from uuid_utils import uuid7

from penstock.domain.run.commands import ContinueRun
from penstock.domain.run.consequences import is_owed
from penstock.domain.run.events import RunCancelRequested, RunEvent, StepDispatched
from penstock.domain.run.rest import payloads_of
from penstock.domain.run.state import Run
from penstock.domain.run.timers import timers_begun
from penstock.infra.nats import subjects
from penstock.infra.nats.publish import Publisher
from penstock.messages.envelope import CommandMessage, encode
from penstock.scheduler.cancels import Cancels
from penstock.scheduler.dispatch import Dispatch
from penstock.scheduler.settlement import Settlement
from penstock.scheduler.tasks import task_of
from penstock.scheduler.timers import Timers
from penstock.scheduler.watch import RunKey

RECENT_MAX_BYTES = 32 * 1024 * 1024
"""Payloads kept at hand so that tasks can carry them instead of a place in the log."""

RECENT_MIN_BYTES = 1024
"""Smaller ones are part of the run's state anyway."""


class Recent(OrderedDict[str, Raw]):
    """Payloads that this process has just appended, by their place; the oldest goes first."""

    def __init__(self) -> None:
        super().__init__()
        self._size = 0

    def keep(self, recorded: Iterable[tuple[str, RunEvent]]) -> None:
        """Keep the larger payloads of events that were just appended at these positions."""
        for position, event in recorded:
            for member, payload in payloads_of(event):
                if payload.size >= RECENT_MIN_BYTES:
                    self[f"{position}/{member}"] = payload.inline
                    self._size += payload.size
        while self._size > RECENT_MAX_BYTES:
            _, oldest = self.popitem(last=False)
            self._size -= len(oldest)


class Ways(NamedTuple):
    """The ways out."""

    publisher: Publisher
    dispatch: Dispatch
    timers: Timers
    cancels: Cancels


class Effects:
    """Publishes what decisions owe. me: this instance. now: ms since the epoch."""

    def __init__(self, ways: Ways, *, me: str, now: Callable[[], int]) -> None:
        self._publisher, self._dispatch, self._timers, self._cancels = ways
        self._me = me
        self._now = now
        self._recent = Recent()

    def follow(
        self,
        key: RunKey,
        run: Run,
        recorded: Sequence[tuple[str, RunEvent]],
        settlement: Settlement,
    ) -> None:
        """Publish what `recorded`, (position, event) pairs, asks for; `settlement` hears of it.

        run: as it stands now; what it does not owe any more is not published.
        """
        self._recent.keep(recorded)
        events = [event for _, event in recorded]
        for event in events:
            if isinstance(event, StepDispatched) and run.awaits(event.step_id, event.attempt):
                settlement.expect()
                task = task_of(run, event.step_id, self._recent)
                self._dispatch.send(key.tenant, task, event.queue, settlement.heard)
            elif isinstance(event, RunCancelRequested) and run.is_live:
                self._cancels.begin(key)
        for timer_id, timer in timers_begun(events):
            if timer_id in run.timers:
                setting = self._timers.set(key.tenant, key.run_id, timer_id, timer)
                settlement.expect_future(setting)
        if not run.is_live:
            self._cancels.end(key)
        elif is_owed(run):
            settlement.expect_future(self.continue_run(key))

    def continue_run(self, key: RunKey) -> "asyncio.Future[int]":
        """Ask for the consequences that did not fit."""
        message = CommandMessage(
            id=str(uuid7()),
            actor=f"scheduler:{self._me}",
            at=self._now(),
            command=ContinueRun(),
        )
        subject = subjects.command(key.tenant, "run", key.run_id)
        return self._publisher.publish(subject, encode(message))
