"""A checker that knows the rules and not the code: what each event may follow, told naively."""

from collections.abc import Callable

from penstock.domain.run.events import (
    ApprovalDecided,
    CancelCause,
    ResultDiscarded,
    RunAdmitted,
    RunCancelRequested,
    RunEvent,
    RunFailed,
    RunForked,
    RunPaused,
    RunQueued,
    RunResumed,
    RunSnapshotTaken,
    RunStarted,
    SecretUsed,
    SignalReceived,
    StepFailed,
    StepLost,
    StepReady,
    StepRetryScheduled,
    StepSucceeded,
    StepTimedOut,
    StepWaiting,
    Verdict,
    WaitKind,
)
from penstock.domain.run.paths import RUN_OUTPUT, Evaluation, evaluated_for, iteration_of
from penstock.domain.workflow.graph import RETRY_DEFAULT, Graph
from tests.simulation.tales import (
    ENDS,
    FOLLOWS,
    LOSSES_MAX,
    NOT_AFTER_CANCEL,
    PUT_OUT,
    SETTLED,
    TOLD,
    LoopTale,
    Steps,
    StepTale,
)


class RunTale(Steps):
    """What the events have said about a run. object_to: how a contradiction is told.

    failed: the step whose failure ends the run. signals: payloads of each name that nobody has
    taken. children: ids of the runs that it waits or waited for, with the step.
    """

    def __init__(self, run_id: str, graph: Graph, object_to: Callable[[str, str], None]) -> None:
        super().__init__(graph)
        self.run_id = run_id
        self.started: RunStarted | None = None
        self.queued: RunQueued | None = None
        self.admitted = 0
        self.forked: RunForked | None = None
        self.called_off: CancelCause | None = None
        self.failed: str | None = None
        self.paused = False
        self.was_paused = False
        self.signals: dict[str, list[str]] = {}
        self.heard: set[str] = set()
        self.decisions: dict[str, Verdict] = {}
        self.children: dict[str, str] = {}
        self.end = ""
        self._object = object_to

    def hear(self, event: RunEvent, at: int) -> None:
        """One more event, decided at a moment (ms)."""
        name = type(event).__name__
        self._must(not self.end, "S3", f"{name} after {self.end}")
        if self._is_of_beginning(name, event):
            return
        match event:
            case RunCancelRequested(cause=cause):
                self._must(self.called_off is None, "S3", "called off twice")
                self.called_off = cause
            case RunPaused() | RunResumed():
                is_pause = isinstance(event, RunPaused)
                self._must(self.paused is not is_pause, "pause", f"{name} twice")
                self.paused, self.was_paused = is_pause, True
            case SignalReceived(signal_id=signal_id):
                self._must(signal_id not in self.heard, "signal", f"{signal_id} counted twice")
                self.heard.add(signal_id)
                self.signals.setdefault(event.name, []).append(event.payload.sha256)
            case ApprovalDecided(step_id=step_id, decision=decision):
                self._must(step_id not in self.decisions, "approval", f"{step_id} decided twice")
                self.decisions[step_id] = decision
            case RunForked() | RunSnapshotTaken():
                pass
            case ResultDiscarded(step_id=step_id, attempt=attempt):
                tale = self.of(step_id)
                self._must(attempt > tale.discarded, "S4", f"{name} {step_id} twice")
                tale.discarded = attempt
            case SecretUsed(step_id=step_id, attempt=attempt):
                tale = self.of(step_id)
                self._must(attempt not in tale.used, "S4", f"{name} {step_id} twice")
                tale.used.add(attempt)
            case _ if name in ENDS:
                self._ends(name, event)
            case _:
                self._of_step(name, event, at)

    def _is_of_beginning(self, name: str, event: RunEvent) -> bool:
        """Whether the event is about how the run comes to its start, and that it is in order."""
        if isinstance(event, RunQueued):
            self._must(self.queued is None and self.started is None, "S3", f"{name} out of place")
            self.queued = event
        elif isinstance(event, RunAdmitted):
            gates = () if self.queued is None else self.queued.gates
            is_next = self.started is None and self.admitted < len(gates)
            is_next = is_next and gates[self.admitted].gate_id == event.gate_id
            self._must(is_next, "gate", f"{name} out of turn")
            self.admitted += 1
        elif isinstance(event, RunStarted):
            passed = self.queued is None or self.admitted == len(self.queued.gates)
            self._must(self.started is None and passed, "gate", f"{name} out of place")
            self.started = event
        elif self.started is None and isinstance(event, SignalReceived | ApprovalDecided):
            self._must(self.queued is not None, "S3", f"{name} out of place")
            return False
        elif self.started is None:
            waits = self.queued is not None and name in {"RunCancelled", "RunTimedOut"}
            taken = self.queued is not None and isinstance(event, RunSnapshotTaken)
            self._must(waits or taken, "S3", f"{name} out of place")
            self.end = name if waits else ""
        else:
            return False
        return True

    @property
    def is_ending(self) -> bool:
        """Whether nothing new starts any more."""
        return self.called_off is not None or self.failed is not None

    # --- steps -----------------------------------------------------------------------------------

    def _of_step(self, name: str, event: RunEvent, at: int) -> None:
        step_id: str = event.step_id  # type: ignore[union-attr]
        tale = self.of(step_id)
        what = (
            f"{name} {step_id}#{getattr(event, 'attempt', '-')} while {tale.status}#{tale.attempt}"
        )
        if name in NOT_AFTER_CANCEL:
            self._must(not self.is_ending, "cancel", f"{what}, while the run ends")
        if isinstance(event, StepReady):
            self._ready(step_id, tale, event.attempt, what)
            return
        before, after = FOLLOWS[name]
        orphan = isinstance(event, StepLost) and event.reason == "forked"
        orphan = orphan and tale.kind is WaitKind.CHILD and tale.status == "waiting"
        self._must(tale.status in before or orphan, "S4", what)
        if hasattr(event, "attempt"):
            self._must(event.attempt == tale.attempt, "S4", what)
        if name == "StepDispatched":
            self._must(not self.paused, "pause", f"{what}, in a paused run")
            given_up = "@" not in step_id and self.is_given_up(step_id)
            self._must(not given_up, "closing", f"{what}, though it is given up")
        if name in PUT_OUT and not self.is_ending:
            self._put_out(name, step_id, tale, what)
        if name == "StepAbandoned":
            self._must(self.called_off is not None, "cancel", f"{what}, before any cancel")
        if tale.status == "waiting":
            self._waited(step_id, tale, event, what)
        tale.status = after
        self._counted(step_id, tale, event, at)

    def _counted(self, step_id: str, tale: StepTale, event: RunEvent, at: int) -> None:
        """S17: attempts are bounded by the policy, rests are never negative."""
        if isinstance(event, StepLost):
            tale.losses += 1
            self._must(tale.losses <= LOSSES_MAX, "S17", f"{step_id} lost {tale.losses} times")
        elif isinstance(event, StepRetryScheduled):
            tale.failures += 1
            policy = RETRY_DEFAULT if "@" in step_id else self.graph.retry(step_id)
            allowed = policy.max_attempts - 1
            self._must(tale.failures <= allowed, "S17", f"{step_id} retried {tale.failures} times")
            self._must(event.due_at >= at, "S17", f"{step_id} retries before it failed")
        elif isinstance(event, StepWaiting):
            self._waits(step_id, tale, event)
        elif isinstance(event, StepSucceeded | StepFailed | StepTimedOut):
            tale.edges = event.edges
            if isinstance(event, StepSucceeded):
                tale.branch = event.branch
            if "@" in step_id:
                self._evaluated(step_id, tale)
            elif tale.status == "failed":
                self._failed(step_id)

    def _failed(self, step_id: str) -> None:
        """A step's failure, once it is known whether anything takes it up."""
        graph, prefix, node_id = self.place(step_id)
        if self.has_spoken(graph, prefix, node_id) and not self.is_handled(step_id):
            self._falls(step_id)

    def _falls(self, step_id: str) -> None:
        """A failure that nothing handles ends the run, or the iteration, or the loop around it."""
        _, prefix, _ = self.place(step_id)
        if not prefix:
            if not self.is_ending:
                self.failed = step_id
            return
        loop_id, index = iteration_of(prefix[:-1])
        loop = self.loops[loop_id]
        loop.fallen.add(index)
        loop.doomed = loop.doomed or not loop.tolerant

    def _ready(self, step_id: str, tale: StepTale, attempt: int, what: str) -> None:
        if attempt == 1:
            self._must(tale.status == "pending", "S5", what)
            self._must(not self.paused, "pause", f"{what}, in a paused run")
            if "@" in step_id:
                self._asked(step_id, what)
            else:
                self._opened(step_id, what)
                may_begin, _ = self.joined(step_id)
                self._must(may_begin, "S5", f"{what}, its predecessors do not let it")
        else:
            self._must(tale.status in {"lost", "retrying"}, "S4", what)
            self._must(attempt == tale.attempt + 1, "S4", what)
        tale.status, tale.attempt, tale.kind, tale.child = "ready", attempt, None, ""
        if self.forked is None:
            spent = 1 + tale.failures + tale.losses
            self._must(attempt <= spent, "S17", f"{what}, after {spent - 1} bad ends")

    def _put_out(self, name: str, step_id: str, tale: StepTale, what: str) -> None:
        """A step is given up when nothing leads to it any more, or nobody needs it."""
        if "@" in step_id or self.is_given_up(step_id):
            return
        _, never = self.joined(step_id)
        right = name == "StepSkipped" and tale.status == "pending" and never
        self._must(right, "S5", f"{what}, too early")

    # --- waits -----------------------------------------------------------------------------------

    def _waits(self, step_id: str, tale: StepTale, event: StepWaiting) -> None:
        tale.kind, tale.name, tale.child = event.kind, event.name, event.child_id
        if event.kind is WaitKind.LOOP:
            self.loops[step_id] = LoopTale(event.count, event.width, event.most, event.tolerant)
        elif event.kind is WaitKind.CHILD:
            self.children[event.child_id] = step_id

    def _waited(self, step_id: str, tale: StepTale, event: RunEvent, what: str) -> None:
        """What ends a wait is what it waited for."""
        if tale.kind is WaitKind.LOOP:
            self._looped(step_id, event, what)
        if not isinstance(event, StepSucceeded):
            return
        if tale.kind is WaitKind.SIGNAL and event.branch == "received":
            untaken, said = self.signals.get(tale.name, []), event.output
            is_there = said is not None and said.sha256 in untaken
            self._must(is_there, "signal", f"{what}, with a signal that nobody sent or one took")
            if said is not None:
                untaken.remove(said.sha256)
        if tale.kind is WaitKind.APPROVAL and event.branch in set(Verdict):
            right = self.decisions.get(step_id) == event.branch
            self._must(right, "approval", f"{what}, decided {self.decisions.get(step_id)}")

    def _looped(self, step_id: str, event: RunEvent, what: str) -> None:
        """A loop's last word."""
        loop, going = self.loops[step_id], self.active(step_id)
        if isinstance(event, StepSucceeded):
            whole = loop.count == loop.opened and not going and not loop.doomed
            self._must(whole, "loop", f"{what}, {loop.opened} of {loop.count}, active {going}")
            collected = self.of(f"{step_id}@{Evaluation.COLLECT}").status == "succeeded"
            self._must(
                collected or self.forked is not None,
                "loop",
                f"{what}, nobody has gathered what it came to",
            )
        elif isinstance(event, StepFailed) and not self.is_ending:
            limit = loop.count is None and loop.opened == loop.most
            right = (loop.doomed or limit) and not going
            self._must(right, "loop", f"{what}, though nothing ends it; active {going}")

    def _opened(self, step_id: str, what: str) -> None:
        """Iterations begin in turn, as many at a time as the loop allows."""
        _, prefix, _ = self.place(step_id)
        if not prefix:
            return
        loop_id, index = iteration_of(prefix[:-1])
        loop = self.loops.get(loop_id)
        if loop is None:
            self._must(False, "loop", f"{what}, in a loop that has not begun")
            return
        going = self.active(loop_id)
        goes_on = self.of(loop_id).status == "waiting" and not loop.doomed
        self._must(goes_on and index not in loop.closed, "loop", f"{what}, though it is over")
        if index < loop.opened:
            return
        is_next = index == loop.opened and index < (loop.count or 0) and len(going) < loop.width
        self._must(is_next, "loop", f"{what}, {going} of {loop.count} go on, {loop.width} may")
        loop.opened = index + 1

    # --- evaluations -----------------------------------------------------------------------------

    def _asked(self, step_id: str, what: str) -> None:
        """What is evaluated is what has to be known next."""
        owner, purpose = evaluated_for(step_id) or ("", Evaluation.OUTPUT)
        match purpose:
            case Evaluation.EDGES:
                graph, prefix, node_id = self.place(owner)
                settled = self.of(owner).status in TOLD
                right = settled and not self.has_spoken(graph, prefix, node_id)
            case Evaluation.WHILE:
                loop_id, index = iteration_of(owner)
                loop = self.loops[loop_id]
                right = loop.count is None and index == loop.opened < loop.most
                right = right and not self.active(loop_id) and not loop.doomed
            case Evaluation.COLLECT:
                loop = self.loops[owner]
                right = loop.count == loop.opened and not self.active(owner) and not loop.doomed
            case _:
                right = not self.open_ones()
        self._must(right, "evaluation", f"{what}, out of place")

    def _evaluated(self, step_id: str, tale: StepTale) -> None:
        """What an evaluation has come to."""
        owner, purpose = evaluated_for(step_id) or ("", Evaluation.OUTPUT)
        good = tale.status == "succeeded"
        if purpose is Evaluation.EDGES and not self.is_ending:
            if good:
                self.of(owner).edges = tale.edges or ()
            if not good:
                self._falls(owner)
            elif self.of(owner).status == "failed":
                self._failed(owner)
        elif purpose is Evaluation.WHILE:
            loop_id, _ = iteration_of(owner)
            loop = self.loops[loop_id]
            if self.is_ending or self.of(loop_id).status != "waiting":
                return
            loop.doomed = loop.doomed or not good
            if good and tale.branch == "true" and not loop.doomed:
                loop.opened += 1
            elif good and tale.branch != "true":
                loop.count = loop.opened
        elif purpose is Evaluation.COLLECT:
            self.loops[owner].doomed = self.loops[owner].doomed or not good
        elif purpose is Evaluation.OUTPUT and not good and not self.is_ending:
            self.failed = RUN_OUTPUT

    def is_wanted(self, step_id: str) -> bool:
        """Whether what is done there is of use to anybody who goes on."""
        owner, purpose = evaluated_for(step_id) or (step_id, None)
        if purpose is None or purpose is Evaluation.OUTPUT:
            return purpose is None or not self.is_ending
        if purpose is Evaluation.WHILE:
            owner, _ = iteration_of(owner)
        is_loop = purpose is not Evaluation.EDGES
        over = is_loop and self.of(owner).status in SETTLED
        return not (self.is_ending or over or self.is_given_up(owner))

    # --- the end ---------------------------------------------------------------------------------

    def _ends(self, name: str, event: RunEvent) -> None:
        """S3 and the cancel that wins: all steps have settled, and the end is the one asked for."""
        open_steps = self.open_ones()
        self._must(not open_steps, "S3", f"{name} with {open_steps} open")
        judged = name != "RunSucceeded" or self.has_all_spoken(self.graph)
        self._must(judged, "S3", f"{name} before all edges are decided about")
        asked = self.called_off
        if asked is None and self.failed is not None:
            asked = CancelCause.FAILURE
        self._must(ENDS[name] is asked, "cancel", f"{name}, asked for {asked}")
        if isinstance(event, RunFailed):
            blamed = event.error.step_id or RUN_OUTPUT
            self._must(blamed == self.failed, "S3", f"{name} blames {blamed}, not {self.failed}")
        self.end = name

    def waiting_for(self, *kinds: WaitKind) -> list[tuple[str, StepTale]]:
        """The steps that wait for something of these kinds."""
        return [
            (path, tale)
            for path, tale in self.tales.items()
            if tale.status == "waiting" and tale.kind in kinds
        ]

    def awaited(self) -> list[str]:
        """What somebody outside has to say before the run goes on; a word said is not awaited."""
        if self.end or self.started is None:
            return []
        signals = [
            path for path, t in self.waiting_for(WaitKind.SIGNAL) if not self.signals.get(t.name)
        ]
        approvals = [
            path for path, _ in self.waiting_for(WaitKind.APPROVAL) if path not in self.decisions
        ]
        return [*signals, *approvals, *(["resume"] if self.paused else [])]

    def _must(self, holds: bool, invariant: str, what: str) -> None:
        if not holds:
            self._object(invariant, f"run {self.run_id}: {what}")


def is_open(tale: StepTale) -> bool:
    """Whether a step has begun and not ended."""
    return tale.status not in SETTLED and tale.status != "pending"
