"""Patterns of branches: how they part, and how they come together again."""

from tests.patterns.pattern import no, partly, yes
from tests.patterns.story import Refusal, Story, signal

THREE = "left.waiting middle.waiting right.waiting"

BASIC = (
    yes(
        1,
        "Sequence",
        "an edge",
        Story(None, ("first.ready first.done second.ready second.done third.ready run.succeeded",)),
    ),
    yes(
        2,
        "Parallel split",
        "several edges from one node",
        Story(
            None,
            (
                "split.done left.ready left.waiting right.done",
                "split.done right.ready right.waiting left.done",
            ),
            acts=(
                signal("left", after="left.waiting right.waiting"),
                signal("right", after="left.waiting right.waiting"),
            ),
        ),
    ),
    yes(
        3,
        "Synchronization",
        "`join: all`",
        Story(
            None,
            ("left.done signal.right right.done both.ready both.done run.succeeded",),
            acts=(
                signal("left", after="left.waiting right.waiting"),
                signal("right", after="left.done"),
            ),
        ),
    ),
    yes(
        4,
        "Exclusive choice",
        "`switch` or `condition` with `BRANCH` edges",
        Story(
            {"total": 1001},
            ("choose.done large.ready large.done", "choose.done small.skipped"),
            never="small.ready",
        ),
        Story(
            {"total": 1},
            ("choose.done small.ready small.done", "choose.done large.skipped"),
            never="large.ready",
        ),
    ),
    yes(
        5,
        "Simple merge",
        "`join: any` behind an exclusive choice",
        Story({"by": "card"}, ("card.done receipt.ready receipt.done",), never="cash.ready"),
        Story({"by": "cash"}, ("cash.done receipt.ready receipt.done",), never="card.ready"),
    ),
)

CLAIM = {"theft": True, "injury": True, "dispute": False}
NO_CLAIM = {"theft": False, "injury": False, "dispute": False}

CHOSEN = (
    yes(
        6,
        "Multi-choice",
        "`EXPRESSION` edges",
        Story(
            CLAIM,
            (
                "claim.done police.ready police.done",
                "claim.done doctor.ready doctor.done",
                "claim.done lawyer.skipped",
            ),
            never="lawyer.ready",
        ),
        Story(
            CLAIM | {"dispute": True},
            ("claim.done police.ready", "claim.done doctor.ready", "claim.done lawyer.ready"),
        ),
        Story(NO_CLAIM, ("claim.done run.succeeded",), never="police.ready doctor.ready"),
    ),
    yes(
        7,
        "Structured synchronizing merge",
        "`join: all`: what is skipped has settled",
        Story(
            CLAIM,
            (
                "police.done decide.ready decide.done",
                "doctor.done decide.ready",
                "lawyer.skipped decide.ready",
            ),
        ),
        Story(CLAIM | {"injury": False}, ("police.done decide.ready", "doctor.skipped")),
        Story(NO_CLAIM, ("decide.skipped run.succeeded",), never="decide.ready"),
    ),
    no(
        8,
        "Multi-merge",
        "A node runs once for each run or iteration: one id is one step, with one output. What is "
        "to run once for each branch is a `sub_workflow` in each of them, or a loop's body.",
        Story(
            None,
            ("left.done merge.ready merge.done signal.right right.done run.succeeded",),
            acts=(
                signal("left", after="left.waiting right.waiting"),
                signal("right", after="merge.done"),
            ),
            never="merge.ready#2 merge.done#2",
        ),
    ),
    yes(
        9,
        "Structured discriminator",
        "`join: any`; in a loop it begins anew with each iteration",
        Story(
            None,
            (
                "rounds.0.left.done rounds.0.first.ready rounds.0.after.done rounds.0.right.done",
                "rounds.0.right.done rounds.1.right.done rounds.1.first.ready rounds.1.left.done",
            ),
            acts=(
                signal("left", after="rounds.0.left.waiting rounds.0.right.waiting"),
                signal("right", after="rounds.0.after.done"),
                signal("right", after="rounds.1.left.waiting rounds.1.right.waiting"),
                signal("left", after="rounds.1.after.done"),
            ),
            never="rounds.0.first.ready#2 rounds.1.first.ready#2",
        ),
    ),
)

JOINED = (
    partly(
        28,
        "Blocking discriminator",
        "`join: any` in a sequential loop",
        "It is the round that is blocked, not the join: a branch that could go on already is not "
        "begun again before all of this round has settled.",
        Story(
            None,
            (
                "rounds.0.left.done rounds.0.first.done signal.left#2 rounds.0.right.done",
                "rounds.0.right.done rounds.1.left.ready rounds.1.left.done rounds.1.first.ready",
            ),
            acts=(
                signal("left", after="rounds.0.left.waiting rounds.0.right.waiting"),
                signal("left", after="rounds.0.first.done"),
                signal("right", after="signal.left#2"),
                signal("right", after="rounds.1.first.done"),
            ),
        ),
    ),
    yes(
        29,
        "Cancelling discriminator",
        "`join: {atLeast: 1, cancelOthers: true}`",
        Story(
            None,
            (
                "middle.done first.ready first.done run.succeeded",
                "middle.done left.cancelled run.succeeded",
                "middle.done right.cancelled run.succeeded",
            ),
            acts=(signal("middle", after=THREE),),
        ),
    ),
    yes(
        30,
        "Structured partial join",
        "`join: {atLeast: n}`",
        Story(
            None,
            ("left.done signal.right right.done two.ready two.done signal.middle middle.done",),
            acts=(
                signal("left", after=THREE),
                signal("right", after="left.done"),
                signal("middle", after="two.done"),
            ),
            never="two.ready#2",
        ),
    ),
    partly(
        31,
        "Blocking partial join",
        "`join: {atLeast: n}` in a sequential loop",
        "As with the blocking discriminator, it is the round that is blocked.",
        Story(
            None,
            (
                "rounds.0.left.done rounds.0.right.done rounds.0.two.done signal.left#2",
                "signal.left#2 rounds.0.middle.done rounds.1.left.ready rounds.1.left.done",
                "rounds.1.left.done rounds.1.right.done rounds.1.two.ready rounds.1.middle.done",
            ),
            acts=(
                signal("left", after="rounds.0.left.waiting rounds.0.right.waiting"),
                signal("right", after="rounds.0.left.done"),
                signal("left", after="rounds.0.two.done"),
                signal("middle", after="signal.left#2 rounds.0.middle.waiting"),
                signal("right", after="rounds.1.left.done"),
                signal("middle", after="rounds.1.two.done"),
            ),
        ),
    ),
    yes(
        32,
        "Cancelling partial join",
        "`join: {atLeast: n, cancelOthers: true}`",
        Story(
            None,
            (
                "left.done right.done two.ready two.done run.succeeded",
                "right.done middle.cancelled run.succeeded",
            ),
            acts=(signal("left", after=THREE), signal("right", after="left.done")),
        ),
    ),
    partly(
        33,
        "Generalized AND-join",
        "waits for signals before a join, in a loop",
        "Signals that come too early are kept for later rounds. Steps do not run ahead, so no "
        "other kind of branch can be there twice.",
        Story(
            None,
            (
                "signal.wheel signal.wheel#2 signal.frame pairs.0.mount.ready pairs.1.wheel.done",
                "pairs.1.wheel.done signal.frame#2 pairs.1.mount.ready run.succeeded",
            ),
            acts=(
                signal("wheel", after="pairs.0.wheel.waiting pairs.0.frame.waiting"),
                signal("wheel", after="pairs.0.wheel.done"),
                signal("frame", after="signal.wheel#2"),
                signal("frame", after="pairs.1.wheel.done"),
            ),
        ),
    ),
)

BOOK = {"pages": 20, "signed": False, "cover": True, "far": False}

MERGED = (
    yes(
        37,
        "Local synchronizing merge",
        "`join: all`, in any acyclic shape",
        Story(
            BOOK,
            (
                "cover.done bind.ready bind.done send.ready send.done",
                "print.done bind.ready",
                "sign.skipped send.ready",
            ),
        ),
        Story(
            {"pages": 5, "signed": True, "cover": False},
            ("bind.skipped send.ready", "cover.skipped send.ready", "sign.done send.ready"),
            never="bind.ready",
        ),
    ),
    partly(
        38,
        "General synchronizing merge",
        "`join: all`: what cannot come any more is skipped, from wherever that is decided",
        "There are no cycles from which a branch could come once more.",
        Story(
            {"far": False},
            (
                "travel.skipped stay.skipped answer.ready",
                "look.failed lost.ready",
                "look.failed answer.ready",
                "signal.read read.done answer.ready",
            ),
            acts=(signal("read", after="read.waiting stay.skipped look.failed"),),
        ),
        Story(
            {"far": True, "thing": 1},
            ("stay.done answer.ready", "look.done answer.ready", "read.done answer.ready"),
            acts=(signal("read", after="read.waiting stay.done look.done"),),
        ),
    ),
    yes(
        41,
        "Thread merge",
        "the end of a loop; a thread is an iteration",
        Story(
            {"threads": [1, 2, 3]},
            tuple(
                f"threads.{n}.check.done threads.{n}.stamp.done merged.ready merged.done"
                for n in range(3)
            ),
            acts=tuple(
                signal("checked", after="".join(f"threads.{n}.check.waiting " for n in range(3)))
                for _ in range(3)
            ),
            never="merged.ready#2",
        ),
    ),
    yes(
        42,
        "Thread split",
        "a parallel loop; a thread is an iteration",
        Story(
            {"threads": [1, 2]},
            (
                "split.done threads.0.check.waiting threads.0.check.done threads.0.stamp.done",
                "split.done threads.1.check.waiting threads.0.check.done threads.0.stamp.waiting",
                "threads.0.stamp.done threads.1.check.done threads.1.stamp.done run.succeeded",
            ),
            acts=(
                signal("checked", after="threads.0.check.waiting threads.1.check.waiting"),
                signal("stamped", after="threads.0.stamp.waiting"),
                signal("checked", after="threads.0.stamp.done"),
                signal("stamped", after="threads.1.stamp.waiting"),
            ),
        ),
    ),
)

ENDED = (
    no(
        10,
        "Arbitrary cycles",
        "A definition has no cycles: each step has one place in history, and what leads to it is "
        "known. A cycle with one way in and one way out is a `while` loop.",
        Refusal("CYCLE"),
    ),
    yes(
        11,
        "Implicit termination",
        "a run ends when every step has settled",
        Story(
            None,
            ("invoice.done file.done signal.parcel parcel.done run.succeeded",),
            acts=(
                signal("invoice", after="invoice.waiting parcel.waiting"),
                signal("parcel", after="file.done"),
            ),
        ),
    ),
    yes(
        43,
        "Explicit termination",
        "an end node with `join: {atLeast: 1, cancelOthers: true}`, to which all leads",
        Story(
            None,
            (
                "found.done end.ready end.done run.succeeded",
                "found.done search.cancelled run.succeeded",
                "found.done search_more.skipped run.succeeded",
            ),
            acts=(signal("found", after="found.waiting search.waiting"),),
            never="search_more.ready",
        ),
    ),
)

PATTERNS = (*BASIC, *CHOSEN, *JOINED, *MERGED, *ENDED)
