"""What a run has others do: that tasks say what they should, and children and events come about."""

from collections.abc import Callable

from penstock.domain.ids import derived
from penstock.domain.payload import Payload
from penstock.domain.run.commands import EndChild
from penstock.domain.run.events import (
    TERMINAL,
    RunCancelRequested,
    RunEvent,
    StepAbandoned,
    StepCancelled,
    StepSucceeded,
    StepWaiting,
    WaitKind,
)
from penstock.domain.run.paths import Evaluation, evaluated_for
from penstock.domain.run.rest import payload_at
from penstock.messages.codec import decode_run_decision
from penstock.messages.envelope import Task
from penstock.scheduler.children import NOT_STARTED
from tests.simulation.broker import Broker
from tests.simulation.history import RunTale
from tests.simulation.letterbox import Letter, Said
from tests.simulation.world import World

Outputs = dict[str, str]


class Errands:
    """Checks them. tasks: attempts that executors were told of."""

    def __init__(self, world: World, broker: Broker, said: Said) -> None:
        self._world = world
        self._broker = broker
        self._said = said
        self._events: set[str] = set()
        self.tasks: set[tuple[str, str, int]] = set()

    # --- executors -------------------------------------------------------------------------------

    def check_task(self, run: RunTale, outputs: Outputs, task: Task) -> None:
        """S5: work is about an attempt that the log has dispatched, and carries what it reads."""
        self.tasks.add((task.run_id, task.step_id, task.attempt))
        tale = run.of(task.step_id)
        if task.attempt > tale.attempt or (
            task.attempt == tale.attempt and tale.status in {"pending", "ready"}
        ):
            self._object("S5", f"work for {task.step_id}#{task.attempt}, which is {tale.status}")
        owner, purpose = evaluated_for(task.step_id) or (task.step_id, None)
        if purpose is Evaluation.COLLECT:
            self._check_gathered(run, outputs, owner, task)
        elif purpose in {None, Evaluation.EDGES}:
            self._check_contributors(run, outputs, owner, task)
        for name, payload in task.payloads.items():
            self._check_place(name, payload)

    def _check_contributors(self, run: RunTale, outputs: Outputs, owner: str, task: Task) -> None:
        _, prefix, _ = run.place(owner)
        contributors = run.contributors(owner)
        if not set(task.taken) <= set(contributors) or bool(task.taken) != bool(contributors):
            self._object("S5", f"{task.step_id} is told that {task.taken} led to it")
        for source in task.taken:
            payload = task.payloads.get(f"nodes.{source}.output")
            if run.of(prefix + source).status != "succeeded":
                continue
            if payload is None:
                self._must_not_read(run, owner, source)
            elif payload.sha256 != outputs[prefix + source]:
                self._object("S5", f"{task.step_id} does not get the output of {source}")

    def _must_not_read(self, run: RunTale, owner: str, source: str) -> None:
        """A node that has a template of its own need not be given what the input rule says."""
        graph, _, node_id = run.place(owner)
        if graph.reads[node_id].input or source in graph.reads[node_id].nodes:
            self._object("S5", f"{owner} does not get the output of {source}")

    def _check_gathered(self, run: RunTale, outputs: Outputs, loop_id: str, task: Task) -> None:
        """A loop's output is made of what all its iterations came to, each in its place."""
        loop, body = run.loops[loop_id], run.body(loop_id)
        if task.gathered is None or task.gathered.count != loop.opened:
            self._object("loop", f"{loop_id} gathers {task.gathered}, it had {loop.opened}")
        places = {
            f"results.{index}.{sink}": f"{loop_id}.{index}.{sink}"
            for index in range(loop.opened)
            if index not in loop.fallen
            for sink in body.sinks
        }
        given = {name: payload.sha256 for name, payload in task.payloads.items()}
        if not set(given) <= set(places):
            self._object("loop", f"{loop_id} gathers {set(given) - set(places)}")
        for name, path in places.items():
            known = run.tales.get(path)
            is_there = path in outputs if known is None else known.status == "succeeded"
            if is_there and given.get(name) != outputs[path]:
                self._object("loop", f"{loop_id} does not gather what {path} said")

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

    # --- children and events ---------------------------------------------------------------------

    def check_word(self, letter: Letter, tale_of: Callable[[str], RunTale]) -> None:
        """What a parent is told of its child's end is how that has ended."""
        command = letter.command
        if not isinstance(command, EndChild):
            return
        child = tale_of(command.child_id)
        if command.error is not None and command.error.code == NOT_STARTED:
            right = child.started is None and child.queued is None
        else:
            right = bool(child.end) and (child.end == "RunSucceeded") == (command.error is None)
        if not right:
            self._object("child", f"run {letter.run_id} is told {command}, it is {child.end!r}")

    def emitted(self, event_id: str) -> None:
        """What a step emits is on record once."""
        if event_id in self._events:
            self._object("S4", f"the event {event_id} is on record twice")
        self._events.add(event_id)

    def check_owed(self, run: RunTale, event: RunEvent) -> None:
        """Whatever an acknowledged message owes to children, parents and tenants was said."""
        match event:
            case StepWaiting(kind=WaitKind.CHILD, child_id=child_id, step_id=step_id):
                told = {"StartRun", "ContinueRun", "CancelRun"}
                asked = any((child_id, name) in self._said.asked for name in told)
                if run.of(step_id).status == "waiting":
                    self._owed(asked or child_id in self._said.ended, run, f"the child {child_id}")
            case StepSucceeded(step_id=step_id) if "@" not in step_id:
                if run.graph.node(step_id).type == "emit_event":
                    is_there = derived(run.run_id, step_id, "event") in self._events
                    self._owed(is_there, run, f"the event of {step_id}")
            case RunCancelRequested():
                for _, step in run.waiting_for(WaitKind.CHILD):
                    self._called_off(run, step.child)
            case StepCancelled(step_id=step_id) | StepAbandoned(step_id=step_id):
                step = run.of(step_id)
                if step.kind is WaitKind.CHILD and "@" not in step_id:
                    self._called_off(run, step.child)
            case _ if isinstance(event, TERMINAL) and run.started is not None:
                if run.started.parent is not None:
                    self._owed(run.run_id in self._said.ended, run, "a word to its parent")

    def _called_off(self, run: RunTale, child_id: str) -> None:
        is_over = child_id in self._said.ended
        said = is_over or (child_id, "CancelRun") in self._said.asked
        self._owed(said, run, f"a cancel of {child_id}")

    def _owed(self, is_there: bool, run: RunTale, what: str) -> None:
        if not is_there:
            self._object("outbox", f"run {run.run_id} owes {what}")

    def _object(self, invariant: str, what: str) -> None:
        self._world.object_to(invariant, what)
