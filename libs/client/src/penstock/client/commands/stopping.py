"""`penstock runs cancel` and `cancel-all`: one run, or every one that matches."""

from typing import Final

from penstock.client.commands.running import watch
from penstock.client.commands.session import Session

REQUESTS_MAX: Final = 1000
"""Of one command, 10,000 runs each."""


def cancel_one(session: Session, run_id: str, *, reason: str | None, wait: bool) -> int:
    """One run."""
    session.client.runs.cancel(run_id, reason=reason)
    if wait:
        watch(session, run_id)
    elif session.as_json:
        session.answer({"runId": run_id, "cancelRequested": True})
    else:
        session.say(f"run {run_id} is asked to stop")
    return 0


def cancel_all(session: Session, *, reason: str | None, **filters: str | None) -> int:
    """Every run that matches, however many requests it takes."""
    matched = 0
    for _ in range(REQUESTS_MAX):
        told = session.client.runs.cancel_all(reason=reason, **filters)
        matched += told.matched
        if not told.more:
            break
    if session.as_json:
        session.answer({"matched": matched})
    else:
        session.say(f"{matched} run{'' if matched == 1 else 's'} asked to stop")
    return 0
