"""Which payloads an event holds, and what run state keeps of them.

A payload's place in the log is `<position>/<member>`; the members are `input`, `output` and
`details` (of an error).
"""

from typing import TypeVar

from msgspec.structs import replace

from penstock.domain import payload as payloads
from penstock.domain.payload import AT_REST_MAX_BYTES, Payload
from penstock.domain.run.events import (
    RunEvent,
    RunStarted,
    RunSucceeded,
    StepFailed,
    StepRetryScheduled,
    StepSucceeded,
    StepTimedOut,
    StepWaiting,
)

E = TypeVar("E", bound=RunEvent)


def at_rest(event: E, position: str) -> E:
    """The event as run state keeps it: a large payload becomes the place where it is."""
    match event:
        case RunStarted() | StepWaiting() | StepSucceeded() | RunSucceeded():
            return rested(event, position)
        case StepFailed() | StepTimedOut() | StepRetryScheduled():
            details = event.error.details
            if details is not None:
                kept = payloads.at_rest(details, f"{position}/details")
                event = replace(event, error=replace(event.error, details=kept))
            return rested(event, position)
        case _:
            return event


def rested(event: E, position: str) -> E:
    """The event with its `input` and `output`, where it has them, at rest."""
    changes = {}
    for member in ("input", "output"):
        held: Payload | None = getattr(event, member, None)
        if held is not None and held.inline:
            changes[member] = payloads.at_rest(held, f"{position}/{member}")
    return replace(event, **changes) if changes else event


def payload_at(event: RunEvent, member: str) -> Payload | None:
    """The payload that `event` holds as `member`; None where it has none."""
    match member:
        case "input" | "output":
            held: Payload | None = getattr(event, member, None)
            return held
        case "details":
            error = getattr(event, "error", None)
            return getattr(error, "details", None)
        case _:
            return None


def names_its_place(event: RunEvent) -> bool:
    """Whether what state keeps of the event depends on its position: a payload is too large."""
    held = (payload_at(event, member) for member in ("input", "output", "details"))
    return any(payload and payload.inline and payload.size > AT_REST_MAX_BYTES for payload in held)
