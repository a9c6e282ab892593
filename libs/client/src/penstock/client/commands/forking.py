"""`penstock runs retry`, `fork` and `retry-all`: new runs from old ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

from penstock.client.commands.applying import placed
from penstock.client.commands.failure import WrongUse
from penstock.client.commands.running import input_of, watch
from penstock.client.commands.session import Session
from penstock.client.definition_file import DefinitionFile, read
from penstock.client.errors import Invalid
from penstock.client.models import ForkedRun, ForkPlan

REQUESTS_MAX: Final = 1000
"""Of one command, 500 runs each."""


class Asked(NamedTuple):
    """What a fork is to be. value: another input, UNSET for the same; file: another definition."""

    from_step: str | None
    at: str | None
    value: Any
    file: Path | None


def asked_by(
    *,
    from_step: str | None,
    at: str | None,
    pairs: Sequence[str],
    input_text: str | None,
    file: Path | None,
) -> Asked:
    """What the options ask for. Raises WrongUse for two places, or an input that makes no sense."""
    if from_step is not None and at is not None:
        raise WrongUse("give the place by --from-step or by --at, not by both")
    return Asked(from_step, at, input_of(list(pairs or ()), input_text), file)


def retry(session: Session, run_id: str, *, dry_run: bool, wait: bool) -> int:
    """A run that did not succeed, from what failed on."""
    runs = session.client.runs
    if dry_run:
        return tell_plan(session, runs.plan_retry(run_id))
    return tell_begun(session, runs.retry(run_id), wait=wait)


def fork(session: Session, run_id: str, asked: Asked, *, dry_run: bool, wait: bool) -> int:
    """A run from a step or a place on, with what is to be different in it.

    Raises DefinitionRefused with all faults of the file.
    """
    file = None if asked.file is None else read(asked.file)
    wanted = {
        "from_step": asked.from_step,
        "at": asked.at,
        "input": asked.value,
        "definition": None if file is None else file.document,
    }
    runs = session.client.runs
    try:
        if dry_run:
            return tell_plan(session, runs.plan_fork(run_id, **wanted))
        begun = runs.fork(run_id, **wanted)
    except Invalid as error:
        raise named(file, error) from None
    return tell_begun(session, begun, wait=wait)


def named(file: DefinitionFile | None, error: Invalid) -> Exception:
    """The error with the places of its faults, where they are in the file."""
    faults = [problem.pointer for problem in error.problems]
    if file is None or not all(pointer.startswith("/definition") for pointer in faults):
        return error
    return placed(file, error)


def tell_plan(session: Session, plan: ForkPlan) -> int:
    """What a new run would keep, and what it would do again."""
    if session.as_json:
        session.answer(plan)
        return 0
    origin = plan.forked_from
    session.say(f"a new run would go on from run {origin.run_id} at {origin.position}")
    session.say(f"keeps           {listed(plan.kept)}")
    session.say(f"runs again      {listed(plan.runs_again)}")
    if plan.goes_on:
        session.say(f"goes on         {listed(plan.goes_on)}")
    repeats = listed(plan.repeats_effects)
    session.say(f"repeats effects {repeats}", style="yellow" if plan.repeats_effects else None)
    return 0


def listed(steps: tuple[str, ...]) -> str:
    """Steps by their ids."""
    return ", ".join(steps) or "nothing"


def tell_begun(session: Session, begun: ForkedRun, *, wait: bool) -> int:
    """The new run, and how to see it; with `wait` its exit code."""
    if session.as_json:
        if wait:
            return watch(session, begun.id)
        session.answer(begun)
        return 0
    origin = begun.forked_from
    session.say(f"run {begun.id} goes on from run {origin.run_id} at {origin.position}")
    if wait:
        return watch(session, begun.id)
    session.say(f"see it with: penstock runs watch {begun.id}", style="dim")
    return 0


def retry_all(session: Session, **filters: str | None) -> int:
    """Every run that matches, however many requests it takes, none of them twice."""
    key, cursor = uuid4().hex, None
    matched = skipped = 0
    for _ in range(REQUESTS_MAX):
        told = session.client.runs.retry_all(cursor=cursor, idempotency_key=key, **filters)
        matched += told.matched
        skipped += told.skipped or 0
        cursor = told.next_cursor
        if cursor is None:
            break
    if session.as_json:
        session.answer({"matched": matched, "skipped": skipped})
    else:
        session.say(f"{matched} run{'' if matched == 1 else 's'} retried, {skipped} skipped")
    return 0
