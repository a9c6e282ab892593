"""A decision while it is being made: many commands, one after the other, on one state.

Pure: what is drafted becomes history only when the ledger has appended it.
"""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from penstock.domain.decider import Decider, Play, unchanged
from penstock.domain.errors import Refused
from penstock.infra.eventlog.cache import Held
from penstock.messages.envelope import Cause

EVENTS_MAX = 1000
"""Events of one decision."""
BYTES_MAX = 512 * 1024
"""Size of one decision, envelope included."""

C = TypeVar("C")
E = TypeVar("E")
S = TypeVar("S")


class Addressed(NamedTuple, Generic[C]):
    """A command and who sent it; `id` is what makes it the same command again."""

    command: C
    id: str
    actor: str
    correlation_id: str = ""
    traceparent: str = ""
    origin: str = ""


class Answer(NamedTuple):
    """What became of one command.

    position: of the last event it led to; where it took effect before, of the history's last
    event then (None in an empty history). refusal: why it was refused.
    """

    position: str | None = None
    refusal: Refused | None = None
    replayed: bool = False


class _Taken(NamedTuple, Generic[S]):
    """Where the draft stood after a command: counts of events and causes, and the state."""

    events: int
    causes: int
    state: S
    refusal: Refused | None


def untraced(_state: object) -> str:
    """No trace that the aggregate belongs to."""
    return ""


class Draft(Generic[C, E, S]):
    """Events that the first `taken` commands add to a held history at a moment (ms).

    trace_of: the traceparent of an aggregate, for commands that bring none. play: the decider's,
    or what takes its place.
    """

    def __init__(
        self,
        decider: Decider[C, E, S],
        held: Held[S],
        at: int,
        trace_of: Callable[[S], str] = untraced,
        play: Play[C, S, E] | None = None,
    ) -> None:
        self.held = held
        self.at = at
        self._play = play
        self._trace_of = trace_of
        self.events: list[E] = []
        self.causes: list[Cause] = []
        self._decider = decider
        self._taken: list[_Taken[S]] = []
        self._state = held.state
        self._settled = True

    @property
    def taken(self) -> int:
        """How many commands are in the draft."""
        return len(self._taken)

    def take(self, commands: Sequence[Addressed[C]]) -> None:
        """Decides the commands in turn, up to the first that does not fit into EVENTS_MAX."""
        for addressed in commands:
            refusal = None
            try:
                events, state = self._played(addressed.command)
            except Refused as refused:
                refusal, events, state = refused, [], self._state
            if self.events and len(self.events) + len(events) > EVENTS_MAX:
                return
            self._state = state
            self._record(events, addressed)
            self._taken.append(_Taken(len(self.events), len(self.causes), self._state, refusal))

    def halve(self) -> bool:
        """Keeps the first half of the commands; False when there is but one left."""
        keep = self.taken // 2
        if keep == 0:
            return False
        del self._taken[keep:]
        last = self._taken[-1]
        del self.events[last.events :]
        del self.causes[last.causes :]
        self._state = last.state
        return True

    def state_at(self, seq: int) -> S:
        """The state that the history's readers fold, once the draft is message `seq`."""
        if self._settled:
            return self._state
        state = self.held.state
        for index, event in enumerate(self.events):
            state = self._decider.evolve(state, self._decider.at_rest(event, f"{seq}.{index}"))
        return state

    def answers(self, seq: int) -> list[Answer]:
        """What became of each command taken, once the draft is message `seq`."""
        answers = []
        before = 0
        for taken in self._taken:
            last = f"{seq}.{taken.events - 1}" if taken.events else self.held.position
            replayed = taken.refusal is None and taken.events == before
            answers.append(
                Answer(refusal=taken.refusal) if taken.refusal else Answer(last, None, replayed)
            )
            before = taken.events
        return answers

    def _played(self, command: C) -> tuple[list[E], S]:
        """The events that a command adds, and the state that later commands are decided on.

        Where a payload has to become a reference the fold is done again after the append, when
        its position is known.
        """
        if self._play is not None:
            events, state = self._play(command, self._state, at=self.at)
            if any(map(self._decider.names_its_place, events)):
                self._settled = False
            return events, state
        events, state = self._decider.decide(command, self._state, at=self.at), self._state
        for event in events:
            state = self._decider.evolve(state, self._folded(event))
        return events, state

    def _record(self, events: Sequence[E], addressed: Addressed[C]) -> None:
        if events:
            self.events.extend(events)
            self.causes.append(
                Cause(
                    id=addressed.id,
                    actor=addressed.actor,
                    events=len(events),
                    correlation_id=addressed.correlation_id,
                    traceparent=addressed.traceparent or self._trace_of(self._state),
                    origin=addressed.origin,
                )
            )

    def _folded(self, event: E) -> E:
        """What later commands see of the event.

        Its position is not known before the append. Where what state keeps depends on it, later
        commands see the whole event, and the fold is done again afterwards.
        """
        if self._decider.at_rest is unchanged:
            return event
        if self._decider.names_its_place(event):
            self._settled = False
            return event
        return self._decider.at_rest(event, "")
