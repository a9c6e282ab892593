"""Which payloads an event holds, and what run state keeps of them.

A payload's place in the log is `<position>/<member>`; the members are `input`, `output`, `items`
(of a loop), `payload` (of a signal), `vars` (of a run's start) and `details` (of an error).
"""

from typing import Final, TypeVar

from msgspec.structs import replace

from penstock.domain import payload as payloads
from penstock.domain.payload import AT_REST_MAX_BYTES, Payload
from penstock.domain.run.events import (
    ApprovalDecided,
    RunEvent,
    RunQueued,
    RunStarted,
    RunSucceeded,
    SignalReceived,
    StepFailed,
    StepRetryScheduled,
    StepSucceeded,
    StepTimedOut,
    StepWaiting,
)

E = TypeVar("E", bound=RunEvent)

PLAIN_MEMBERS: Final = ("input", "output", "items", "payload", "vars")
MEMBERS: Final = (*PLAIN_MEMBERS, "details")

BEARERS: Final[frozenset[type]] = frozenset(
    {
        ApprovalDecided,
        RunQueued,
        RunStarted,
        RunSucceeded,
        SignalReceived,
        StepFailed,
        StepRetryScheduled,
        StepSucceeded,
        StepTimedOut,
        StepWaiting,
    }
)
"""The events that can hold a payload; of a step's usual events that is one in three."""

HOLD: Final[dict[type, tuple[str, ...]]] = {
    bearer: tuple(
        member
        for member in MEMBERS
        if hasattr(
            RunStarted if bearer is RunQueued else bearer,
            "error" if member == "details" else member,
        )
    )
    for bearer in BEARERS
}
"""Which members each of them has."""


def at_rest(event: E, position: str) -> E:
    """The event as run state keeps it: a large payload becomes the place where it is."""
    if type(event) not in BEARERS:
        return event
    if isinstance(event, RunQueued):
        return replace(event, start=rested(event.start, position))
    if isinstance(event, StepFailed | StepTimedOut | StepRetryScheduled):
        details = event.error.details
        if details is not None:
            kept = payloads.at_rest(details, f"{position}/details")
            event = replace(event, error=replace(event.error, details=kept))
    return rested(event, position)


def rested(event: E, position: str) -> E:
    """The event with all payloads of its own at rest."""
    changes = {}
    for member in PLAIN_MEMBERS:
        held: Payload | None = getattr(event, member, None)
        if held is not None and held.inline:
            changes[member] = payloads.at_rest(held, f"{position}/{member}")
    return replace(event, **changes) if changes else event


def payload_at(event: RunEvent, member: str) -> Payload | None:
    """The payload that `event` holds as `member`; None where it has none."""
    match member:
        case "input" | "output" | "items" | "payload" | "vars":
            bearer = event.start if isinstance(event, RunQueued) else event
            held: Payload | None = getattr(bearer, member, None)
            return held
        case "details":
            error = getattr(event, "error", None)
            return getattr(error, "details", None)
        case _:
            return None


def payloads_of(event: RunEvent) -> list[tuple[str, Payload]]:
    """All payloads that `event` carries inline, each with the name of its member."""
    members = HOLD.get(type(event))
    if members is None:
        return []
    found = [(member, payload_at(event, member)) for member in members]
    return [(member, held) for member, held in found if held is not None and held.inline]


def names_its_place(event: RunEvent) -> bool:
    """Whether what state keeps of the event depends on its position: a payload is too large."""
    if type(event) not in BEARERS:
        return False
    return any(held.size > AT_REST_MAX_BYTES for _, held in payloads_of(event))
