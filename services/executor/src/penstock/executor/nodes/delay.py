"""`delay`: the step rests, and holds no executor meanwhile."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput
from penstock.executor.outcome import Done, Outcome, Rest, StepFault

REST_MAX_MS = 366 * 24 * 3600 * 1000
"""A year."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def run(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Outcome:
    """The moment to wait for; a moment that has passed is not waited for."""
    until = _until(context, config)
    if until > context.started_at + REST_MAX_MS:
        member = "until" if config.get("durationMs") is None else "durationMs"
        raise StepFault("CONFIG_INVALID", f"{member}: a delay lasts a year at most")
    return Rest(until) if until > context.started_at else Done()


def _until(context: StepContext, config: Mapping[str, Any]) -> int:
    duration, until = config.get("durationMs"), config.get("until")
    if duration is not None:
        return context.started_at + _milliseconds("durationMs", duration)
    if isinstance(until, str):
        return _moment(until)
    if until is not None:
        return _milliseconds("until", until)
    raise StepFault("CONFIG_INVALID", "a delay needs durationMs or until")


def _milliseconds(member: str, value: object) -> int:
    """A number of milliseconds, also as text; `member` of the config says it."""
    try:
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            number = int(float(value))
            if number >= 0:
                return number
    except (OverflowError, ValueError):
        pass
    raise StepFault("CONFIG_INVALID", f"{member}: {value!r:.100} is no number of ms from 0 on")


def _moment(text: str) -> int:
    """An RFC 3339 moment as ms; one without an offset is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise StepFault("CONFIG_INVALID", f"until: {text!r:.100} is no RFC 3339 moment") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(milliseconds=1)
