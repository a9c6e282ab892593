"""Whose steps are next where executors have less room than is asked for: turns, as a plain value.

Tenants take turns in proportion to their weights (deficit round robin, counted in steps). Within a
tenant the claim of the highest rank comes first, and the oldest of equals. Waiting raises a rank
as fast for everybody, so that which of two claims is ahead never changes while they wait: a heap
holds them. A tenant that has no room of its own is passed over, and its line set aside until
somebody says that it has. Nothing here reads a clock, and the same calls in the same order lead to
the same turns.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator, Set
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct

QUANTUM = 8
"""Steps of a turn of a tenant of weight 1: few, so that the next one's turn comes soon."""

AGEING_S = 5.0
"""Waiting for so long counts as much as one more of priority."""

SPARE = 64
"""Claims that were withdrawn and are still in a heap, above which it is made anew."""

R = TypeVar("R", bound=Hashable)


def even(_tenant: str) -> int:
    """Every tenant weighs the same."""
    return 1


def ample(_tenant: str) -> int:
    """Room for whatever a tenant asks."""
    return 2**31


class Claim(Struct, Generic[R], eq=False):
    """A run of a tenant that waits for room for some steps; for none where it was withdrawn."""

    tenant: str
    run: R
    steps: int


class Place(NamedTuple, Generic[R]):
    """Where a claim stands in its tenant's line: the lower, the sooner."""

    rank: float
    number: int
    claim: Claim[R]


class Line(Struct, Generic[R], eq=False):
    """The claims of one tenant.

    open: how many of them have not been withdrawn. steps: of all of them. left: steps that its
    present turn has left, 0 between its turns.
    """

    places: list[Place[R]]
    open: int = 0
    steps: int = 0
    left: int = 0


class Turns(Generic[R]):
    """The claims on the executors of one queue.

    weight: of a tenant, 1 or more. room: how many steps of a tenant may be given now, whoever asks.
    """

    def __init__(
        self, weight: Callable[[str], int] = even, room: Callable[[str], int] = ample
    ) -> None:
        self._weight = weight
        self._room = room
        self._claims: dict[R, Claim[R]] = {}
        self._lines: OrderedDict[str, Line[R]] = OrderedDict()
        self._aside: dict[str, Line[R]] = {}
        self._numbers = count()

    def __len__(self) -> int:
        """How many claims may have their turn: those of tenants that are set aside do not."""
        if not self._aside:
            return len(self._claims)
        return len(self._claims) - sum(line.open for line in self._aside.values())

    def __contains__(self, run: R) -> bool:
        return run in self._claims

    @property
    def steps(self) -> int:
        """How many steps wait."""
        return sum(line.steps for _, line in self._all())

    @property
    def aside(self) -> Set[str]:
        """The tenants that are passed over."""
        return self._aside.keys()

    def waiting(self) -> Iterator[tuple[str, int]]:
        """Each tenant that waits, with for how many steps."""
        return ((tenant, line.steps) for tenant, line in self._all())

    def before(self, tenant: str, run: R) -> int:
        """How many claims of others a run must not overtake: those of its tenant among them."""
        own = self._aside.get(tenant)
        if own is None:
            return len(self) - (run in self._claims)
        return len(self) + own.open - (run in self._claims)

    def wake(self, tenant: str) -> None:
        """A tenant that was passed over may have its turn again, after all others."""
        line = self._aside.pop(tenant, None)
        if line is not None:
            self._lines[tenant] = line

    def _all(self) -> Iterator[tuple[str, Line[R]]]:
        yield from self._lines.items()
        yield from self._aside.items()

    def _line(self, tenant: str) -> Line[R] | None:
        return self._lines.get(tenant) or self._aside.get(tenant)

    def claim(self, tenant: str, run: R, steps: int, *, priority: int, at: float) -> None:
        """A run waits for room for `steps`, 1 or more; one that waits already keeps its place.

        at: a moment, in seconds of whatever clock.
        """
        claim = self._claims.get(run)
        line = self._line(tenant)
        if line is None:
            line = self._lines[tenant] = Line([])
        if claim is not None:
            line.steps += steps - claim.steps
            claim.steps = steps
            return
        claim = self._claims[run] = Claim(tenant, run, steps)
        line.open += 1
        line.steps += steps
        heappush(line.places, Place(at - priority * AGEING_S, next(self._numbers), claim))

    def withdraw(self, run: R) -> None:
        """A run does not wait any more."""
        claim = self._claims.pop(run, None)
        if claim is None:
            return
        line = self._line(claim.tenant)
        assert line is not None, "whoever has a claim stands in a line"
        line.open -= 1
        line.steps -= claim.steps
        claim.steps = 0
        if not line.open:
            self._lines.pop(claim.tenant, None)
            self._aside.pop(claim.tenant, None)
        elif len(line.places) > 2 * line.open + SPARE:
            line.places = [place for place in line.places if place.claim.steps]
            heapify(line.places)

    def grants(self, room: int, spare: int = 0) -> dict[R, int]:
        """Gives `room` steps away, as far as there are claims: how many each run may go on with.

        spare: steps beyond the room by which the last claim is met whole where one tenant waits
        alone: a run that goes on twice costs more than one that goes on once.
        """
        granted: dict[R, int] = {}
        taken: Counter[str] = Counter()
        while room > 0 and self._lines:
            tenant, line = next(iter(self._lines.items()))
            own = self._room(tenant) - taken[tenant]
            if own <= 0:
                line.left = 0
                self._aside[tenant] = self._lines.pop(tenant)
                continue
            if not line.left:
                line.left = QUANTUM * max(1, self._weight(tenant))
            claim = first(line)
            if len(self._lines) > 1:
                steps = min(room, line.left, claim.steps)
            else:
                steps = claim.steps if claim.steps <= room + spare else room
            steps = min(steps, own)
            granted[claim.run] = granted.get(claim.run, 0) + steps
            taken[tenant] += steps
            room -= steps
            line.left = max(0, line.left - steps)
            line.steps -= steps
            claim.steps -= steps
            if not line.left:
                self._lines.move_to_end(tenant)
            if not claim.steps:
                self.withdraw(claim.run)
        return granted


def first(line: Line[R]) -> Claim[R]:
    """The claim that is next in a line that has one."""
    while not line.places[0].claim.steps:
        heappop(line.places)
    return line.places[0].claim
