"""The rule of a tenant's event: it happens once."""

from msgspec import Struct

from penstock.domain.decider import Decider
from penstock.domain.event.events import EventEmitted
from penstock.domain.payload import Payload


class EmitEvent(Struct, frozen=True, kw_only=True):
    """Put an event on record; its members are those of `EventEmitted`."""

    event_id: str
    event_type: str
    source: str
    data: Payload
    run_id: str = ""
    step_id: str = ""


def evolve(_emitted: EventEmitted | None, event: EventEmitted) -> EventEmitted:
    """The event as it stands: its history has one entry."""
    return event


def decide(command: EmitEvent, emitted: EventEmitted | None, /, *, at: int) -> list[EventEmitted]:
    """The one entry; nothing where it is there."""
    if emitted is not None:
        return []
    return [
        EventEmitted(
            event_id=command.event_id,
            event_type=command.event_type,
            source=command.source,
            data=command.data,
            run_id=command.run_id,
            step_id=command.step_id,
            emitted_at=at,
        )
    ]


EVENT: Decider[EmitEvent, EventEmitted, EventEmitted | None] = Decider(
    initial=None, evolve=evolve, decide=decide
)
