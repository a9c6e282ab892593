"""How many steps the executors of a queue are given at once, as they show how fast they are."""

from msgspec import Struct

from penstock.scheduler.fairness import Turns
from penstock.scheduler.keys import RunKey

WINDOW_MIN = 64
"""What a queue is given that nobody is known to serve: executors are made where work waits."""

WINDOW_MAX = 2_048
"""Above this, a step that has its turn would wait behind too many others."""

DRAIN_S = 0.1
"""What executors finish in so long may wait in front of them: it bridges the way to here."""

RATE_S = 0.1
"""How long steps are counted to know how many are finished in a second."""


class Window(Struct, eq=False):
    """What is out of one queue, and who waits for it. Moments are seconds, monotonic.

    size: how many steps may be out. out: how many are. reserved: how many more the decisions that
    are under way, or granted, may bring out. granted: to runs that have not made use of it yet.
    capacity: what its executors run at once, our share of it. rate: steps finished in a second;
    finished: since a moment.
    """

    turns: Turns[RunKey]
    size: int
    out: int = 0
    reserved: int = 0
    granted: dict[RunKey, int] = {}
    capacity: float = 0.0
    rate: float = 0.0
    finished: int = 0
    since: float = 0.0

    @property
    def free(self) -> int:
        """How many more steps may go out; none through a window that is shut."""
        return self.size - self.out - self.reserved if self.size else 0

    def finish(self, now: float) -> None:
        """One step less is out; now and then that tells how fast they are."""
        self.out -= 1
        self.finished += 1
        passed = now - self.since
        if passed >= RATE_S:
            self.rate = (self.rate + self.finished / passed) / 2
            self.finished, self.since = 0, now
            self.adapt()

    def adapt(self) -> None:
        """Set the size by what is known of the executors; a window that is shut stays shut."""
        if self.size:
            wanted = self.capacity + self.rate * DRAIN_S
            self.size = int(max(WINDOW_MIN, min(WINDOW_MAX, wanted)))
