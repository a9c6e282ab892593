"""Who looks at everything: each append, each task, each acknowledgement, each reply, each commit.

The oracle sees what no process sees, the whole log at once, and objects the moment that an
invariant of reliability.md does not hold.
"""

import hashlib
from collections import Counter
from collections.abc import Callable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.errors import Conflict, NotFound, Refused
from penstock.domain.run.commands import Control, DecideApproval, PauseRun, ResumeRun, StartRun
from penstock.domain.run.consequences import is_owed
from penstock.domain.run.decide import decide
from penstock.domain.run.draft import none
from penstock.domain.run.events import (
    ResultDiscarded,
    RunAdmitted,
    RunEvent,
    RunForked,
    RunQueued,
    RunStarted,
    RunSucceeded,
    SecretUsed,
    StepAbandoned,
    StepDispatched,
    StepSucceeded,
    StepWaiting,
    WaitKind,
)
from penstock.domain.run.evolve import evolve
from penstock.domain.run.paths import RUN_OUTPUT, Evaluation, evaluation
from penstock.domain.run.rest import at_rest
from penstock.domain.run.state import Run, unborn
from penstock.domain.run.timers import timers_begun
from penstock.domain.workflow.graph import Graph
from penstock.infra.nats import subjects
from penstock.infra.nats.streams import WORK
from penstock.messages.catalogue import GATE, RUN
from penstock.messages.codec import codec_for, decode_run_decision
from penstock.messages.envelope import NO_HASH, Decision, Work, chain_hash
from penstock.scheduler.reconciler import ACTOR as RECONCILER
from tests.simulation.broker import Broker, Message
from tests.simulation.errands import Errands
from tests.simulation.gatetale import GateTale
from tests.simulation.history import RunTale
from tests.simulation.letterbox import Letter, Said, letters
from tests.simulation.loop import Process
from tests.simulation.taken import take_over
from tests.simulation.world import World

HAND_BACKS_MAX = 10
"""So often is delivered what has overtaken a start, before it is answered."""

LATE = (ResultDiscarded, SecretUsed)
"""What a result adds that became a late one."""
NOT_REPEATABLE = (PauseRun, ResumeRun)
"""What somebody else may have undone since, or what was refused to a run in line for its start."""

read_work = msgspec.json.Decoder(Work).decode
Blobs = dict[str, bytes]


class Told(Struct):
    """All that the log says about one run, twice: as a tale, and as the fold.

    folds: the state after each message, with its sequence. caused: events by causation id, with who
    appended them.
    outputs: the digest of what each step said last.
    """

    tale: RunTale
    state: Run
    tenant: str = ""
    last_hash: str = NO_HASH
    last_at: float = 0.0
    folds: list[tuple[int, Run]] = []
    caused: dict[str, list[tuple[RunEvent, Process]]] = {}
    outputs: dict[str, str] = {}


class Oracle:
    """graph_of: the graph of a definition, by its hash; of any, by an empty text."""

    def __init__(
        self, world: World, broker: Broker, blobs: Blobs, graph_of: Callable[[str], Graph]
    ) -> None:
        self._world = world
        self._broker = broker
        self._blobs = blobs
        self._graph_of = graph_of
        self.runs: dict[str, Told] = {}
        self.gates: dict[str, GateTale] = {}
        self.said = Said()
        self.kinds: Counter[str] = Counter()
        self._hashes: dict[str, str] = {}
        self._errands = Errands(world, broker, self.said)
        broker.on_append = self.appended
        broker.on_store = self.stored
        broker.on_done = self.done
        broker.on_cut = self.said.lose

    def told(self, run_id: str) -> Told:
        """What the log says about a run; of one without history, that there is none."""
        found = self.runs.get(run_id)
        if found is None:
            found = self.runs[run_id] = self._untold(run_id, "")
        return found

    def _untold(self, run_id: str, definition: str) -> Told:
        graph = self._graph_of(definition)
        tale = RunTale(run_id, graph, self._object)
        return Told(tale, unborn(run_id, graph), folds=[], caused={}, outputs={})

    def digest(self) -> str:
        """Of all histories: two lives that went the same way have the same."""
        ends = "".join(told.last_hash for told in self.runs.values())
        return hashlib.sha256(ends.encode()).hexdigest()[:16]

    # --- the log ---------------------------------------------------------------------------------

    def appended(self, message: Message) -> None:
        """S3, S4, S5, S10, S17: a decision continues the history that it was made on."""
        about = subjects.parse_events(message.subject)
        decision = codec_for(about.kind).decode(message.body)
        last_hash = self._hashes.get(message.subject, NO_HASH)
        if decision.previous_hash != last_hash:
            self._object(
                "S10", f"{about.kind} {about.id}: {message.seq} was decided on an old state"
            )
        self._hashes[message.subject] = chain_hash(last_hash, message.body)
        if about.kind == GATE:
            gate = self.gates.setdefault(about.id, GateTale(set(), set(), set(), []))
            for event in decision.events:
                gate.hear(event, lambda holds, what: self._must(holds, "gate", what))
        elif about.kind == RUN:
            self._appended(about.tenant, about.id, message, decision)  # type: ignore[arg-type]
        else:
            self._errands.emitted(about.id)

    def _appended(self, tenant: str, run_id: str, message: Message, decision: Decision) -> None:
        first = decision.events[0]
        if isinstance(first, RunStarted | RunQueued) and self.told(run_id).state.start is None:
            start = first.start if isinstance(first, RunQueued) else first
            self.runs[run_id] = self._untold(run_id, start.definition)
        told = self.told(run_id)
        told.tenant = tenant
        told.last_hash = self._hashes[message.subject]
        told.last_at = self._world.loop.now
        for index, event in enumerate(decision.events):
            self.kinds[kind_of(event)] += 1
            told.tale.hear(event, decision.at)
            self._check_origin(told, event)
            whole = opened(event, self._blobs)
            told.state = evolve(told.state, at_rest(whole, f"{message.seq}.{index}"))
            if isinstance(whole, RunForked):
                self._forked(told, whole)
        told.folds.append((message.seq, told.state))
        self._note_causes(run_id, told, decision, message.by)

    def _forked(self, told: Told, event: RunForked) -> None:
        """A run goes on with what another one has said."""
        told.tale.forked = event
        take_over(told.tale, told.state, bytes(event.state.inline))
        for path, step in told.state.steps.items():
            if step.output is not None:
                told.outputs[path] = step.output.sha256
        for path, loop in told.state.flow.loops.items():
            for index, result in loop.results.items():
                for sink, output in result.sinks:
                    told.outputs[f"{path}.{index}.{sink}"] = output.sha256

    def _check_origin(self, told: Told, event: RunEvent) -> None:
        """S4: what is recorded as a result is what somebody who had the attempt has said."""
        run_id, tale = told.tale.run_id, told.tale
        if isinstance(event, RunAdmitted):
            gate = self.gates.get(event.gate_id)
            passed = gate is not None and gate.let_through(run_id)
            self._must(passed, "gate", f"run {run_id} was not let through")
        if isinstance(event, RunSucceeded) and event.output is not None and not tale.forked:
            attempt = tale.of(RUN_OUTPUT).attempt
            said = self.said.outputs[run_id, RUN_OUTPUT, attempt]
            self._must(event.output.sha256 in said, "S4", f"run {run_id}: nobody said its output")
        if not isinstance(event, StepSucceeded | StepWaiting) or event.output is None:
            return
        told.outputs[event.step_id] = event.output.sha256
        step, owner, attempt = tale.of(event.step_id), event.step_id, event.attempt
        if isinstance(event, StepSucceeded) and step.kind in {WaitKind.SIGNAL, WaitKind.APPROVAL}:
            return  # the tale has compared it with what it heard
        if isinstance(event, StepSucceeded) and step.kind is WaitKind.LOOP:
            owner = evaluation(event.step_id, Evaluation.COLLECT)
            attempt = tale.of(owner).attempt
            if tale.forked and tale.of(owner).status == "pending":
                return  # it was gathered before the place that the run was forked from
        right = event.output.sha256 in self.said.outputs[run_id, owner, attempt]
        self._must(right, "S4", f"run {run_id}: nobody said the output of {event.step_id}")

    def _note_causes(self, run_id: str, told: Told, decision: Decision, by: Process) -> None:
        """What messages led to; what a scheduler tells itself, no message can repeat."""
        first = 0
        for cause in decision.causes:
            if self.said.open[run_id, cause.id] > 0 and cause.actor != RECONCILER:
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
                told = self.told(task.run_id)
                self._errands.check_task(told.tale, told.outputs, task)
        for letter in self.said.hear(stream, message):
            self._errands.check_word(letter, lambda run_id: self.told(run_id).tale)

    # --- acknowledgements ------------------------------------------------------------------------

    def done(
        self, stream: str, message: Message, *, times: int, is_out_again: bool, by: Process
    ) -> None:
        """S1, L2: what is acknowledged has taken effect, and all that it owes is published.

        As long as another copy of the same letter is there, that one may still see to it; and one
        that was delivered again just before this acknowledgement may be at it right now.
        """
        for letter in letters(stream, message):
            self.said.open[letter.run_id, letter.id] -= 1
            if self.said.open[letter.run_id, letter.id] <= 0:
                told = self.told(letter.run_id)
                self._check_effect(told, letter, times)
                if not is_out_again:
                    self._check_published(told, letter, by)

    def _check_effect(self, told: Told, letter: Letter, times: int) -> None:
        command = letter.command
        if isinstance(command, NOT_REPEATABLE) and (told.tale.was_paused or told.tale.queued):
            return
        if isinstance(command, StartRun) and command.state is not None:
            command = replace(command, state=None)
        try:
            more = decide(command, told.state, at=self._world.true_ms(), room=none)
        except Refused as refusal:
            self._check_refusal(told, letter, refusal, times)
            return
        # A result can become a late one between its answer and the acknowledgement.
        more = [event for event in more if not isinstance(event, LATE)]
        if any(isinstance(event, StepAbandoned) for event in more):
            return  # those who did not fit into one decision are abandoned when it fires again
        if isinstance(command, Control) and times >= HAND_BACKS_MAX:
            return  # it was answered that there is no such run, just before there was one
        if more and not is_owed(told.state):
            what = f"{type(command).__name__} is acknowledged and would still add {more[0]}"
            self._object("S1", f"run {letter.run_id}: {what}")

    def _check_refusal(self, told: Told, letter: Letter, refusal: Refused, times: int) -> None:
        command, right = letter.command, isinstance(refusal, Conflict)
        if isinstance(command, Control) and isinstance(refusal, NotFound):
            has_begun = told.tale.started is not None and isinstance(command, DecideApproval)
            right = times >= HAND_BACKS_MAX or has_begun
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
                self._errands.check_owed(told.tale, event)
                continue
            attempt = (run_id, event.step_id, event.attempt)
            is_due = state.awaits(*attempt[1:]) and told.tale.is_wanted(event.step_id)
            if is_due and attempt not in self._errands.tasks:
                self._object("outbox", f"run {run_id}: nobody was told of {event}")
        for timer_id, timer in timers_begun([opened(event, self._blobs) for event in caused]):
            if timer_id in state.timers and timer_id not in self.said.timers:
                self._object("outbox", f"run {run_id}: {timer.kind} timer was never set")

    def _must(self, holds: bool, invariant: str, what: str) -> None:
        if not holds:
            self._object(invariant, what)

    def _object(self, invariant: str, what: str) -> None:
        self._world.object_to(invariant, what)


def kind_of(event: RunEvent) -> str:
    """The name of an event, of a wait with what it is for."""
    name = type(event).__name__
    return f"{name} {event.kind}" if isinstance(event, StepWaiting) else name


def opened(event: RunEvent, blobs: Blobs) -> RunEvent:
    """The event with the state that it goes on from, wherever that lies."""
    state = event.state if isinstance(event, RunForked | RunQueued) else None
    if state is None or state.inline or state.blob is None:
        return event
    return replace(event, state=replace(state, inline=msgspec.Raw(blobs[state.blob])))


def refolded(broker: Broker, blobs: Blobs, told: Told) -> Run:
    """A run's history folded anew from what the log has."""
    state = unborn(told.tale.run_id, told.tale.graph)
    subject = subjects.run_events(told.tenant, told.tale.run_id)
    for message in broker.histories.get(subject, ()):
        for index, event in enumerate(decode_run_decision(message.body).events):
            state = evolve(state, at_rest(opened(event, blobs), f"{message.seq}.{index}"))
    return state
