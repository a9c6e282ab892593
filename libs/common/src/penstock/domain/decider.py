"""The shape that all aggregates share: how history moves a state, and what a command adds to it.

An aggregate is a `Decider` made of its own plain functions; `transact` is the only caller.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

C = TypeVar("C")
E = TypeVar("E")
S = TypeVar("S")
C_contra = TypeVar("C_contra", contravariant=True)
S_contra = TypeVar("S_contra", contravariant=True)


class Decide(Protocol[C_contra, S_contra, E]):
    """The events that `command` adds to the history behind `state`; [] if it took effect before.

    at: the moment of the decision, ms since the epoch. Raises Refused where it cannot be.
    """

    def __call__(self, command: C_contra, state: S_contra, /, *, at: int) -> list[E]:
        """Decides, and does nothing else."""


class Play(Protocol[C_contra, S, E]):
    """What `decide` answers, and `state` after those events."""

    def __call__(self, command: C_contra, state: S, /, *, at: int) -> tuple[list[E], S]:
        """Decides, and does nothing else."""


def unchanged(event: E, _position: str) -> E:
    """State keeps the event as it is."""
    return event


def always(_event: object) -> bool:
    """The careful answer."""
    return True


@dataclass(frozen=True, kw_only=True)
class Decider(Generic[C, E, S]):
    """An aggregate's rules.

    initial: the state of an empty history. evolve: the fold. at_rest: what state keeps of the
    event at a position `<stream sequence>.<index>`. names_its_place: whether that depends on the
    position (it does where a large payload becomes a reference); a fold can be spared where not.
    play: `decide` and the state after it at once, where deciding finds that state anyway.
    """

    initial: S
    evolve: Callable[[S, E], S]
    decide: Decide[C, S, E]
    at_rest: Callable[[E, str], E] = unchanged
    names_its_place: Callable[[E], bool] = always
    play: Play[C, S, E] | None = None
