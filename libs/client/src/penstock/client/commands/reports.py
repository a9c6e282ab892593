"""`penstock runs …` and `penstock events`: what there is to know of runs."""

import json
from typing import Any, Final

import msgspec
from rich.table import Column, Table
from rich.text import Text

from penstock.client.commands.running import TONES, tell_result
from penstock.client.commands.session import Session
from penstock.client.models import Event, Run, Step
from penstock.client.pages import LIMIT_MAX
from penstock.client.progress import shown_ms
from penstock.client.runs import events, steps

MOMENT: Final = "%Y-%m-%d %H:%M:%S"
ID_WIDTH: Final = 36
DATA_CHARACTERS_MAX: Final = 160


def list_runs(session: Session, *, limit: int, **filters: str | None) -> int:
    """`penstock runs list`: the newest runs."""
    page = session.client.runs.list(limit=min(limit, LIMIT_MAX), **filters)
    if session.as_json:
        session.answer(page)
        return 0
    table = Table(
        Column("run", no_wrap=True, min_width=ID_WIDTH),
        "workflow",
        "status",
        "started",
        "took",
        "steps",
        box=None,
    )
    for run in page.items:
        table.add_row(*row(run))
    session.say(table if page.items else "no runs")
    if page.next_cursor is not None:
        session.say(f"there are more; --limit shows up to {LIMIT_MAX}", style="dim")
    return 0


def row(run: Run) -> list[Text]:
    """A run in a table."""
    progress = run.progress
    settled = progress.succeeded + progress.failed + progress.skipped
    cells = [
        run.id,
        f"{run.workflow_name} v{run.version}",
        run.status.replace("_", " "),
        "" if run.created_at is None else run.created_at.astimezone().strftime(MOMENT),
        "" if run.duration_ms is None else shown_ms(run.duration_ms),
        f"{settled}/{progress.total if progress.total is not None else '?'}",
    ]
    styles = ["", "", TONES.get(run.status, "yellow"), "dim", "", ""]
    return [Text(cell, style=style) for cell, style in zip(cells, styles, strict=True)]


def get_run(session: Session, run_id: str) -> int:
    """`penstock runs get`: one run with all its steps."""
    run = session.client.runs.get(run_id)
    if len(run.steps) < (run.progress.total or 0):
        run = msgspec.structs.replace(run, steps=tuple(session.client.pages(steps(run_id))))
    return tell_run(session, run)


def get_state(session: Session, run_id: str, *, at: str | None) -> int:
    """`penstock runs state`: one run with its first steps, as it stood."""
    return tell_run(session, session.client.runs.state(run_id, at=at))


def tell_run(session: Session, run: Run) -> int:
    """A run with the steps that it has."""
    if session.as_json:
        session.answer(run)
        return 0
    table = Table("step", "type", "status", "attempt", "took", "", box=None)
    for step in run.steps:
        table.add_row(*step_row(step))
    session.say(f"{run.workflow_name} version {run.version}")
    session.say(table)
    tell_result(session, run)
    return 0


def step_row(step: Step) -> list[Text]:
    """A step in a table."""
    note = "" if step.error is None else f"{step.error.code}: {step.error.message}"
    cells = [
        step.id,
        step.type or "",
        step.status.replace("_", " "),
        str(step.attempt or ""),
        "" if step.duration_ms is None else shown_ms(step.duration_ms),
        note or (step.branch or ""),
    ]
    return [Text(cell) for cell in cells]


def list_events(session: Session, run_id: str, *, follow: bool) -> int:
    """`penstock events`: a run's history, one event a line; with `follow` until the run ends."""
    client = session.client
    told = client.runs.stream(run_id) if follow else client.pages(events(run_id))
    for event in told:
        if session.as_json:
            session.answer(event)
        else:
            session.say(event_line(event))
    return 0


def event_line(event: Event) -> Text:
    """One event as a line: position, moment, type, step, and what it says."""
    return Text.assemble(
        (f"{event.position:>10}  ", "dim"),
        (event.at.astimezone().strftime("%H:%M:%S.%f")[:-3], "dim"),
        f"  {event.type:<20}",
        (f"{event.data.get('stepId') or '':<20} ", "cyan"),
        (told_data(event.data), "dim"),
    )


def told_data(data: dict[str, Any]) -> str:
    """What an event says besides its step, short enough for a line."""
    rest = {name: value for name, value in data.items() if name not in {"stepId", "nodeId"}}
    text = json.dumps(rest, ensure_ascii=False) if rest else ""
    return text if len(text) <= DATA_CHARACTERS_MAX else text[: DATA_CHARACTERS_MAX - 1] + "…"
