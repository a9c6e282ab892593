"""What a scheduler keeps an eye on between decisions; each case was a forgotten run once."""

from typing import Any

from msgspec.structs import replace

from penstock.domain.gate.events import GateUse, Rule
from penstock.domain.payload import NULL
from penstock.domain.run.commands import (
    AdmitRun,
    DecideApproval,
    EndChild,
    PauseRun,
    ResumeRun,
    RunCommand,
    SignalRun,
    SuspendStep,
    TurnAway,
)
from penstock.domain.run.events import Verdict, WaitKind
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition, Node
from penstock.infra.eventlog.transact import Outcome
from penstock.scheduler.watch import Attempt, RunKey, Watch
from tests.unit.domain.run.story import (
    AT,
    Story,
    begin,
    complete,
    drawing,
    fail,
    lost,
    start,
    suspend,
)

KEY = RunKey("acme", "r-1")


class Watched:
    """A run whose decisions one scheduler watches, as messages 1, 2, … of a log."""

    def __init__(self, *edges: str) -> None:
        self.story = Story(drawing(*edges))
        self.watch = Watch(lambda key: self.is_held)
        self.is_held = True
        self.seq = 0

    def when(self, *commands: RunCommand, unseen: bool = False) -> list[tuple[str, int]]:
        """The attempts that are watched after a decision that was seen, or not; sorted."""
        before, heard = self.seq, len(self.story.history)
        self.story.when(*commands)
        events = self.story.history[heard:]
        self.seq = before + bool(events)
        if not unseen:
            placed = [(f"{self.seq}.{i}", event) for i, event in enumerate(events)]
            seen = Outcome(self.story.run, self.seq, placed, [], len(commands), before)
            self.watch.follow(KEY, seen, 0.0)
        return sorted((a.step_id, a.attempt) for a in self.watch.attempts)


def test_a_dispatched_attempt_is_watched_until_its_outcome() -> None:
    watched = Watched("a>b")
    assert watched.when(start()) == [("a", 1)]
    assert watched.when(complete("a")) == [("b", 1)]
    assert watched.when(complete("b")) == []
    assert watched.watch.runs == {}


def test_an_attempt_that_runs_for_a_while_is_still_watched() -> None:
    watched = Watched("a>b")
    watched.when(start())
    assert watched.when(begin("a")) == [("a", 1)]


def test_a_late_result_of_an_attempt_given_up_leaves_the_present_one_watched() -> None:
    watched = Watched("a")
    watched.when(start())
    assert watched.when(lost("a")) == [("a", 2)]
    assert watched.when(complete("a", attempt=1)) == [("a", 2)]


def test_what_others_have_decided_is_taken_in_with_the_next_decision() -> None:
    watched = Watched("a>b", "c")
    watched.when(start())
    watched.when(complete("a"), unseen=True)
    assert watched.when(begin("c")) == [("b", 1), ("c", 1)]


def test_an_empty_decision_shows_what_others_have_settled() -> None:
    watched = Watched("a!b", "c")
    watched.when(start())
    watched.when(fail("a"), unseen=True)
    assert watched.when(fail("a")) == [("b", 1), ("c", 1)]


def test_a_run_of_a_partition_that_was_lost_is_not_watched() -> None:
    watched = Watched("a")
    watched.is_held = False
    assert watched.when(start()) == []
    assert watched.watch.runs == {}
    assert Attempt(KEY, "a", 1) not in watched.watch.attempts


# --- waits ---------------------------------------------------------------------------------------


def waits(step_id: str, kind: WaitKind, **members: Any) -> SuspendStep:
    """The report that a step waits, without a time limit."""
    return replace(suspend(step_id), kind=kind, until=0, output=None, **members)


def unowned(watched: Watched) -> int:
    """How many runs nobody owes a move, as far as the clock says."""
    return watched.watch.unowned(AT - 1)


def test_a_child_run_owns_the_wait_for_it_and_is_asked_for_after_a_while() -> None:
    watched = Watched("a")
    watched.when(start())
    assert watched.when(waits("a", WaitKind.CHILD, workflow_id="w")) == []
    assert unowned(watched) == 0
    watch = watched.watch
    assert watch.silent(before=-1.0, now=1.0, most=10) == []
    assert watch.silent(before=0.0, now=5.0, most=10) == [Attempt(KEY, "a", 1)]
    assert watch.silent(before=4.0, now=6.0, most=10) == []


def test_a_child_that_is_looked_after_here_is_not_asked_for() -> None:
    watched = Watched("a")
    watched.when(start())
    watched.when(waits("a", WaitKind.CHILD, workflow_id="w"))
    (child,) = watched.watch.children.values()
    other = Story(drawing("x"))
    other.when(start())
    watched.watch.begin(child.run, other.run, 9, 0.0)
    assert watched.watch.silent(before=0.0, now=5.0, most=10) == []


def test_a_child_is_asked_for_no_more_when_its_step_has_its_last_word() -> None:
    watched = Watched("a>b")
    watched.when(start())
    watched.when(waits("a", WaitKind.CHILD, workflow_id="w"))
    wait = watched.story.run.step("a").wait
    assert wait is not None
    ended = EndChild(step_id="a", attempt=1, child_id=wait.child_id)
    assert watched.when(ended) == [("b", 1)]
    assert watched.watch.children == {}


def test_the_children_of_a_run_that_is_taken_over_are_known() -> None:
    watched = Watched("a", "b")
    watched.when(start(), unseen=True)
    watched.when(waits("a", WaitKind.CHILD, workflow_id="w"), unseen=True)
    assert watched.when(waits("b", WaitKind.SIGNAL, name="s")) == []
    assert list(watched.watch.children) == [Attempt(KEY, "a", 1)]
    watched.watch.forget(KEY)
    assert watched.watch.children == {}


def test_somebody_owns_the_wait_for_a_signal_but_not_what_comes_after_it() -> None:
    watched = Watched("a>b")
    watched.when(start())
    watched.when(waits("a", WaitKind.SIGNAL, name="s"))
    assert unowned(watched) == 0
    said = SignalRun(name="s", signal_id="1", payload=NULL)
    assert watched.when(said) == [("b", 1)]
    assert watched.watch.runs[KEY].waits == set()


def test_a_decision_that_comes_early_leaves_the_attempt_with_whom_it_is() -> None:
    watched = Watched("a")
    watched.story = Story(approval())
    watched.when(start())
    early = DecideApproval(step_id="a", decision=Verdict.APPROVE, output=NULL)
    assert watched.when(early) == [("a", 1)]


def test_a_paused_run_has_an_owner_until_it_is_resumed() -> None:
    watched = Watched("a>b")
    watched.when(start(), PauseRun())
    assert watched.when(complete("a")) == []
    assert unowned(watched) == 0
    assert watched.when(ResumeRun()) == [("b", 1)]


def approval() -> Graph:
    """A graph of one approval, `a`."""
    return Graph.of(Definition(name="asks", nodes=(Node(id="a", type="approval"),), edges=()))


def test_a_queued_run_belongs_to_its_gate_and_asks_it_again_after_a_while() -> None:
    gate = GateUse(gate_id="g-1", rule=Rule(most=1))
    watched = Watched("a>b")
    watched.when(replace(start(), gates=(gate,)))
    assert unowned(watched) == 0
    watch = watched.watch
    assert watch.unheard(before=-1.0, now=1.0, most=10) == []
    assert watch.unheard(before=0.0, now=5.0, most=10) == [(KEY, "g-1")]
    assert watch.unheard(before=4.0, now=6.0, most=10) == []
    assert watched.when(AdmitRun(gate_id="g-1")) == [("a", 1)]
    assert not watch.queued
    assert unowned(watched) == 0


def test_a_queued_run_that_was_turned_away_is_let_go_of() -> None:
    gate = GateUse(gate_id="g-1", rule=Rule(most=1))
    watched = Watched("a>b")
    watched.when(replace(start(), gates=(gate,)), TurnAway(gate_id="g-1", holder="r-0"))
    assert not watched.watch.runs
    assert not watched.watch.queued
