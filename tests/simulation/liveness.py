"""L1 and L2: once there is peace, every run goes on to its end, and nothing is left over."""

from penstock.domain.run.events import WaitKind
from penstock.domain.run.state import TimerKind
from penstock.infra.nats.streams import COMMANDS, REPORTS, TIMERS, WORK
from tests.simulation.broker import Broker
from tests.simulation.cast import Cast
from tests.simulation.history import is_open
from tests.simulation.oracle import Oracle, Told
from tests.simulation.world import EPOCH_MS, World

FORGOTTEN_S = 30.0
"""A lost hint is mended within so long; a run in which nothing happens for longer is forgotten."""

TIDY_S = 30.0
"""After its last run a world has so long to settle what was delivered to processes now dead."""


class Liveness:
    """Looks once a second whether anybody has been forgotten."""

    def __init__(self, world: World, broker: Broker, oracle: Oracle, cast: Cast) -> None:
        self._world = world
        self._broker = broker
        self._oracle = oracle
        self._cast = cast
        self._moved: dict[str, float] = {}
        self._peace_at = 0.0
        self._over_at: float | None = None

    def begin(self) -> None:
        """There is peace from here on."""
        self._peace_at = self._world.loop.now

    def look(self) -> None:
        """Object where a run has had nobody who moves it for too long."""
        now = self._world.loop.now
        busy = {
            run_id
            for _, executor in self._cast.executors.values()
            for run_id in executor.hands.busy_with
            if executor.process.alive
        }
        live = [(r, told) for r, told in self._oracle.runs.items() if is_live(told)]
        for run_id, told in live:
            if run_id in busy or self._waits(told) or self._depends(told):
                self._moved[run_id] = now
            moved = max(told.last_at, self._peace_at, self._moved.get(run_id, 0.0))
            if now - moved > FORGOTTEN_S:
                self._world.object_to("L2", f"run {run_id} is forgotten: {open_ends(told)}")
        if live or self._asked():
            self._over_at = None
        elif self._over_at is None:
            self._over_at = now

    def is_over(self) -> bool:
        """Whether all has ended and what was delivered is settled."""
        if self._over_at is None:
            return False
        waited = self._world.loop.now - self._over_at
        behind = self._left() or self._watched() or self._is_behind()
        return (waited > 1.0 and not behind) or waited >= TIDY_S

    def check_rest(self) -> None:
        """Nothing is unacknowledged, nothing was given up, nobody is watched that has ended."""
        if left := self._left():
            self._world.object_to("L1", f"never settled: {left}")
        if self._broker.dead:
            dead = self._broker.dead[0]
            self._world.object_to(
                "S1", f"a dead letter: {dead.subject} {dead.headers} {dead.body!r}"
            )
        if watched := self._watched():
            self._world.object_to("L2", f"still watched: {watched}")

    def _asked(self) -> bool:
        return bool(self._broker.messages[COMMANDS])

    def _left(self) -> list[str]:
        """Messages that nobody has acknowledged."""
        streams = (COMMANDS, REPORTS, WORK, TIMERS)
        return [f"{s} {m.subject}" for s in streams for m in self._broker.messages[s].values()]

    def _watched(self) -> list[str]:
        """Runs that schedulers look after; none of them is live any more.

        One that waits for somebody's word nobody looks at: another scheduler, which had the
        partition before, may have ended it with the last letter that it had in hand.
        """
        return [
            f"{run.run_id} by {process.name}"
            for process, scheduler in self._cast.schedulers.values()
            for run, watched in scheduler._watch.runs.items()
            if process.alive and not (watched.is_paused or watched.waits)
        ]

    def _is_behind(self) -> bool:
        """Whether the read models have yet to catch up."""
        tables = self._cast._network.tables
        return tables.checkpoint < len(self._broker.events)

    def _waits(self, told: Told) -> bool:
        """Whether the run waits for a moment that is yet to come."""
        now_ms = EPOCH_MS + self._world.loop.now * 1000
        timers = told.state.timers.values()
        limits = {TimerKind.DEADLINE, TimerKind.QUEUE}
        return any(t.due_at > now_ms and t.kind not in limits for t in timers)

    def _depends(self, told: Told) -> bool:
        """Whether somebody else is about to say a word: a client, a child, whoever has a place."""
        tale, runs = told.tale, self._oracle.runs
        if tale.started is None:
            gate = told.state.gate
            found = None if gate is None else self._oracle.gates.get(gate.gate_id)
            if found is None or not found.holds_back(self._world.true_ms()):
                return False
            lately = found.rule.most is None or len(found.holders) < found.rule.most
            return lately or any(r in runs and is_live(runs[r]) for r in found.holders)
        children = [step.child for _, step in tale.waiting_for(WaitKind.CHILD)]
        return bool(tale.awaited()) or any(c in runs and is_live(runs[c]) for c in children)


def is_live(told: Told) -> bool:
    """Whether the run has begun, or waits for its start, and has not ended."""
    return told.state.start is not None and not told.tale.end


def open_ends(told: Told) -> str:
    """What the run waits for."""
    tale = told.tale
    steps = {s: f"{t.status}#{t.attempt}" for s, t in tale.tales.items() if is_open(t)}
    gate = "" if tale.started is not None else f"; at the gate {told.state.gate}"
    return f"{steps}; nobody began {[s for s in tale.open_ones() if s not in steps]}{gate}"
