"""`penstock run`, and whatever watches a run to its end."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from msgspec import UNSET
from rich.text import Text

from penstock.client.commands.applying import carried_out, is_file
from penstock.client.commands.failure import WrongUse
from penstock.client.commands.session import Session
from penstock.client.definition_file import read
from penstock.client.display import display_for
from penstock.client.models import Accepted, Event, Run, RunStatus
from penstock.client.options import FAILED
from penstock.client.progress import shown_ms

TONES: Final = {RunStatus.SUCCEEDED: "green", RunStatus.FAILED: "red"}


def run(session: Session, named: str, value: Any, *, wait: bool) -> int:
    """`penstock run`: start a file's workflow, or one that exists; the exit code."""
    key = named
    if is_file(named):
        file = read(Path(named))
        found, workflow = carried_out(session.client, file)
        key = workflow.key
        if not session.as_json:
            session.say(f"workflow {key}, version {workflow.version}, {found.change}")
    accepted = session.client.runs.start(key, value)
    if wait:
        return watch(session, accepted.run_id)
    tell_accepted(session, accepted)
    return 0


def tell_accepted(session: Session, accepted: Accepted) -> None:
    """What to do with a run that goes on by itself."""
    if session.as_json:
        session.answer(accepted)
        return
    session.say(f"run {accepted.run_id} {accepted.status}")
    session.say(f"see it with: penstock runs watch {accepted.run_id}", style="dim")


def watch(session: Session, run_id: str, *, events_as_json: bool = False) -> int:
    """Show a run until it ends, then its result; the exit code is whether it succeeded."""
    try:
        position = follow(session, run_id, events_as_json=events_as_json)
    except KeyboardInterrupt:
        if not session.as_json:
            session.say(f"run {run_id} goes on; penstock runs watch {run_id}", style="dim")
        raise
    run = session.client.runs.get(run_id, read_after=position)
    if not session.as_json:
        tell_result(session, run)
    elif not events_as_json:
        session.answer(run)
    return 0 if run.status is RunStatus.SUCCEEDED else FAILED


def follow(session: Session, run_id: str, *, events_as_json: bool) -> str | None:
    """Every event of a run as it comes; the position of the last."""
    position = None
    with ExitStack() as stack:
        show: Callable[[Event], None] = ignore
        if not session.as_json:
            run = session.client.runs.get(run_id)
            # What a fork has kept is in its total, and in none of its events.
            total = run.progress.total if run.forked_from is None else None
            show = stack.enter_context(display_for(session.console, total)).show
        elif events_as_json:
            show = session.answer
        for event in session.client.runs.stream(run_id):
            show(event)
            position = event.position
    return position


def ignore(_: Event) -> None:
    """Show nothing of an event."""


def tell_result(session: Session, run: Run) -> None:
    """How a run ended, and with what."""
    took = "" if run.duration_ms is None else f" in {shown_ms(run.duration_ms)}"
    progress = run.progress
    counts = f"{progress.succeeded} succeeded, {progress.failed} failed, {progress.skipped} skipped"
    status = Text(run.status.replace("_", " "), style=TONES.get(run.status, "yellow"))
    session.say(Text.assemble(f"run {run.id} ", status, f"{took}: {counts}"))
    if run.error is not None:
        where = f" (step {run.error.step_id})" if run.error.step_id else ""
        session.say(f"{run.error.code}: {run.error.message}{where}", style="red")
    if run.output is not None:
        session.say(json.dumps(run.output, indent=2, ensure_ascii=False))


def input_of(pairs: list[str], text: str | None) -> Any:
    """The run's input, from `-i k=v` (JSON if it parses, else a text) or `--input JSON`.

    `--input @FILE` reads a file, `--input -` standard input. UNSET without either.
    Raises WrongUse.
    """
    if pairs and text is not None:
        raise WrongUse("give the input by -i or by --input, not by both")
    if text is not None:
        return parsed_input(text)
    return dict(pair_of(pair) for pair in pairs) if pairs else UNSET


def parsed_input(text: str) -> Any:
    """The value of `--input`. Raises WrongUse."""
    try:
        if text == "-":
            return json.loads(Path("/dev/stdin").read_text(encoding="utf-8"))
        if text.startswith("@"):
            return json.loads(Path(text[1:]).read_text(encoding="utf-8"))
        return json.loads(text)
    except OSError as error:
        raise WrongUse(f"--input {text}: {error.strerror}") from None
    except ValueError as error:
        raise WrongUse(f"--input is not JSON: {error}") from None


def pair_of(pair: str) -> tuple[str, Any]:
    """`k=v` as a member of the input. Raises WrongUse."""
    name, equals, value = pair.partition("=")
    if not equals or not name:
        raise WrongUse(f"-i {pair}: write NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
