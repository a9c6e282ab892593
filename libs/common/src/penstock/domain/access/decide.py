"""The rules of acts: each is recorded once, however often its recorder says it.

One history belongs to one recorder, which numbers what it says.
"""

from msgspec import Struct

from penstock.domain.access.events import AccessEvent
from penstock.domain.decider import Decider


class RecordAct(Struct, frozen=True, kw_only=True):
    """Let the act stand in the history, unless it does already."""

    act: AccessEvent


def evolve(_last: int, event: AccessEvent) -> int:
    """The number of the last act."""
    return event.number


def decide(command: RecordAct, last: int, /, *, at: int) -> list[AccessEvent]:
    """The act, where it is a new one. at: now, which an act knows better."""
    return [command.act] if command.act.number > last else []


ACCESS: Decider[RecordAct, AccessEvent, int] = Decider(initial=0, evolve=evolve, decide=decide)
