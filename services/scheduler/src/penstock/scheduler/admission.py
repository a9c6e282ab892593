"""Who is given room at the executors when there is less of it than runs ask for.

A decision dispatches what is ready as long as nobody waits and the window of the queue has room: as
much as its executors run at once, and what they finish in a moment on top of it. So the queue in
front of them stays short, and whose turn it is gets decided here, as late as can be. A run that
does not get all it asks for is enlisted; when reports make room, those whose turn it is get a
letter that lets them go on. A tenant may have a ceiling of its own, over all queues; one that has
come to it is passed over. All of this is found anew from the runs themselves after a restart.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from penstock.domain.run.consequences import demand
from penstock.domain.run.state import Run
from penstock.infra.nats.streams import DEFAULT_QUEUE
from penstock.infra.telemetry import metrics
from penstock.messages.load import Steps
from penstock.scheduler import windows
from penstock.scheduler.ceilings import Ceilings, Terms
from penstock.scheduler.fairness import Turns
from penstock.scheduler.keys import RunKey
from penstock.scheduler.windows import Window

WORTH = 8
"""Room of this part of a window is given away at once."""

GROWS_S = 0.005
"""How long less room than that may grow, where executors still have something to do."""


class Place(NamedTuple):
    """Where a run waits; until: number of the first of its steps that became ready later."""

    queue: str
    until: int


def nobody(_key: RunKey) -> None:
    """Tell nobody."""


class Admission:
    """The windows of all queues, and the runs that wait for one of them.

    queues: those that the installation has. go_on: has a run decide anew, for it has been granted
    room. terms: what is known of tenants. Moments are seconds of the monotonic clock.
    """

    def __init__(
        self,
        queues: Iterable[str] = (DEFAULT_QUEUE,),
        go_on: Callable[[RunKey], None] = nobody,
        terms: Terms | None = None,
    ) -> None:
        self._go_on = go_on
        self._terms = terms or Terms()
        self._ceilings = Ceilings(self._terms)
        self._windows = {name: Window(self._turns(), windows.WINDOW_MIN) for name in queues}
        self._shut = Window(self._turns(), 0)
        self._aside: set[str] = set()
        self._places: dict[RunKey, Place] = {}
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, key: RunKey) -> bool:
        return key in self._places

    def window(self, queue: str) -> Window:
        """The window of a queue; all that the installation does not have share one that is shut."""
        return self._windows.get(queue, self._shut)

    def _turns(self) -> Turns[RunKey]:
        return Turns(self._terms.weight, self._ceilings.room)

    async def know(self, tenant: str) -> None:
        """Returns when it is known what a tenant may have."""
        await self._terms.know(tenant)

    def load(self) -> dict[str, Steps]:
        """How many steps are out, and how many wait, of each tenant that has any."""
        waiting: Counter[str] = Counter()
        for window in (*self._windows.values(), self._shut):
            waiting.update(dict(window.turns.waiting()))
        out = self._ceilings.out()
        return {
            tenant: Steps(out=out.get(tenant, 0), waiting=waiting[tenant])
            for tenant in out.keys() | waiting.keys()
        }

    # --- what becomes of steps -------------------------------------------------------------------

    def went_out(self, queue: str, tenant: str) -> None:
        """A step was dispatched."""
        self.window(queue).out += 1
        self._ceilings.went_out(tenant)

    def came_back(self, queue: str, tenant: str, now: float) -> None:
        """A step is not with the executors any more."""
        window = self.window(queue)
        window.finish(now)
        self._ceilings.came_back(tenant)
        if self._aside:
            self._rouse(tenant)
        self.offer(window)

    def lost_sight(self, queue: str, tenant: str) -> None:
        """A step that is out is not looked after here any more."""
        window = self.window(queue)
        window.out -= 1
        self._ceilings.came_back(tenant)
        if self._aside:
            self._rouse(tenant)
        self.offer(window)

    def reserve(self, queue: str, tenant: str, steps: int) -> None:
        """A decision may bring out so many more steps, or fewer where it is negative."""
        self.window(queue).reserved += steps
        self._ceilings.reserve(tenant, steps)
        if steps < 0 and self._aside:
            self._rouse(tenant)

    def room(self, queue: str, key: RunKey) -> int:
        """How many steps a run may bring out beside what it was granted: none before others."""
        window = self.window(queue)
        if window.free <= 0 or window.turns.before(key.tenant, key):
            return 0
        return max(0, min(window.free, self._ceilings.room(key.tenant)))

    def heard(self, capacity: Mapping[str, int], share: float) -> None:
        """How many steps executors run at once, by queue, and the share of it that is ours."""
        for queue, window in self._windows.items():
            window.capacity = capacity.get(queue, 0) * share
            window.adapt()
            metrics.scheduler_window_steps.labels(queue).set(window.size)
            metrics.scheduler_waiting_steps.labels(queue).set(window.turns.steps)
            self.offer(window)
        self._wake()

    # --- runs that wait --------------------------------------------------------------------------

    def follow(self, key: RunKey, run: Run, now: float) -> None:
        """Take in what a run waits for after a decision."""
        place = self._places.get(key)
        if place is None and run.waiting.head is None:
            return
        wanted = demand(run)
        if wanted is None:
            self._leave(key)
            return
        if place is not None and (place.queue != wanted.queue or wanted.since >= place.until):
            self._leave(key)
            place = None
        if place is None:
            self._places[key] = Place(wanted.queue, wanted.until)
        window = self.window(wanted.queue)
        steps = wanted.steps - window.granted.get(key, 0)
        if steps <= 0:
            window.turns.withdraw(key)
            return
        priority = 0 if run.started is None else run.started.priority
        window.turns.claim(key.tenant, key, steps, priority=priority, at=now)
        self.offer(window)

    def forget(self, key: RunKey) -> None:
        """A run has ended, or is not looked after here any more."""
        for queue, steps in list(self.taken(key)):
            self.reserve(queue, key.tenant, -steps)
        self._leave(key)

    def taken(self, key: RunKey) -> Iterator[tuple[str, int]]:
        """What a run has been granted and not made use of, by queue: it is the caller's now."""
        for queue, window in self._windows.items():
            steps = window.granted.pop(key, 0) if window.granted else 0
            if steps:
                yield queue, steps

    def _leave(self, key: RunKey) -> None:
        """The run waits no more where it did; what it was granted stays its own."""
        place = self._places.pop(key, None)
        if place is not None:
            self.window(place.queue).turns.withdraw(key)

    # --- turns -----------------------------------------------------------------------------------

    def offer(self, window: Window) -> None:
        """Give away soon what room a window has: at once where that is worth a decision.

        A decision costs the same for one step as for a hundred, so a little room may grow first.
        """
        if self._is_due or not window.turns or window.free <= 0:
            return
        loop = asyncio.get_running_loop()
        if window.free * WORTH >= window.size:
            self._is_due = True
            loop.call_soon(self.give)
        elif self._timer is None:
            self._timer = loop.call_later(GROWS_S, self.give)

    def _rouse(self, tenant: str) -> None:
        """A tenant that was passed over has a little room again: look soon how much."""
        if tenant in self._aside and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GROWS_S, self.give)

    def _wake(self) -> None:
        """Have the tenants take part again that were passed over, and have room by now."""
        for tenant in [each for each in self._aside if self._ceilings.room(each) > 0]:
            self._aside.discard(tenant)
            for window in self._windows.values():
                window.turns.wake(tenant)
                self.offer(window)

    def give(self) -> None:
        """Let those go on whose turn it is."""
        self._is_due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._aside:
            self._wake()
        for queue, window in self._windows.items():
            if not window.turns or window.free <= 0:
                continue
            for key, steps in window.turns.grants(window.free, window.size // WORTH).items():
                before = window.granted.get(key, 0)
                window.granted[key] = before + steps
                self.reserve(queue, key.tenant, steps)
                if not before:
                    self._go_on(key)
            if window.turns.aside:
                self._aside |= window.turns.aside
