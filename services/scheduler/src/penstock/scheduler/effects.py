"""What follows from a decision outside the log: tasks, timers, cancels, replies.

Everything here may happen twice and none of it is the truth. The messages that led to the
decision are settled when the broker has all that follows from it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, assert_never, get_args

from msgspec import Raw
from uuid_utils import uuid7

from penstock.domain.run.commands import ContinueRun
from penstock.domain.run.consequences import is_owed
from penstock.domain.run.events import (
    RunAdmitted,
    RunCancelRequested,
    RunEvent,
    RunQueued,
    StepAbandoned,
    StepCancelled,
    StepDispatched,
    StepSucceeded,
    StepTimedOut,
    StepWaiting,
    WaitKind,
)
from penstock.domain.run.flow import is_wanted
from penstock.domain.run.reports import child_id
from penstock.domain.run.rest import payloads_of
from penstock.domain.run.state import Run
from penstock.domain.run.timers import timers_begun
from penstock.infra.nats import subjects
from penstock.infra.nats.publish import Publisher
from penstock.messages.envelope import CommandMessage, encode
from penstock.scheduler.cancels import Cancels
from penstock.scheduler.children import TRIGGER as CHILD
from penstock.scheduler.children import Children
from penstock.scheduler.dispatch import Dispatch
from penstock.scheduler.emissions import EMITS, Emissions
from penstock.scheduler.gate_calls import GateCalls
from penstock.scheduler.settlement import Settlement
from penstock.scheduler.tasks import task_of
from penstock.scheduler.timers import Timers
from penstock.scheduler.watch import RunKey

RECENT_MAX_BYTES = 32 * 1024 * 1024
"""Payloads kept at hand so that tasks can carry them instead of a place in the log."""

RECENT_MIN_BYTES = 1024
"""Smaller ones are part of the run's state anyway."""


PARENT_ENDS = "the run that waits for it is being ended"
GIVEN_UP = "the step that waits for it was given up"

Followed = (
    StepSucceeded | RunCancelRequested | StepAbandoned | StepCancelled | StepTimedOut | StepWaiting
)
FOLLOWED = get_args(Followed)
"""The events from which something may follow, but for dispatches and timers."""


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
    children: Children
    emissions: Emissions
    gates: GateCalls


class Effects:
    """Publishes what decisions owe. me: this instance. now: ms since the epoch."""

    def __init__(self, ways: Ways, *, me: str, now: Callable[[], int]) -> None:
        self._publisher, self._dispatch, self._timers, self._cancels = ways[:4]
        self._children, self._emissions = ways.children, ways.emissions
        self._gates = ways.gates
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
            if isinstance(event, StepDispatched):
                if run.awaits(event.step_id, event.attempt) and is_wanted(run, event.step_id):
                    settlement.expect()
                    task = task_of(run, event.step_id, self._recent)
                    self._dispatch.send(key.tenant, task, event.queue, settlement.heard)
            elif isinstance(event, FOLLOWED):
                self._follow_one(key, run, event, settlement)
        for timer_id, timer in timers_begun(events):
            if timer_id in run.timers:
                setting = self._timers.set(key.tenant, key.run_id, timer_id, timer)
                settlement.expect_future(setting)
        if run.queued is not None:
            self._pass_gates(key, run, events, settlement)
        if not run.is_live:
            self._cancels.end(key)
            if run.is_over and run.start is not None and run.start.parent is not None:
                settlement.expect_future(self._children.end(key, run))
        elif is_owed(run):
            settlement.expect_future(self.continue_run(key))

    def ask_after(self, key: RunKey, run: Run, step_id: str, settlement: Settlement) -> None:
        """Ask once more for the child run that a step waits for, or for its end.

        Of a run that is queued, ask its gate.
        """
        if run.gate is not None:
            settlement.expect_future(self._gates.acquire(key, run, run.gate))
            return
        wait = run.step(step_id).wait
        if not run.is_live or wait is None or wait.kind is not WaitKind.CHILD:
            return
        if run.ending is None:
            settlement.expect_future(self._children.begin(key, run, step_id))
        else:
            settlement.expect_future(self._children.call_off(key, wait.child_id, PARENT_ENDS))

    def _pass_gates(
        self, key: RunKey, run: Run, events: Sequence[RunEvent], settlement: Settlement
    ) -> None:
        """Ask the gate that a run has come to; let go of all of them when it is over."""
        if run.is_over:
            for released in self._gates.release(key, run):
                settlement.expect_future(released)
        elif run.gate is not None and any(isinstance(e, RunQueued | RunAdmitted) for e in events):
            settlement.expect_future(self._gates.acquire(key, run, run.gate))

    def _follow_one(self, key: RunKey, run: Run, event: Followed, settlement: Settlement) -> None:
        """What follows from one of the rarer events, as far as it still matters."""
        match event:
            case StepSucceeded(step_id=step_id):
                if "@" not in step_id and run.drawn.node(step_id).type == EMITS:
                    emitted = run.step(step_id).output if event.output is None else event.output
                    settlement.expect_future(self._emissions.emit(key, step_id, emitted))
            case StepWaiting(step_id=step_id):
                wait = run.step(step_id).wait
                if event.child_id and wait is not None and wait.child_id == event.child_id:
                    self.ask_after(key, run, step_id, settlement)
            case RunCancelRequested():
                self._stop_all(key, run, settlement)
            case StepCancelled() | StepAbandoned() | StepTimedOut():
                self._stop_one(key, run, event, settlement)
            case _:
                assert_never(event)

    def _stop_all(self, key: RunKey, run: Run, settlement: Settlement) -> None:
        """Tell whoever owes a word about a step of the run to stop: executors, child runs."""
        if run.is_live:
            self._cancels.begin(key)
        if run.flow.children:
            for step in run.steps.values():
                if step.wait is not None and step.wait.kind is WaitKind.CHILD:
                    child = step.wait.child_id
                    settlement.expect_future(self._children.call_off(key, child, PARENT_ENDS))

    def _stop_one(
        self,
        key: RunKey,
        run: Run,
        event: StepCancelled | StepAbandoned | StepTimedOut,
        settlement: Settlement,
    ) -> None:
        """Tell whoever is busy with a step that is given up: an executor, or a child run."""
        step_id = event.step_id
        if "@" not in step_id and run.drawn.node(step_id).type == CHILD:
            child = child_id(run.id, step_id, event.attempt)
            settlement.expect_future(self._children.call_off(key, child, GIVEN_UP))
        if isinstance(event, StepCancelled) and run.is_live and run.ending is None:
            self._cancels.stop_step(key, step_id, event.attempt)

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
