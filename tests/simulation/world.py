"""A world: its clock, its dice, its faults, what happened in it, and who objects."""

from collections import Counter
from collections.abc import Callable
from random import Random

from tests.simulation.faults import NONE, Faults
from tests.simulation.loop import Loop, Process

EPOCH_MS = 1_750_000_000_000
"""The wall clock when a world begins."""

LATENCY_S = 0.0008
"""Mean time that a message takes."""


class Violation(AssertionError):
    """An invariant does not hold."""


class World:
    """What everybody in a simulation shares. tape: called with a line for each event, or None."""

    def __init__(
        self, seed: int, faults: Faults, tape: Callable[[str], None] | None = None
    ) -> None:
        self.random = Random(seed)
        self.faults = faults
        self.loop = Loop()  # type: ignore[abstract]
        self.happened: Counter[str] = Counter()
        self.kill: Callable[[Process, str], None] = lambda process, how: None
        self.objection = ""
        self._tape = tape

    # --- dice ------------------------------------------------------------------------------------

    def chance(self, share: float) -> bool:
        """True in that share of cases."""
        return share > 0 and self.random.random() < share

    def latency(self) -> float:
        """Seconds that a message takes: short, and seconds where the world is slow."""
        if self.chance(self.faults.slow):
            return self.random.random() * 7
        return self.random.random() * 2 * LATENCY_S

    def heal(self) -> None:
        """No fault begins from now on."""
        self.faults = NONE

    # --- clocks ----------------------------------------------------------------------------------

    def wall_ms(self) -> int:
        """The wall clock of whoever asks."""
        return EPOCH_MS + int(self.loop.now * 1000) + self.loop.process.skew_ms

    def true_ms(self) -> int:
        """The wall clock of nature."""
        return EPOCH_MS + int(self.loop.now * 1000)

    # --- what happens ----------------------------------------------------------------------------

    def note(self, kind: str, *words: object) -> None:
        """Count an event, and tell the tape."""
        self.happened[kind] += 1
        if self._tape is not None:
            said = " ".join(str(word) for word in words)
            self._tape(f"{self.loop.now:10.4f} {self.loop.process.name:<12} {kind} {said}")

    def object_to(self, invariant: str, what: str) -> None:
        """An invariant does not hold. The first objection counts, wherever it is raised."""
        self.objection = self.objection or f"{invariant}: {what}"
        raise Violation(self.objection)
