"""What may be asked of a gate. Every command may come twice, late, or never."""

from penstock.domain.gate.events import Rule
from penstock.domain.message import Message


class Command(Message, frozen=True, kw_only=True):
    """The shape that all commands to a gate share."""


class AcquireSlot(Command, frozen=True, kw_only=True):
    """Let the run through as soon as `rule` allows it; of several the one of highest priority.

    above: runs that wait for this one.
    """

    run_id: str
    rule: Rule
    priority: int = 0
    above: tuple[str, ...] = ()


class ReleaseSlot(Command, frozen=True, kw_only=True):
    """The run has ended, or does not want to pass any more."""

    run_id: str


class OpenGate(Command, frozen=True, kw_only=True):
    """Some time has passed: let through whom the rate allows by now."""


GateCommand = AcquireSlot | ReleaseSlot | OpenGate
