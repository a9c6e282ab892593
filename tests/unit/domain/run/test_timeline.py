"""Every millisecond of a run has one cause, and everything that waits says for what."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from penstock.domain.run.commands import PauseRun, ResumeRun, RunCommand, StartStep
from penstock.domain.run.events import RunEvent, WaitKind
from penstock.domain.run.explain import explained, last_changes
from penstock.domain.run.flow import open_steps
from penstock.domain.run.state import SETTLED, unborn
from penstock.domain.run.timeline import Cause, timeline
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition, Node
from tests.unit.domain.run.autopilot import Life, random_graph
from tests.unit.domain.run.story import AT, RUN, Story, complete, drawing, fail, start, suspend


class Timed(Story):
    """A story that also knows when everything was decided."""

    def __init__(self, *edges: str) -> None:
        super().__init__(drawing(*edges))
        self.timed: list[tuple[int, RunEvent]] = []

    def at(self, after: int, *commands: RunCommand) -> None:
        before = len(self.history)
        self.when(*commands, at=AT + after)
        self.timed += [(AT + after, event) for event in self.history[before:]]


def spans(told: Timed, until: int) -> list[tuple[int, int, str]]:
    found = timeline(told.timed, until=AT + until)
    return [(s.begin - AT, s.end - AT, str(s.cause)) for s in found.spans]


def worked(step_id: str, begun: int, done: int) -> RunCommand:
    return replace(complete(step_id), started_at=AT + begun, finished_at=AT + done)


def test_a_step_waits_for_an_executor_runs_and_is_reported() -> None:
    told = Timed("a")
    told.at(5, start())
    told.at(100, worked("a", 20, 90))
    assert spans(told, 500) == [
        (0, 5, "acceptance"),
        (5, 20, "executor"),
        (20, 90, "running"),
        (90, 100, "delivery"),
    ]


def test_a_retry_is_backoff_and_a_pause_is_one() -> None:
    told = Timed("a>b")
    told.at(0, start())
    told.at(10, replace(fail("a", retryable=True), started_at=AT, finished_at=AT + 10))
    assert spans(told, 30)[-1] == (10, 30, "backoff")
    paused = Timed("a>b")
    paused.at(0, start(), PauseRun())
    paused.at(10, worked("a", 0, 10))
    paused.at(60, ResumeRun())
    assert (10, 60, "pause") in spans(paused, 70)


def test_what_runs_now_is_running_though_nobody_has_reported_yet() -> None:
    told = Timed("a")
    told.at(0, start())
    told.at(310, StartStep(step_id="a", attempt=1, started_at=AT + 5, executor_id="e"))
    assert spans(told, 900) == [(0, 5, "executor"), (5, 900, "running")]


def test_a_waiting_step_names_those_it_waits_for() -> None:
    told = Timed("a>b", "c>b")
    told.at(0, start())
    told.at(1, complete("a"))
    found = {w.step_id: (w.cause, w.on) for w in explained(told.run, last_changes(told.timed))}
    assert found == {"b": (Cause.DEPENDENCY, ("c",)), "c": (Cause.EXECUTOR, ("default",))}


def test_an_approval_says_what_it_asks_and_of_whom() -> None:
    config = {"message": "So many?", "approvers": ["ada", "bob"]}
    nodes = (
        Node(id="ask", type="approval", config=config),
        Node(id="bare", type="approval"),
    )
    told = Timed("a")
    told.run = unborn(RUN, Graph.of(Definition(name="asks", nodes=nodes, edges=())))
    asks = replace(suspend("ask"), kind=WaitKind.APPROVAL, output=None, until=0)
    told.at(0, start(), asks, replace(asks, step_id="bare"))
    waits = explained(told.run, last_changes(told.timed))
    found = {w.step_id: (w.cause, w.on, w.detail) for w in waits}
    assert found == {
        "ask": (
            Cause.APPROVAL,
            ("ada", "bob"),
            'waits for ada or bob to approve or reject: "So many?"',
        ),
        "bare": (Cause.APPROVAL, (), "waits for somebody to approve or reject"),
    }


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_there_is_no_gap_and_nobody_is_left_out(seed: int, turns: int) -> None:
    random = Random(seed)
    life = Life(random_graph(random), random)
    for _ in range(turns):
        if life.run.is_over:
            break
        life.say(life.next_command())
    decisions = enumerate(life.history)
    history = [(1_000_000 + 10 * n, event) for n, events in decisions for event in events]
    found = timeline(history, until=1_000_000 + 10 * len(life.history))
    assert sum(found.totals.values()) == found.end - found.begin
    ends = [found.begin, *(span.end for span in found.spans)]
    assert [span.begin for span in found.spans] == ends[:-1]
    assert not found.spans or ends[-1] == found.end
    assert Cause.DEPENDENCY not in found.totals
    if life.run.is_live:
        told = {waiting.step_id for waiting in explained(life.run, last_changes(history))}
        due = {s for s in open_steps(life.run, life.run.drawn) if s not in life.run.flow.loops}
        assert {s for s in due if life.run.step(s).status not in SETTLED} <= told
