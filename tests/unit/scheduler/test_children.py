"""What is said about a child run, before anybody sends it."""

from msgspec.structs import replace

from penstock.domain.payload import NULL, of_value
from penstock.domain.run.commands import CancelRun
from penstock.domain.run.events import Parent, WaitKind
from penstock.domain.run.reports import child_id
from penstock.scheduler.aside import is_report
from penstock.scheduler.children import (
    NOT_STARTED,
    error_of,
    not_started,
    ordered,
    output_of,
    request_hash,
)
from penstock.scheduler.watch import RunKey
from tests.unit.domain.run.story import RUN, Story, complete, drawing, fail, start, suspend

KEY = RunKey("acme", RUN)


def waiting(parent: Parent | None = None, **members: object) -> Story:
    """A run whose step `a` waits for a child."""
    story = Story(drawing("a"))
    rest = replace(suspend("a"), kind=WaitKind.CHILD, until=0, output=None, workflow_id="inner")
    story.when(replace(start(), priority=7, parent=parent), replace(rest, **members))
    return story


def test_an_order_says_who_waits_and_how_deep_the_child_is() -> None:
    order = ordered(KEY, waiting().run, "a")
    assert order.parent == Parent(
        run_id=RUN, step_id="a", attempt=1, depth=1, root=RUN, workflows=("w",), above=(RUN,)
    )
    assert order.wait.child_id == child_id(RUN, "a", 1)
    assert (order.priority, order.input) == (7, NULL)


def test_an_order_of_a_child_names_all_that_is_above_it() -> None:
    above = Parent(run_id="p", step_id="s", attempt=1, depth=2, root="r", workflows=("u", "v"))
    order = ordered(KEY, waiting(parent=above).run, "a")
    assert (order.parent.depth, order.parent.root) == (3, "r")
    assert order.parent.workflows == ("u", "v", "w")


def test_the_same_order_has_the_same_hash_and_another_one_another() -> None:
    hashes = [
        request_hash(ordered(KEY, waiting(**members).run, "a"))
        for members in ({}, {}, {"version": 2}, {"workflow_id": "x"}, {"input": of_value(1)})
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4


def test_a_child_that_cannot_be_is_a_failure_that_says_why() -> None:
    story = waiting()
    story.when(not_started(ordered(KEY, story.run, "a"), "there is no workflow"))
    error = story.run.step("a").error
    assert error is not None
    assert (error.code, error.message) == (NOT_STARTED, "there is no workflow")


def test_a_child_says_what_its_one_sink_said() -> None:
    story = Story(drawing("a>b"))
    story.when(start(), complete("a"), complete("b"))
    assert output_of(story.run) == of_value("b")


def test_a_child_whose_sink_was_skipped_says_nothing() -> None:
    story = Story(drawing("a!b"))
    story.when(start(), complete("a"))
    assert output_of(story.run) == NULL


def test_a_childs_end_is_told_as_the_failure_of_a_step() -> None:
    story = Story(drawing("a"))
    story.when(start(), fail("a"))
    error = error_of(story.run)
    assert error.code == "CHILD_FAILED"
    assert RUN in error.message
    assert error.details is not None
    other = Story(drawing("a"))
    other.when(start(), suspend("a"), CancelRun(reason="enough"))
    assert error_of(other.run).code == "CHILD_CANCELLED"


def test_a_childs_end_is_no_executors_report() -> None:
    story = waiting()
    assert not is_report(not_started(ordered(KEY, story.run, "a"), "why"))
    assert is_report(complete("a"))
