"""Lives that the simulation saw go wrong, each in as few words as it takes."""

from typing import Any

from msgspec.structs import replace

from penstock.domain import payload
from penstock.domain.gate.events import GateUse, Rule
from penstock.domain.run.commands import (
    AdmitRun,
    CancelRun,
    DecideApproval,
    EndChild,
    FireTimer,
    SignalRun,
    SuspendStep,
)
from penstock.domain.run.decide import decide, play
from penstock.domain.run.events import Origin, StepWaiting, Verdict, WaitKind
from penstock.domain.run.evolve import evolve
from penstock.domain.run.flow import is_wanted
from penstock.domain.run.reports import is_ahead
from penstock.domain.run.rewind import for_fork, for_retry, rewound
from penstock.domain.run.snapshot import compacted, encoded
from penstock.domain.run.state import Run, StepStatus, unborn
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import (
    AtLeast,
    Condition,
    Definition,
    Edge,
    EdgeType,
    Join,
    Node,
)
from tests.unit.domain.run.story import AT, Story, complete, fail, start

FORK = "0190aaaa-0000-7000-8000-000000000002"
GATE = GateUse(gate_id="g", rule=Rule(most=1))


def graph(*nodes: Node, edges: tuple[Edge, ...] = ()) -> Graph:
    return Graph.of(Definition(name="drawn", nodes=nodes, edges=edges))


def resting(step_id: str, kind: WaitKind, **members: Any) -> SuspendStep:
    return SuspendStep(
        step_id=step_id, attempt=1, kind=kind, started_at=AT, executor_id="e", **members
    )


def forked(state: Run, *, gates: tuple[GateUse, ...] = ()) -> Run:
    begun = replace(
        start(),
        forked_from=Origin(run_id=state.id, position="1.0"),
        state=payload.inline(encoded(state)),
        gates=gates,
    )
    return play(begun, unborn(FORK, state.graph), at=AT)[1]


def test_an_evaluation_that_nobody_waited_for_says_nothing_after_the_end() -> None:
    told = Edge("a", "b", Condition(EdgeType.EXPRESSION, expression="true"))
    story = Story(graph(Node(id="a", type="delay"), Node(id="b", type="noop"), edges=(told,)))
    story.when(start(), resting("a", WaitKind.DELAY, until=AT + 5))
    waiting = story.last(StepWaiting)
    assert isinstance(waiting, StepWaiting)
    story.when(FireTimer(timer_id=waiting.timer_id), CancelRun())
    assert story.run.is_over
    assert story.when(complete("a@edges")) == []


def test_a_fork_has_its_own_child_and_counts_it_once() -> None:
    story = Story(graph(Node(id="a", type="sub_workflow")))
    story.when(start(), resting("a", WaitKind.CHILD, workflow_id="w"))
    run = forked(story.run)
    assert (run.held, run.flow.children) == (1, 0)
    assert run.step("a").wait is None
    again = replace(resting("a", WaitKind.CHILD, workflow_id="w"), attempt=2)
    run = play(again, run, at=AT)[1]
    assert (run.held, run.flow.children) == (0, 1)


def test_a_fork_that_is_queued_keeps_what_it_is_told_meanwhile() -> None:
    story = Story(
        graph(Node(id="a", type="wait_for_signal"), Node(id="b", type="approval")),
    )
    story.when(start(), resting("a", WaitKind.SIGNAL, name="go"), resting("b", WaitKind.APPROVAL))
    run = forked(story.run, gates=(GATE,))
    signal = SignalRun(name="go", signal_id="1", payload=payload.of_value("now"))
    verdict = DecideApproval(step_id="b", decision=Verdict.APPROVE, output=payload.NULL)
    for command in (signal, verdict, AdmitRun(gate_id="g")):
        run = play(command, run, at=AT)[1]
    assert run.step("a").output == payload.of_value("now")
    assert run.step("b").branch == "approve"
    assert run.status == "succeeded"


def test_what_a_join_put_out_is_not_run_again() -> None:
    join = Node(id="j", type="noop", join=AtLeast(at_least=1, cancel_others=True))
    nodes = (Node(id="a", type="noop"), Node(id="b", type="noop"), join, Node(id="z", type="noop"))
    story = Story(graph(*nodes, edges=(Edge("a", "j"), Edge("b", "j"), Edge("j", "z"))))
    story.when(start(), complete("a"), complete("j"), fail("z"))
    assert story.run.step("b").status is StepStatus.CANCELLED
    assert for_retry(story.run) == {"a", "b", "j"}
    assert for_fork(story.run, "z") == {"a", "b", "j"}
    assert for_fork(story.run, "j") == {"a"}
    assert story.run.started is not None
    state = rewound(
        story.run, for_retry(story.run), graph=story.run.drawn, started=story.run.started
    )
    assert forked(state).step("b").status is StepStatus.CANCELLED


def test_the_end_of_a_child_is_ahead_of_a_run_that_does_not_wait_for_it_yet() -> None:
    story = Story(graph(Node(id="a", type="sub_workflow")))
    story.when(start())
    ended = EndChild(step_id="a", attempt=1, child_id="c")
    assert is_ahead(ended, story.run)
    story.when(resting("a", WaitKind.CHILD, workflow_id="w"))
    assert not is_ahead(ended, story.run)
    assert decide(ended, story.run, at=AT) == []


def test_nobody_wants_an_evaluation_for_a_loop_that_was_put_out() -> None:
    body = {"nodes": [{"id": "x", "type": "noop"}], "edges": []}
    loop = Node(id="l", type="loop", config={"while": "index < 3", "body": body})
    join = Node(id="j", type="noop", join=AtLeast(at_least=1, cancel_others=True))
    edges = (Edge("l", "j"), Edge("b", "j"))
    story = Story(graph(loop, Node(id="b", type="noop"), join, edges=edges))
    story.when(start(), resting("l", WaitKind.LOOP, most=3))
    assert is_wanted(story.run, "l.0@while")
    story.when(complete("b"))
    assert story.run.step("l").status is StepStatus.CANCELLED
    assert story.run.awaits("l.0@while", 1)
    assert not is_wanted(story.run, "l.0@while")


def test_a_failure_is_judged_before_the_run_ends() -> None:
    """Whether the rejection is taken up only its edge's expression says."""
    told = Edge("a", "z", Condition(EdgeType.EXPRESSION, expression="true"))
    last = Node(id="z", type="noop", join=Join.ANY)
    nodes = (Node(id="a", type="approval"), Node(id="b", type="noop"), last)
    story = Story(graph(*nodes, edges=(told, Edge("b", "z"))))
    rejected = DecideApproval(step_id="a", decision=Verdict.REJECT, output=payload.NULL)
    story.when(start(), resting("a", WaitKind.APPROVAL), complete("b"), complete("z"))
    story.when(rejected)
    assert story.run.is_live
    assert story.run.unsettled == 0
    story.when(replace(complete("a@edges"), edges=()))
    assert story.run.status == "failed"


def test_a_failure_is_judged_before_its_iteration_ends() -> None:
    told = {"type": "EXPRESSION", "expression": "true"}
    body = {
        "nodes": [
            {"id": "a", "type": "approval"},
            {"id": "b", "type": "noop"},
            {"id": "z", "type": "noop", "join": "any"},
        ],
        "edges": [{"from": "a", "to": "z", "condition": told}, {"from": "b", "to": "z"}],
    }
    story = Story(graph(Node(id="l", type="loop", config={"items": [1], "body": body})))
    story.when(start(), resting("l", WaitKind.LOOP, count=1, most=1))
    story.when(resting("l.0.a", WaitKind.APPROVAL), complete("l.0.b"), complete("l.0.z"))
    decision = DecideApproval(step_id="l.0.a", decision=Verdict.REJECT, output=payload.NULL)
    story.when(decision)
    assert "l.0" in story.run.flow.scopes
    story.when(replace(complete("l.0.a@edges"), edges=()))
    assert story.run.status == "failed"


def test_a_snapshot_keeps_a_loop_while_what_is_inside_of_it_is_put_out() -> None:
    inner = {"nodes": [{"id": "x", "type": "noop"}], "edges": []}
    config = {"items": [1], "body": inner}
    body = {"nodes": [{"id": "i", "type": "loop", "config": config}], "edges": []}
    story = Story(graph(Node(id="l", type="loop", config={"items": [1], "body": body})))
    story.when(start(), resting("l", WaitKind.LOOP, count=1, most=1))
    limit = {"count": 1, "most": 1, "until": AT + 5}
    story.when(resting("l.0.i", WaitKind.LOOP, **limit))
    (timer_id,) = story.run.timers
    late = decide(FireTimer(timer_id=timer_id), story.run, at=AT)
    after = evolve(story.run, late[0])
    assert compacted(after).step("l.0.i").status is StepStatus.TIMED_OUT
