"""What can have happened at a gate. Names and shapes are stored for ever.

A gate's id says what it is for: a workflow as a whole, or those of its runs that share a key.
Moments are milliseconds since the epoch, UTC.
"""

from msgspec import Struct

from penstock.domain.message import Message
from penstock.domain.payload import Payload
from penstock.domain.workflow.model import Strategy


class Event(Message, frozen=True, kw_only=True):
    """The shape that all events of a gate share."""


class Rule(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a gate allows; None is no limit.

    most: runs behind the gate at once. per_minute: runs let through in any minute.
    """

    most: int | None = None
    per_minute: int | None = None
    strategy: Strategy = Strategy.QUEUE


class GateUse(Struct, frozen=True, kw_only=True, rename="camel"):
    """A gate that a run passes before it starts. label: what it is about, for people."""

    gate_id: str
    rule: Rule
    label: str = ""


class GateRuled(Event, frozen=True, kw_only=True):
    """From here on `rule` holds."""

    rule: Rule


class SlotQueued(Event, frozen=True, kw_only=True):
    """The run stands in line."""

    run_id: str
    priority: int = 0


class SlotGranted(Event, frozen=True, kw_only=True):
    """The run is let through."""

    run_id: str
    granted_at: int


class SlotRefused(Event, frozen=True, kw_only=True):
    """The run is turned away, because of `holder`, which has the slot or took its place in line.

    holder: empty where the rate is what it failed at.
    """

    run_id: str
    holder: str


class HolderDisplaced(Event, frozen=True, kw_only=True):
    """The run that has the slot is told to end, because `by` is to have it."""

    run_id: str
    by: str


class SlotReleased(Event, frozen=True, kw_only=True):
    """The run is not behind the gate any more, nor in line, nor will it ask again."""

    run_id: str


class GateSnapshotTaken(Event, frozen=True, kw_only=True):
    """The gate as it stands here (`penstock.domain.gate.snapshot`): a fold may begin with it.

    carried: what came before it has left the log.
    """

    state: Payload
    carried: bool = False


GateEvent = (
    GateRuled
    | SlotQueued
    | SlotGranted
    | SlotRefused
    | HolderDisplaced
    | SlotReleased
    | GateSnapshotTaken
)
