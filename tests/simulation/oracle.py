"""Who looks at everything: each append, each task, each acknowledgement, each reply, each commit.

The oracle sees what no process sees, the whole log at once, and objects the moment that an
invariant of reliability.md does not hold.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable

import msgspec
from msgspec import Struct

from penstock.domain.errors import Conflict, NotFound, Refused
from penstock.domain.payload import Payload
from penstock.domain.run.commands import CancelRun, RunCommand
from penstock.domain.run.consequences import is_owed
from penstock.domain.run.decide import decide
from penstock.domain.run.draft import none
from penstock.domain.run.events import (
    ResultDiscarded,
    RunEvent,
    StepDispatched,
    StepSucceeded,
    StepWaiting,
)
from penstock.domain.run.evolve import evolve
from penstock.domain.run.rest import at_rest, payload_at
from penstock.domain.run.state import Run, unborn
from penstock.domain.run.timers import timers_begun
from penstock.domain.workflow.graph import Graph
from penstock.infra.nats import subjects
from penstock.infra.nats.streams import COMMANDS, REPORTS, TIMERS, WORK
from penstock.messages.codec import decode_run_decision
from penstock.messages.envelope import (
    NO_HASH,
    CommandMessage,
    Decision,
    Reports,
    Task,
    Work,
    chain_hash,
)
from penstock.scheduler.intake import report_id, timer_fired
from penstock.scheduler.reconciler import ACTOR as RECONCILER
from tests.simulation.broker import Broker, Message
from tests.simulation.history import RunTale
from tests.simulation.loop import Process
from tests.simulation.world import World

SET = "penstock.timer.set."

CANCEL_PATIENCE_S = 4.0
"""A cancel waits at least so long for a start that it has overtaken."""

read_command = msgspec.json.Decoder(CommandMessage).decode
read_reports = msgspec.json.Decoder(Reports).decode
read_work = msgspec.json.Decoder(Work).decode


class Told(Struct):
    """All that the log says about one run, twice: as a tale, and as the fold.

    folds: the state after each message, with its sequence. caused: events by causation id, with who
    appended them.
    outputs: the digest of what each step said last.
    """

    tale: RunTale
    state: Run
    last_hash: str = NO_HASH
    last_at: float = 0.0
    folds: list[tuple[int, Run]] = []
    caused: dict[str, list[tuple[RunEvent, Process]]] = {}
    outputs: dict[str, str] = {}


class Letter(Struct, frozen=True):
    """A command in a message."""

    run_id: str
    id: str
    command: RunCommand


class Oracle:
    """graph_of: the graph of a run's definition, which the world's author knows beforehand."""

    def __init__(self, world: World, broker: Broker, graph_of: Callable[[str], Graph]) -> None:
        self._world = world
        self._broker = broker
        self._graph_of = graph_of
        self.runs: dict[str, Told] = {}
        self.decided = 0
        self._tasks: set[tuple[str, str, int]] = set()
        self._timers: set[str] = set()
        self._reported: dict[tuple[str, str, int], set[str]] = defaultdict(set)
        self._open: dict[tuple[str, str], int] = defaultdict(int)
        broker.on_append = self.appended
        broker.on_store = self.stored
        broker.on_done = self.done
        broker.on_cut = self.cut

    def told(self, run_id: str) -> Told:
        """What the log says about a run; of one without history, that there is none."""
        found = self.runs.get(run_id)
        if found is None:
            graph = self._graph_of(run_id)
            tale = RunTale(run_id, graph, self._world.object_to)
            found = Told(tale, unborn(run_id, graph), folds=[], caused={}, outputs={})
            self.runs[run_id] = found
        return found

    def digest(self) -> str:
        """Of all histories: two lives that went the same way have the same."""
        ends = "".join(told.last_hash for told in self.runs.values())
        return hashlib.sha256(ends.encode()).hexdigest()[:16]

    # --- the log ---------------------------------------------------------------------------------

    def appended(self, message: Message) -> None:
        """S3, S4, S5, S10, S17: a decision continues the history that it was made on."""
        about = subjects.parse_events(message.subject)
        told = self.told(about.id)
        decision = decode_run_decision(message.body)
        if decision.previous_hash != told.last_hash:
            self._object(
                "S10", f"run {about.id}: message {message.seq} was decided on an old state"
            )
        told.last_hash = chain_hash(told.last_hash, message.body)
        told.last_at = self._world.loop.now
        for index, event in enumerate(decision.events):
            self.decided += 1
            told.tale.hear(event, decision.at)
            self._check_origin(about.id, event)
            self._keep_output(told, event)
            told.state = evolve(told.state, at_rest(event, f"{message.seq}.{index}"))
        told.folds.append((message.seq, told.state))
        self._note_causes(about.id, told, decision, message.by)

    def _check_origin(self, run_id: str, event: RunEvent) -> None:
        """S4: what is recorded as a result is what somebody who had the attempt has said."""
        if not isinstance(event, StepSucceeded | StepWaiting) or event.output is None:
            return
        said = self._reported[run_id, event.step_id, event.attempt]
        if event.output.sha256 not in said:
            self._object("S4", f"run {run_id}: nobody said the output of {event.step_id}")

    def _keep_output(self, told: Told, event: RunEvent) -> None:
        if isinstance(event, StepSucceeded | StepWaiting) and event.output is not None:
            told.outputs[event.step_id] = event.output.sha256

    def _object(self, invariant: str, what: str) -> None:
        self._world.object_to(invariant, what)

    def _note_causes(self, run_id: str, told: Told, decision: Decision, by: Process) -> None:
        """What messages led to; what a scheduler tells itself, no message can repeat."""
        first = 0
        for cause in decision.causes:
            if self._open[run_id, cause.id] > 0 and cause.actor != RECONCILER:
                led_to = decision.events[first : first + cause.events]
                told.caused.setdefault(cause.id, []).extend((event, by) for event in led_to)
            first += cause.events
        if first != len(decision.events):
            self._object("S3", "a decision has events without a cause")

    # --- what follows from it --------------------------------------------------------------------

    def stored(self, stream: str, message: Message) -> None:
        """The log is the outbox: nothing is published that the log does not owe."""
        if stream == WORK:
            for task in read_work(message.body).tasks:
                self._check_task(task)
                self._tasks.add((task.run_id, task.step_id, task.attempt))
        elif stream == TIMERS and message.subject.startswith(SET):
            self._timers.add(message.subject.rpartition(".")[2])
        elif stream == REPORTS:
            for item in read_reports(message.body).reports:
                output: Payload | None = getattr(item.report, "output", None)
                if output is not None:
                    key = (item.run_id, item.report.step_id, item.report.attempt)
                    self._reported[key].add(output.sha256)
        for letter in letters(stream, message):
            self._open[letter.run_id, letter.id] += 1

    def cut(self, stream: str, message: Message) -> None:
        """A power cut has taken a message that nobody had synced."""
        for letter in letters(stream, message):
            self._open[letter.run_id, letter.id] -= 1

    def _check_task(self, task: Task) -> None:
        """S5: work is about an attempt that the log has dispatched, and carries what it reads."""
        told = self.told(task.run_id)
        tale = told.tale.steps[task.step_id]
        if task.attempt > tale.attempt or (
            task.attempt == tale.attempt and tale.status in {"pending", "ready"}
        ):
            self._object("S5", f"work for {task.step_id}#{task.attempt}, which is {tale.status}")
        contributors = told.tale.contributors(task.step_id)
        if not set(task.taken) <= set(contributors) or bool(task.taken) != bool(contributors):
            self._object("S5", f"{task.step_id} is told that {task.taken} led to it")
        for source in task.taken:
            if told.tale.steps[source].status != "succeeded":
                continue
            payload = task.payloads.get(f"nodes.{source}.output")
            if payload is None or payload.sha256 != told.outputs[source]:
                self._object("S5", f"{task.step_id} does not get the output of {source}")
        for name, payload in task.payloads.items():
            self._check_place(name, payload)

    def _check_place(self, name: str, payload: Payload) -> None:
        """A payload that is elsewhere is there."""
        if payload.at is None:
            return
        position, _, member = payload.at.partition("/")
        seq, _, index = position.partition(".")
        decision = decode_run_decision(self._broker.events[int(seq) - 1].body)
        kept = payload_at(decision.events[int(index)], member)
        if kept is None or kept.sha256 != payload.sha256:
            self._object("S5", f"{name} is not at {payload.at}")

    # --- acknowledgements ------------------------------------------------------------------------

    def done(self, stream: str, message: Message, *, is_out_again: bool, by: Process) -> None:
        """S1, L2: what is acknowledged has taken effect, and all that it owes is published.

        As long as another copy of the same letter is there, that one may still see to it; and one
        that was delivered again just before this acknowledgement may be at it right now.
        """
        for letter in letters(stream, message):
            self._open[letter.run_id, letter.id] -= 1
            if self._open[letter.run_id, letter.id] <= 0:
                told = self.told(letter.run_id)
                self._check_effect(told, letter, message)
                if not is_out_again:
                    self._check_published(told, letter, by)

    def _check_effect(self, told: Told, letter: Letter, message: Message) -> None:
        command = letter.command
        try:
            more = decide(command, told.state, at=self._world.true_ms(), room=none)
        except Refused as refusal:
            self._check_refusal(told, command, refusal, message)
            return
        # A result can become a late one between its answer and the acknowledgement.
        more = [event for event in more if not isinstance(event, ResultDiscarded)]
        if more and not is_owed(told.state):
            what = f"{type(command).__name__} is acknowledged and would still add {more[0]}"
            self._object("S1", f"run {letter.run_id}: {what}")

    def _check_refusal(
        self, told: Told, command: RunCommand, refusal: Refused, message: Message
    ) -> None:
        right = isinstance(refusal, Conflict)
        if isinstance(command, CancelRun) and isinstance(refusal, NotFound):
            age = self._world.loop.now - message.at
            right = age > CANCEL_PATIENCE_S
        if not right:
            self._object("S1", f"run {told.tale.run_id}: given up a {type(command).__name__}")

    def _check_published(self, told: Told, letter: Letter, by: Process) -> None:
        """What somebody else has appended who is alive, is that one's to publish."""
        state, run_id = told.state, letter.run_id
        caused = [
            event for event, who in told.caused.get(letter.id, ()) if who is by or not who.alive
        ]
        for event in caused:
            if not isinstance(event, StepDispatched):
                continue
            attempt = (run_id, event.step_id, event.attempt)
            if state.awaits(*attempt[1:]) and attempt not in self._tasks:
                self._object("outbox", f"run {run_id}: nobody was told of {event}")
        for timer_id, timer in timers_begun(caused):
            if timer_id in state.timers and timer_id not in self._timers:
                self._object("outbox", f"run {run_id}: {timer.kind} timer was never set")


def letters(stream: str, message: Message) -> list[Letter]:
    """The commands in a message."""
    if stream == COMMANDS:
        read = read_command(message.body)
        return [Letter(subjects.parse_command(message.subject).id, read.id, read.command)]
    if stream == REPORTS:
        reports = read_reports(message.body).reports
        return [Letter(item.run_id, report_id(item), item.report) for item in reports]
    if stream == TIMERS and not message.subject.startswith(SET):
        due = subjects.parse_timer(message.subject)
        fired = timer_fired(due.timer_id)
        return [Letter(due.run_id, fired.id, fired.command)]
    return []
