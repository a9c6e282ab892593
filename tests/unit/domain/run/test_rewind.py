"""Retry and fork: what is kept, what is run again, and that a fork begins where it was taken."""

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from penstock.domain import payload
from penstock.domain.errors import NotFound
from penstock.domain.run.commands import ContinueRun, SuspendStep
from penstock.domain.run.decide import play
from penstock.domain.run.events import Origin, WaitKind
from penstock.domain.run.evolve import fold
from penstock.domain.run.rewind import (
    for_fork,
    for_retry,
    planned,
    reading_input,
    resumable,
    rewound,
    unchanged,
)
from penstock.domain.run.snapshot import encoded, state_hash
from penstock.domain.run.state import HELD, Run, RunStatus, StepStatus, unborn
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition, Edge, Node, drawing_to_wire
from tests.unit.domain.run.autopilot import AT, RUN, START, Life, done, failure, random_graph
from tests.unit.domain.run.story import Story, complete, drawing, fail, start

OTHER = "0190aaaa-0000-7000-8000-000000000002"


def failed_run() -> Story:
    """`a` fans out to `b`, which succeeded, and `c`, which failed; `d` joins them."""
    story = Story(drawing("a>b", "a>c", "b>d", "c>d"))
    story.when(start(), complete("a"), complete("b"), fail("c"))
    return story


def forked(origin: Run, state: Run) -> Run:
    """A run that begins with a state, after what it decides at once."""
    begun = replace(
        START,
        forked_from=Origin(run_id=origin.id, position="1.0"),
        state=payload.inline(encoded(state)),
    )
    return play(begun, unborn(OTHER, origin.graph), at=AT)[1]


def test_a_retry_keeps_what_succeeded_and_begins_with_what_failed() -> None:
    run = failed_run().run
    kept = for_retry(run)
    assert kept == {"a", "b"}
    assert run.started is not None
    again = forked(run, rewound(run, kept, graph=run.drawn, started=run.started))
    assert again.is_live
    assert again.step("c").status is StepStatus.DISPATCHED
    assert again.step("b").output == run.step("b").output
    assert again.step("d").status is StepStatus.PENDING


def test_a_retry_keeps_a_failure_that_was_taken_up() -> None:
    story = Story(drawing("a!b", "b>c"))
    story.when(start(), fail("a"), complete("b"), fail("c"))
    assert for_retry(story.run) == {"a", "b"}


def test_a_fork_from_a_step_runs_it_and_all_behind_it_again() -> None:
    story = Story(drawing("a>b", "b>c", "a>d"))
    story.when(start(), complete("a"), complete("b"), complete("d"), complete("c"))
    kept = for_fork(story.run, "b")
    assert kept == {"a", "d"}
    plan = planned(story.run, story.run.drawn, kept)
    assert (plan.kept, plan.again, plan.repeats) == (("a", "d"), ("b", "c"), ())


def test_a_fork_from_a_step_that_is_not_there_is_refused() -> None:
    with pytest.raises(NotFound):
        for_fork(failed_run().run, "z")


def test_another_drawing_keeps_what_is_the_same_in_both_down_to_the_first_change() -> None:
    def chain(*types: str) -> Graph:
        nodes = tuple(Node(id=f"n{i}", type=kind) for i, kind in enumerate(types))
        edges = tuple(Edge(f"n{i}", f"n{i + 1}") for i in range(len(types) - 1))
        return Graph.of(Definition(name="chain", nodes=nodes, edges=edges))

    before, after = chain("noop", "noop", "noop"), chain("noop", "trigger", "noop")
    assert unchanged(before, after, {"n0", "n1", "n2"}) == {"n0"}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
@example(556)
@example(1617)
def test_a_fork_begins_in_the_state_of_the_events_before_it(seed: int) -> None:
    random = Random(seed)
    life = Life(random_graph(random), random)
    life.live()
    events = [event for decision in life.history for event in decision]
    begun = replace(START, forked_from=Origin(run_id=RUN, position="1.0"))
    for count in range(1, len(events) + 1):
        before = fold(unborn(RUN, life.run.graph), events[:count])
        state = payload.inline(encoded(before))
        decided, _ = play(replace(begun, state=state), unborn(OTHER, life.run.graph), at=AT)
        assert state_hash(fold(unborn(OTHER, life.run.graph), decided[:2])) == state_hash(before)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_is_retried_or_forked_comes_to_its_end(seed: int) -> None:
    random = Random(seed)
    life = Life(random_graph(random), random)
    life.live()
    run = life.run
    assert run.started is not None
    steps = list(run.drawn.order)
    kept = for_retry(run) if random.random() < 0.5 else for_fork(run, random.choice(steps))
    again = Life(run.drawn, random)
    again.run = forked(run, rewound(run, kept, graph=run.drawn, started=run.started))
    again.live()
    assert not again.run.timers
    for node_id in kept:
        assert again.run.step(node_id).output == run.step(node_id).output
        assert again.run.step(node_id).attempt == run.step(node_id).attempt


def loop_of(*items: str, tolerant: bool = False) -> Life:
    """A loop whose iterations call the outside, one after the other; the last one fails."""
    body = drawing_to_wire([Node(id="call", type="http_request")], [])
    config = {"items": list(items), "body": body}
    nodes = (Node(id="before", type="noop"), Node(id="l", type="loop", config=config))
    graph = Graph.of(Definition(name="looped", nodes=nodes, edges=(Edge("before", "l"),)))
    life = Life(graph, Random(1), faults=0)
    settled_by(life).say(done("before", 1))
    settled_by(life).say(
        SuspendStep(
            step_id="l",
            attempt=1,
            kind=WaitKind.LOOP,
            count=len(items),
            most=len(items),
            tolerant=tolerant,
            started_at=AT,
            executor_id="e",
        )
    )
    for index in range(len(items) - 1):
        settled_by(life).say(done(f"l.{index}.call", 1))
    settled_by(life).say(failure(f"l.{len(items) - 1}.call", 1, retryable=False))
    return life


def settled_by(life: Life) -> Life:
    """The life after every dispatch that decisions had no room for."""
    for _ in range(20):
        life.say(ContinueRun())
    return life


def test_a_retry_goes_on_with_a_loop_where_it_failed() -> None:
    life = settled_by(loop_of("a", "b", "c"))
    run = life.run
    assert run.status is RunStatus.FAILED
    kept = for_retry(run)
    loops = resumable(run, kept)
    assert (set(kept), set(loops)) == ({"before"}, {"l"})
    plan = planned(run, run.drawn, kept, loops)
    assert (plan.again, plan.resumed, plan.repeats) == (("l",), ("l",), ("l.2.call",))
    assert run.started is not None
    state = rewound(run, kept, graph=run.drawn, started=run.started, loops=loops)
    again = Life(run.drawn, Random(2), faults=0)
    again.run = forked(run, state)
    settled_by(again)
    tried = {s for s, step in again.run.steps.items() if step.status in HELD}
    assert tried == {"l.2.call"}
    again.say(done("l.2.call", 1))
    settled_by(again).say(done("l@collect", 1))
    assert settled_by(again).run.status is RunStatus.SUCCEEDED


def test_a_fork_with_another_input_runs_what_reads_it_and_all_behind() -> None:
    nodes = (
        Node(id="a", type="noop"),
        Node(id="b", type="noop"),
        Node(id="c", type="transform", input="{{ run.input }}", config={"output": "{{ input }}"}),
        Node(id="d", type="noop"),
        Node(id="e", type="transform", input=1, config={"output": "{{ input }}"}),
    )
    edges = (Edge("e", "b"), Edge("c", "d"))
    graph = Graph.of(Definition(name="reads", nodes=nodes, edges=edges))
    assert reading_input(graph) == {"a", "c", "d"}


def test_a_fork_from_a_step_that_no_loop_has_is_refused() -> None:
    with pytest.raises(NotFound):
        for_fork(loop_of("a", "b").run, "l.0.nobody")
    assert "before" in for_fork(loop_of("a", "b").run, "l.0.call")
