"""."""

from tests.patterns.pattern import no, partly, yes
from tests.patterns.story import Act, Story, signal

EXAMINED = ("eyes", "heart", "ears")
WAITING = "mail.waiting call.waiting patience.waiting"

STATES = (
    yes(
        16,
        "Deferred choice",
        "waits before a join with `cancelOthers`, then a `switch`",
        Story(
            {"patienceMs": 600_000},
            (
                "signal.call call.done picked.ready which.done call_back.ready run.succeeded",
                "call.done mail.cancelled",
                "call.done patience.cancelled",
            ),
            acts=(signal("call", after=WAITING, payload="ring"),),
            never="answer.ready remind.ready",
        ),
        Story(
            {"patienceMs": 700},
            (
                "patience.done picked.ready which.done remind.ready run.succeeded",
                "patience.done mail.cancelled",
                "patience.done call.cancelled",
            ),
            never="answer.ready call_back.ready",
        ),
    ),
    yes(
        17,
        "Interleaved parallel routing",
        "a `sub_workflow` for each step, of a workflow with a `concurrency` key",
        Story(
            None,
            (
                "weigh/examine.waiting scan/run.queued weigh/run.succeeded scan/run.started",
                "scan/run.started scan/run.succeeded dose/run.started",
                "weigh/run.succeeded dose/run.queued scan/run.succeeded",
                "dose/examine.done dose/run.succeeded after.ready",
            ),
            acts=(
                signal("scan", after="weigh/examine.waiting"),
                signal("done", after="scan/run.queued", to="weigh"),
                signal("done", after="scan/examine.waiting dose/run.queued", to="scan"),
                signal("done", after="dose/examine.waiting", to="dose"),
            ),
        ),
        Story(
            None,
            (
                "weigh/run.succeeded dose/run.started dose/examine.waiting scan/run.queued",
                "scan/run.queued dose/examine.done dose/run.succeeded scan/run.started",
                "scan/examine.done scan/run.succeeded after.ready",
            ),
            acts=(
                signal("done", after="weigh/examine.waiting", to="weigh"),
                signal("scan", after="dose/examine.waiting"),
                signal("done", after="scan/run.queued", to="dose"),
                signal("done", after="scan/examine.waiting", to="scan"),
            ),
        ),
        parts=("part-of-17-one-at-a-time",),
    ),
    partly(
        18,
        "Milestone",
        "a deferred choice between the step and what ends the milestone",
        "Whoever draws the definition has to bring both to one join; that a state is there is no "
        "condition that a step anywhere could have.",
        Story(
            None,
            (
                "pay.done change.ready change.done which.done repack.ready",
                "change.done ship.cancelled",
            ),
            acts=(
                signal("paid", after="pay.waiting"),
                signal("change", after="change.waiting ship.waiting", payload="red"),
            ),
            never="track.ready",
        ),
        Story(
            None,
            ("pay.done ship.ready ship.done which.done track.ready", "ship.done change.cancelled"),
            acts=(
                signal("paid", after="pay.waiting"),
                signal("shipped", after="change.waiting ship.waiting"),
            ),
            never="repack.ready change.done",
        ),
    ),
    yes(
        39,
        "Critical section",
        "the sections as branches of a workflow with a `concurrency` key, run by `sub_workflow`",
        Story(
            None,
            (
                "booking/book.waiting payment/run.queued booking/book.done booking/note.done",
                "booking/note.done booking/run.succeeded payment/run.started payment/pay.waiting",
                "payment/pay.done payment/receipt.done payment/run.succeeded after.ready",
            ),
            acts=(
                signal("due", after="booking/book.waiting"),
                signal("booked", after="payment/run.queued", to="booking"),
                signal("paid", after="payment/pay.waiting", to="payment"),
            ),
        ),
        parts=("part-of-39-sections",),
    ),
    yes(
        40,
        "Interleaved routing",
        "a sequential `loop` over the steps' names, with a `switch` in its body",
        Story(
            {"order": EXAMINED},
            (
                (
                    "each.0.eyes.ready each.0.eyes.done each.1.heart.ready each.1.heart.done "
                    "each.2.ears.ready each.2.ears.done after.ready"
                ),
            ),
            never="each.0.heart.ready each.1.eyes.ready",
        ),
        Story(
            {"order": EXAMINED[::-1]},
            ("each.0.ears.done each.1.heart.ready each.1.heart.done each.2.eyes.ready",),
        ),
    ),
)

REPEATED = (
    yes(
        21,
        "Structured loop",
        "`loop` with `while`, which is asked before each round",
        Story(
            {"times": 2},
            (
                (
                    "tested.0.work.done tested.1.work.ready tested.1.work.done tested.done "
                    "repeated.0.work.done repeated.1.work.ready repeated.1.work.done after.ready"
                ),
            ),
            never="tested.2.work.ready repeated.2.work.ready",
        ),
        Story(
            {"times": 0},
            ("tested.done repeated.0.work.ready repeated.0.work.done repeated.done after.ready",),
            never="tested.0.work.ready repeated.1.work.ready",
        ),
    ),
    yes(
        22,
        "Recursion",
        "`sub_workflow` with the workflow itself, 16 deep",
        Story(
            {"n": 5},
            (
                "more.done again.ready again/again/again/again/more.done again/times.done",
                "again/times.done again.done times.ready times.done run.succeeded",
            ),
            output=120,
        ),
        Story({"n": 1}, ("more.done run.succeeded",), never="again.ready", output=1),
    ),
)

CANCELLED = (
    yes(
        19,
        "Cancel task",
        "a join with `cancelOthers`, and a wait for what cancels",
        Story(
            None,
            (
                "search.waiting signal.stop stop.done search.cancelled run.succeeded",
                "stop.done after.ready after.done",
            ),
            acts=(signal("stop", after="search.waiting stop.waiting"),),
            never="search.done",
        ),
    ),
    yes(
        20,
        "Cancel case",
        "cancelling the run; or a failure that nothing handles",
        Story(
            None,
            (
                "run.cancel_requested survey.cancelled run.cancelled",
                "run.cancel_requested credit.cancelled run.cancelled",
                "run.cancel_requested grant.skipped run.cancelled",
            ),
            acts=(Act("survey.waiting credit.waiting", "cancel"),),
            never="grant.ready",
            status="cancelled",
        ),
    ),
    partly(
        25,
        "Cancel region",
        "a join with `cancelOthers`: all that leads nowhere else is the region",
        "The steps need not hang together, but none of them may lead out of the region to anything "
        "but that join.",
        Story(
            None,
            (
                "stop.done lend.cancelled report.done",
                "stop.done collect.skipped report.done",
                "stop.done each.0.ask.cancelled each.1.ask.cancelled each.cancelled report.done",
                "closed.done signal.reported report.done run.succeeded",
            ),
            acts=(
                signal(
                    "stop",
                    after="lend.waiting stop.waiting report.waiting "
                    "each.0.ask.waiting each.1.ask.waiting",
                ),
                signal("reported", after="closed.done"),
            ),
            never="collect.ready",
        ),
    ),
)

TRIGGERED = (
    no(
        23,
        "Transient trigger",
        "A signal that comes before its step is kept for it, so that none is lost to a race "
        "between the run and whoever signals.",
        Story(
            None,
            ("signal.alarm before.done hear.ready hear.done run.succeeded",),
            acts=(
                signal("alarm", after="before.waiting"),
                signal("begin", after="signal.alarm"),
            ),
        ),
    ),
    yes(
        24,
        "Persistent trigger",
        "`wait_for_signal`",
        Story(
            None,
            ("signal.paid before.done hear.ready hear.done run.succeeded",),
            acts=(signal("paid", after="before.waiting"), signal("begin", after="signal.paid")),
        ),
        Story(
            None,
            ("before.done hear.ready hear.waiting signal.paid hear.done run.succeeded",),
            acts=(signal("begin", after="before.waiting"), signal("paid", after="hear.waiting")),
        ),
    ),
)

PATTERNS = (*STATES, *REPEATED, *CANCELLED, *TRIGGERED)
