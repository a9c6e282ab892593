"""Patterns of multiple instances: one step, or one part of a workflow, many times in one run."""

from tests.patterns.pattern import no, partly, yes
from tests.patterns.story import Refusal, Story, signal


def each(what: str, count: int) -> str:
    """The word `what`, a step and what happened to it, for each of so many iterations."""
    return " ".join(f"each.{number}.{what}" for number in range(count))


def through(step: str, name: str, count: int, *, then: str) -> Story:
    """A run with so many instances at once, each ended by a signal, and then what is behind."""
    at_once = each(f"{step}.waiting", count)
    chains = tuple(
        f"each.{last}.{step}.waiting each.{n}.{step}.done {then}"
        for n in range(count)
        for last in range(count)
    )
    acts = tuple(signal(name, after=at_once) for _ in range(count))
    return Story({"reviewers": ["r"] * count}, chains or (f"each.done {then}",), acts=acts)


PATTERNS = (
    yes(
        12,
        "Multiple instances without synchronization",
        "a parallel `loop` with no node behind it",
        Story(
            None,
            tuple(f"next.done each.{n}.notice.done each.done run.succeeded" for n in range(3)),
            acts=tuple(
                signal("sent", after=f"next.done {each('notice.waiting', 3)}") for _ in range(3)
            ),
        ),
    ),
    yes(
        13,
        "Multiple instances with a priori design-time knowledge",
        "a parallel `loop` over items that are written down",
        through("sign", "signed", 3, then="each.done after.ready"),
    ),
    yes(
        14,
        "Multiple instances with a priori run-time knowledge",
        "a parallel `loop` over items from a template",
        through("review", "reviewed", 2, then="each.done after.ready"),
        through("review", "reviewed", 5, then="each.done after.ready"),
        through("review", "reviewed", 0, then="after.ready after.done"),
    ),
    partly(
        15,
        "Multiple instances without a priori run-time knowledge",
        "a `while` loop",
        "Its iterations come one after the other: to a loop whose iterations run at once none can "
        "be added.",
        Story(
            None,
            (
                (
                    "each.0.hear.done each.1.hear.ready each.1.hear.done each.2.hear.ready "
                    "each.2.hear.done each.done after.ready"
                ),
            ),
            acts=(
                signal("heard", after="each.0.hear.waiting", payload={"another": True}),
                signal("heard", after="each.1.hear.waiting", payload={"another": True}),
                signal("heard", after="each.2.hear.waiting", payload={"another": False}),
            ),
            never="each.3.hear.ready",
        ),
    ),
    yes(
        26,
        "Cancel multiple instance activity",
        "a `loop` before a join with `cancelOthers`",
        Story(
            None,
            (
                "each.0.test.done signal.stop stop.done each.1.test.cancelled each.cancelled",
                "stop.done each.2.test.cancelled each.cancelled run.succeeded",
                "stop.done over.ready over.done",
                "stop.done publish.skipped run.succeeded",
            ),
            acts=(
                signal("tested", after=each("test.waiting", 3)),
                signal("stop", after="each.0.test.done stop.waiting"),
            ),
            never="publish.ready each.0.test.cancelled each.done",
        ),
    ),
    yes(
        27,
        "Complete multiple instance activity",
        "a `loop` before a join with `cancelOthers`; what instances came to is in the run, not in "
        "`nodes.<loop>.output`",
        Story(
            None,
            (
                "each.0.ask.done signal.enough enough.done each.1.ask.cancelled each.cancelled",
                "enough.done each.2.ask.cancelled each.cancelled run.succeeded",
                "enough.done count.ready count.done run.succeeded",
            ),
            acts=(
                signal("asked", after=each("ask.waiting", 3)),
                signal("enough", after="each.0.ask.done enough.waiting"),
            ),
            never="each.0.ask.cancelled each.done",
        ),
    ),
    no(
        34,
        "Static partial join for multiple instances",
        "What stands behind a loop waits for all of its iterations: its output is theirs. Where "
        "the instances are written down as nodes, `{atLeast: n}` joins them.",
        Story(
            None,
            tuple(f"each.{n}.vote.done each.done after.ready" for n in range(3)),
            acts=(
                signal("voted", after=each("vote.waiting", 3)),
                signal("voted", after="each.0.vote.done"),
                signal("voted", after="each.1.vote.done"),
            ),
        ),
    ),
    no(
        35,
        "Cancelling partial join for multiple instances",
        "A join counts edges, not iterations. Where the instances are written down as nodes, "
        "`{atLeast: n, cancelOthers: true}` joins them.",
        Refusal("BAD_JOIN"),
    ),
    no(
        36,
        "Dynamic partial join for multiple instances",
        "A `while` loop asks after each iteration whether there have been enough, but has one at a "
        "time; iterations that run at once are not counted before all have ended.",
        Story(
            None,
            ("each.0.vote.done each.1.vote.ready each.1.vote.done each.done after.ready",),
            acts=(
                signal("voted", after="each.0.vote.waiting", payload={"enough": False}),
                signal("voted", after="each.1.vote.waiting", payload={"enough": True}),
            ),
            never="each.2.vote.ready",
        ),
    ),
)
