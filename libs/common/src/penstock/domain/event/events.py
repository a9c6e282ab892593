"""What can have happened to a tenant's event. Stored for ever."""

from penstock.domain.message import Message
from penstock.domain.payload import Payload


class EventEmitted(Message, frozen=True, kw_only=True):
    """A step of a run has told something to the tenant's world; nothing follows in its history.

    event_type: what triggers match, such as `order.paid`. source: who says so. data: any JSON.
    run_id, step_id: of the step. emitted_at: milliseconds since the epoch, UTC.
    """

    event_id: str
    event_type: str
    source: str
    data: Payload
    run_id: str = ""
    step_id: str = ""
    emitted_at: int = 0
