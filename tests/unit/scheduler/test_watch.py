"""What a scheduler keeps an eye on between decisions; each case was a forgotten run once."""

from penstock.domain.run.commands import RunCommand
from penstock.infra.eventlog.transact import Outcome
from penstock.scheduler.watch import Attempt, RunKey, Watch
from tests.unit.domain.run.story import Story, begin, complete, drawing, fail, lost, start

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
