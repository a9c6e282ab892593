"""`penstock runs pause`, `resume`, `signal`, `approve` and `reject`."""

from penstock.client.commands.running import parsed_input
from penstock.client.commands.session import Session


def pause(session: Session, run_id: str, *, reason: str | None) -> int:
    """Nothing new starts in the run from now on."""
    session.client.runs.pause(run_id, reason=reason)
    return tell(session, run_id, "paused")


def resume(session: Session, run_id: str) -> int:
    """The run goes on."""
    session.client.runs.resume(run_id)
    return tell(session, run_id, "resumed")


def signal(session: Session, run_id: str, name: str, payload: str | None) -> int:
    """The run hears a signal. Raises WrongUse for a payload that is not JSON."""
    value = None if payload is None else parsed_input(payload)
    session.client.runs.signal(run_id, name, value)
    return tell(session, run_id, "signalled", signal=name)


def approve(session: Session, run_id: str, step_id: str, *, comment: str | None) -> int:
    """What a step asks for is approved."""
    session.client.runs.approve(run_id, step_id, comment=comment)
    return tell(session, run_id, "approved", stepId=step_id)


def reject(session: Session, run_id: str, step_id: str, *, comment: str | None) -> int:
    """What a step asks for is rejected."""
    session.client.runs.reject(run_id, step_id, comment=comment)
    return tell(session, run_id, "rejected", stepId=step_id)


def tell(session: Session, run_id: str, done: str, **about: str) -> int:
    """Say what was done."""
    if session.as_json:
        session.answer({"runId": run_id, **about, done: True})
    else:
        what = "".join(f", {value}" for value in about.values())
        session.say(f"run {run_id}{what}: {done}")
    return 0
