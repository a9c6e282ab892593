"""A run that has gates to pass starts behind the last one, or never."""

from msgspec.structs import replace

from penstock.domain.gate.events import GateUse, Rule
from penstock.domain.run.admission import asked, is_beyond
from penstock.domain.run.commands import AdmitRun, CancelRun, FireTimer, StartRun, TurnAway
from penstock.domain.run.events import Parent, RunCancelled, RunQueued, RunStarted, RunTimedOut
from penstock.domain.run.state import RunStatus
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition, Node, Strategy
from tests.unit.domain.run.story import AT, Story, start

KEY = GateUse(gate_id="g1", rule=Rule(most=1, strategy=Strategy.SKIP), label="customer 7")
RATE = GateUse(gate_id="g2", rule=Rule(per_minute=10))


def gated(*gates: GateUse) -> StartRun:
    return replace(start(), gates=gates)


def story() -> Story:
    nodes = (Node(id="a", type="noop"),)
    definition = Definition(name="drawn", nodes=nodes, timeout_ms=500, queued_timeout_ms=1000)
    return Story(Graph.of(definition))


def test_it_starts_behind_the_last_gate_and_its_time_counts_from_there() -> None:
    told = story()
    assert told.when(gated(KEY, RATE)) == ["RunQueued"]
    assert told.run.status is RunStatus.QUEUED
    assert told.when(AdmitRun(gate_id="g2")) == [], "it is not its turn yet"
    assert told.when(AdmitRun(gate_id="g1")) == ["RunAdmitted"]
    began = told.when(AdmitRun(gate_id="g2"), at=AT + 70)
    assert began == ["RunAdmitted", "RunStarted", "Ready a", "Dispatched a"]
    started = told.last(RunStarted)
    assert isinstance(started, RunStarted)
    assert started.deadline_at == AT + 570
    assert [t.due_at for t in told.run.timers.values()] == [AT + 570]


def test_a_gate_that_the_run_has_not_come_to_is_beyond_it() -> None:
    told = story()
    assert is_beyond(AdmitRun(gate_id="g1"), told.run), "nobody has heard of its beginning"
    told.when(gated(KEY, RATE))
    spoken = [is_beyond(AdmitRun(gate_id=gate_id), told.run) for gate_id in ("g1", "g2", "other")]
    assert spoken == [False, True, False]
    assert is_beyond(TurnAway(gate_id="g2"), told.run)
    told.when(AdmitRun(gate_id="g1"))
    assert not is_beyond(AdmitRun(gate_id="g2"), told.run)
    told.when(AdmitRun(gate_id="g2"))
    assert not is_beyond(AdmitRun(gate_id="g2"), told.run)
    plain = story()
    plain.when(start())
    assert not is_beyond(AdmitRun(gate_id="g1"), plain.run)


def test_the_same_start_again_adds_nothing_while_it_waits() -> None:
    told = story()
    told.when(gated(KEY))
    assert told.when(gated(KEY), AdmitRun(gate_id="other")) == []


def test_who_is_turned_away_is_cancelled_with_the_reason() -> None:
    told = story()
    told.when(gated(KEY))
    assert told.when(TurnAway(gate_id="g1", holder="r0")) == ["RunCancelled"]
    ended = told.last(RunCancelled)
    assert isinstance(ended, RunCancelled)
    assert ended.error.code == "CONCURRENCY_SKIPPED"
    assert told.when(AdmitRun(gate_id="g1")) == []


def test_who_has_passed_is_told_to_end_for_a_newer_run_only() -> None:
    newest = GateUse(gate_id="g1", rule=Rule(most=1, strategy=Strategy.CANCEL_RUNNING))
    told = story()
    told.when(gated(newest), AdmitRun(gate_id="g1"))
    assert told.when(TurnAway(gate_id="other", holder="r2")) == []
    assert told.when(TurnAway(gate_id="g1", code="QUEUE_FULL")) == []
    assert told.when(TurnAway(gate_id="g1", holder="r2")) == ["RunCancelRequested"]
    assert told.when(TurnAway(gate_id="g1", holder="r2")) == []
    patient = story()
    patient.when(gated(KEY), AdmitRun(gate_id="g1"))
    assert patient.when(TurnAway(gate_id="g1", holder="r2")) == []


def test_a_run_between_two_gates_is_told_to_end_at_once() -> None:
    newest = GateUse(gate_id="g1", rule=Rule(most=1, strategy=Strategy.CANCEL_RUNNING))
    told = story()
    told.when(gated(newest, RATE), AdmitRun(gate_id="g1"))
    assert told.when(TurnAway(gate_id="g1", holder="r2")) == ["RunCancelled"]
    assert [each.gate_id for each in asked(told.run)] == ["g1", "g2"]


def test_a_run_that_is_one_too_many_within_a_minute_says_so() -> None:
    often = GateUse(gate_id="g1", rule=Rule(per_minute=1, strategy=Strategy.SKIP))
    told = story()
    told.when(gated(often), TurnAway(gate_id="g1"))
    ended = told.last(RunCancelled)
    assert isinstance(ended, RunCancelled)
    assert ended.error.code == "RECURSION_RATE_EXCEEDED"
    assert told.run.ending is not None
    assert told.run.ending.error == ended.error


def test_a_queued_run_can_be_cancelled_and_runs_out_of_patience() -> None:
    told = story()
    told.when(gated(KEY))
    assert told.when(CancelRun()) == ["RunCancelled"]
    late = story()
    late.when(gated(KEY))
    queued = late.last(RunQueued)
    assert isinstance(queued, RunQueued)
    assert late.when(FireTimer(timer_id=queued.timer_id)) == ["RunTimedOut"]
    ended = late.last(RunTimedOut)
    assert isinstance(ended, RunTimedOut)
    assert ended.error.code == "QUEUE_TIMEOUT"


def test_who_waits_for_an_ancestor_says_so() -> None:
    told = story()
    parent = Parent(run_id="r0", step_id="s", attempt=1, above=("r0",))
    told.when(replace(gated(KEY), parent=parent))
    told.when(TurnAway(gate_id="g1", holder="r0"))
    ended = told.last(RunCancelled)
    assert isinstance(ended, RunCancelled)
    assert ended.error.code == "CONCURRENCY_DEADLOCK"
