"""Clients: start runs, again and again under one key, some with another request; cancel them.

What else they ask of runs is in `controls.py`.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from penstock.domain import payload
from penstock.domain.gate.events import GateUse
from penstock.domain.run.commands import (
    CancelRun,
    CompleteStep,
    DecideApproval,
    PauseRun,
    ReportLost,
    ResumeRun,
    RunCommand,
    SignalRun,
    StartRun,
)
from penstock.infra.nats import subjects
from penstock.messages.envelope import CommandMessage, Reply, Reports, RunReport, encode
from penstock.scheduler.keys import RunKey
from tests.simulation.doors import Connection, Publisher
from tests.simulation.drawings import Workflow
from tests.simulation.history import RunTale
from tests.simulation.oracle import Oracle
from tests.simulation.seams import new_id
from tests.simulation.world import World

PATIENCE_S = 3.0
ASKED_MAX = 4
"""How often a client asks that gets no answer."""

TENANTS = ("0190cccc-0000-7000-8000-00000000000a", "0190cccc-0000-7000-8000-00000000000b")

read_reply = msgspec.json.Decoder(Reply).decode


class Plan(Struct, frozen=True):
    """A run that somebody will ask for."""

    run_id: str
    tenant: str
    workflow: Workflow
    workflow_id: str
    gates: tuple[GateUse, ...] = ()

    @property
    def key(self) -> RunKey:
        """The run, as it is named elsewhere."""
        return RunKey(self.tenant, self.run_id)


class Clients:
    """All that is asked from outside."""

    def __init__(self, nc: Connection, oracle: Oracle) -> None:
        self._nc = nc
        self._world: World = nc.world
        self._oracle = oracle
        self._publisher = Publisher(nc)
        self.accepted: set[tuple[str, int]] = set()

    def ask_for(self, plan: Plan, within_s: float) -> None:
        """Start a run, perhaps in several ways at once, and perhaps cancel it."""
        random, at = self._world.random, self._world.random.random() * within_s
        self.later(at, self.ask, plan.key, start_of(plan, "usual"))
        if random.random() < 0.25:
            again = at + random.random() * 3
            self.later(again, self.ask, plan.key, start_of(plan, "usual"))
        if random.random() < 0.1:
            other = max(0.0, at + random.random() * 2 - 0.5)
            self.later(other, self.ask, plan.key, start_of(plan, "other"))
        if random.random() < 0.2:
            cancel = max(0.0, at + random.choice((-0.5, 0.0, 0.01, 0.5, 4.0)) * random.random())
            self.later(cancel, self.ask, plan.key, CancelRun(reason="enough"))

    def forge(self, plan: Plan) -> None:
        """A report by nobody: about an attempt that does not exist, or a run that does not."""
        random = self._world.random
        step_id = random.choice(plan.workflow.graph.order)
        attempt = random.choice((-1, 0, 500, 10**9))
        report = random.choice((lost, completed))(random.choice((step_id, "nobody")), attempt)
        run_id = plan.run_id if random.random() < 0.9 else str(new_id(self._world))
        said = RunReport(tenant=plan.tenant, run_id=run_id, report=report)
        pack = Reports(executor_id="mallory", reports=(said,))
        partition = subjects.partition_of(run_id)
        self._world.note("forged", run_id, type(report).__name__)
        with self._world.loop.acting_as(self._nc.process):
            self._publish(subjects.reports("shared", partition), encode(pack))

    def _publish(self, subject: str, body: bytes) -> None:
        """Whether it was stored, the reply will tell."""
        self._publisher.publish(subject, body).add_done_callback(asyncio.Future.exception)

    def later(self, at: float, does: Callable[..., None], *args: Any) -> None:
        """Have clients do something after so many seconds."""
        self._world.loop.after(at, self._nc.process, does, *args)

    def ask(self, key: RunKey, command: RunCommand, times: int = 1) -> None:
        """Ask, and ask again under a new id when nobody answers."""
        world, inbox = self._world, self._nc.new_inbox()
        answered: list[Reply] = []

        async def hear(message: Any) -> None:
            answered.append(read_reply(message.data))
            self._check(key, command, answered[-1])

        def ask_again() -> None:
            if not answered and times < ASKED_MAX:
                world.note("client repeats", key.run_id)
                self.ask(key, command, times + 1)

        with world.loop.acting_as(self._nc.process):
            self._nc.network.subscribe(self._nc.process, inbox, hear)
            message = CommandMessage(
                id=str(new_id(world)),
                actor="key:client",
                at=world.wall_ms(),
                command=command,
                reply_to=inbox,
            )
            world.note("asked", key.run_id, type(command).__name__)
            self._publish(subjects.command(key.tenant, "run", key.run_id), encode(message))
        self.later(PATIENCE_S, ask_again)

    def _check(self, key: RunKey, command: RunCommand, reply: Reply) -> None:
        """S1 and S2: what a caller is told is what the log says."""
        told = self._oracle.told(key.run_id)
        tale, start = told.tale, told.state.start
        code = "" if reply.refusal is None else reply.refusal.code
        self._world.note("told", key.run_id, type(command).__name__, code or reply.position)
        if isinstance(command, StartRun):
            same = start is not None and start.request_hash == command.request_hash
            if start is None or same != (not code):
                self._world.object_to("S2", f"run {key.run_id}: a start was answered {code!r}")
        elif not code and not has_effect(tale, command):
            self._world.object_to("S1", f"run {key.run_id}: an accepted {command} is nowhere")
        elif code == "RUN_FINISHED" and not tale.end:
            self._world.object_to("S1", f"run {key.run_id}: a run that goes on has finished")
        elif code == "RUN_ENDING" and not (tale.is_ending or tale.end):
            self._world.object_to("S1", f"run {key.run_id}: a run that goes on is being ended")
        if not code:
            self._check_position(key, reply)

    def _check_position(self, key: RunKey, reply: Reply) -> None:
        seq, _, index = (reply.position or "0.0").partition(".")
        self.accepted.add((key.run_id, int(seq)))
        history = self._nc.broker.histories.get(subjects.run_events(key.tenant, key.run_id), ())
        if int(seq) not in {message.seq for message in history} or not index.isdigit():
            self._world.object_to("S1", f"run {key.run_id}: {reply.position} is not in the log")


def has_effect(tale: RunTale, command: RunCommand) -> bool:
    """Whether the log says that something took effect which was accepted."""
    match command:
        case CancelRun():
            return tale.is_ending or bool(tale.end)
        case PauseRun() | ResumeRun():
            return tale.was_paused
        case SignalRun(signal_id=signal_id):
            return signal_id in tale.heard
        case DecideApproval(step_id=step_id, decision=decision):
            return tale.decisions.get(step_id) == decision
        case _:
            return True


def start_of(plan: Plan, request: str) -> StartRun:
    """A start of the run; another request is another start."""
    return StartRun(
        workflow_id=plan.workflow_id,
        workflow_name=plan.workflow.graph.definition.name,
        version=1,
        definition=plan.workflow.hash,
        input=payload.of_value({"request": request, "note": "n" * 1_200}),
        created_at=0,
        request_hash=request,
        gates=plan.gates,
    )


def lost(step_id: str, attempt: int) -> ReportLost:
    """A report that an attempt is lost."""
    return ReportLost(step_id=step_id, attempt=attempt, reason="vanished")


def completed(step_id: str, attempt: int) -> CompleteStep:
    """A report that an attempt has succeeded."""
    return CompleteStep(
        step_id=step_id,
        attempt=attempt,
        output=payload.of_value("forged"),
        started_at=0,
        finished_at=0,
        executor_id="mallory",
    )
