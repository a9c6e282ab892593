"""`penstock explain`: why a run is where it is, and where its time went."""

from datetime import datetime
from typing import Final

from rich.table import Column, Table
from rich.text import Text

from penstock.client.commands.running import TONES
from penstock.client.commands.session import Session
from penstock.client.models import ENDED, CauseTotal, Explanation, Span, Wait
from penstock.client.progress import local_time, shown_ms

WAITS_MAX: Final = 50
"""Waits that are shown to people; `--json` has all that there are."""
SPANS_MAX: Final = 40
"""Parts of the timeline that are shown, the longest ones."""
BAR_WIDTH: Final = 24
EIGHTHS: Final = " ▏▎▍▌▋▊▉"
FULL: Final = "█"
DEPENDENCY: Final = "dependency"
DAY_S: Final = 24 * 60 * 60
WORKING: Final = frozenset({"running", "delivery", "executor", "decision", "acceptance"})
"""Causes of a run that gets on; all others are waits."""


def explain(session: Session, run_id: str) -> int:
    """One run, first what each part of it waits for, then where the time went."""
    told = session.client.runs.explain(run_id)
    if session.as_json:
        session.answer(told)
        return 0
    status = Text(told.status.replace("_", " "), style=TONES.get(told.status, "yellow"))
    session.say(Text.assemble(f"run {told.run_id} ", status))
    tell_waits(session, told)
    if told.is_whole:
        tell_totals(session, told)
        tell_timeline(session, told)
    else:
        session.say(f"\nIts history is too long to tell where {shown_ms(told.total_ms)} went.")
    return 0


def tell_waits(session: Session, told: Explanation) -> None:
    """What is going on; steps whose turn has not come stand last."""
    heading(session, "What it waits for")
    if not told.waits:
        session.say("nothing" if told.status not in ENDED else "nothing: it has ended")
        return
    table = Table(
        Column("step", no_wrap=True), "cause", "since", "until", "", box=None, padding=(0, 2, 0, 0)
    )
    waits = sorted(told.waits, key=lambda wait: wait.cause == DEPENDENCY)
    for wait in waits[:WAITS_MAX]:
        table.add_row(*wait_row(wait, told.end))
    session.say(table)
    if len(waits) > WAITS_MAX:
        session.say(f"and {len(waits) - WAITS_MAX} more; --json tells all", style="dim")


def wait_row(wait: Wait, now: datetime) -> list[Text]:
    """One wait in a table."""
    return [
        Text(wait.step_id or "the run"),
        Text(wait.cause, style=tone(wait.cause)),
        Text(since(wait.since, now), style="dim"),
        Text("" if wait.until is None else clock(wait.until, now)),
        Text(wait.detail),
    ]


def since(moment: datetime | None, now: datetime) -> str:
    """When something began and how long ago that is."""
    if moment is None:
        return ""
    return f"{clock(moment, now)} ({shown_ms((now - moment).total_seconds() * 1000)})"


def clock(moment: datetime, now: datetime) -> str:
    """The time of day here, with the date where that is not plain."""
    if abs((moment - now).total_seconds()) < DAY_S:
        return local_time(moment)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def tell_totals(session: Session, told: Explanation) -> None:
    """How much of the time each cause took."""
    heading(session, f"Where {shown_ms(told.total_ms)} went")
    table = Table("cause", "", "", Column("", justify="right"), box=None, show_header=False)
    for total in told.totals:
        table.add_row(*total_row(total, told.total_ms))
    session.say(table)


def total_row(total: CauseTotal, whole_ms: int) -> list[Text]:
    """One cause in a table, with a bar."""
    share = total.ms / whole_ms if whole_ms else 0.0
    return [
        Text(total.cause),
        Text(f"{bar(share):<{BAR_WIDTH}}", style=tone(total.cause)),
        Text(f"{share:>6.1%}"),
        Text(shown_ms(total.ms)),
    ]


def bar(share: float) -> str:
    """A share of 1 as a bar, to an eighth of a character."""
    whole, part = divmod(round(share * BAR_WIDTH * 8), 8)
    return FULL * whole + (EIGHTHS[part] if part else "")


def tell_timeline(session: Session, told: Explanation) -> None:
    """One part behind the other; of many the longest."""
    heading(session, "One thing after the other")
    longest = sorted(told.timeline, key=lambda span: span.ms, reverse=True)[:SPANS_MAX]
    table = Table(box=None, show_header=False)
    for span in sorted(longest, key=lambda span: span.begin):
        table.add_row(*span_row(span, told))
    session.say(table)
    left = len(told.timeline) - len(longest)
    if left:
        session.say(f"{left} shorter parts are left out; --json tells them", style="dim")


def span_row(span: Span, told: Explanation) -> list[Text]:
    """A part of the timeline in a table."""
    return [
        Text(clock(span.begin, told.end), style="dim"),
        Text(span.cause, style=tone(span.cause)),
        Text(shown_ms(span.ms)),
    ]


def heading(session: Session, text: str) -> None:
    """A line that says what follows."""
    session.say("")
    session.say(text, style="bold")


def tone(cause: str) -> str:
    """Green for work, yellow for a wait."""
    return "green" if cause in WORKING else "yellow"
