"""Which of a run's events get a line of their own, so that no run floods a terminal.

A small run is told whole. Of a large one, and of a loop of many iterations, only what went wrong
is, up to a bound; how far a loop is comes in between, in steps of a tenth.
"""

from collections import Counter
from typing import Final

from penstock.client.models import Event
from penstock.client.progress import RunProgress, Sentence, Tone, iteration_of, sentence, step_of

LINES_MAX: Final = 200
"""Of a run's own steps, and of those inside of one loop. A run with more is a large one."""
ITERATIONS_MAX: Final = 20
"""A loop with more of them is told by what goes wrong in it."""
PACE_SHARE: Final = 10
"""Parts of a loop after which it is told how far it is."""
PACE_STEPS: Final = 1_000
"""Iterations after which it is told, of a loop that goes on by a condition."""


class Telling:
    """Takes a run's events and says what is to be told. with_pace: also how far loops are."""

    def __init__(self, progress: RunProgress, *, with_pace: bool = False) -> None:
        self._progress = progress
        self._with_pace = with_pace
        self._told: Counter[str] = Counter()
        self._paced: dict[str, int] = {}

    def take(self, event: Event) -> list[Sentence]:
        """What is to be told after one more event."""
        self._progress.take(event)
        step = step_of(event)
        said = sentence(event)
        if not step:
            return [] if said is None else [said]
        if "." not in step:
            return [] if said is None else self._bounded("", said, self._is_large())
        loop, _ = iteration_of(step)
        found = [] if said is None else self._bounded(loop, said, self._is_long(loop))
        return [*found, *self._pace(loop)]

    def _bounded(self, scope: str, said: Sentence, only_what_matters: bool) -> list[Sentence]:
        """A sentence about a step, unless it is one too many. scope: its loop, empty for none."""
        matters = {Tone.BAD} if scope else {Tone.BAD, Tone.WAITING}
        if (only_what_matters and said.tone not in matters) or self._told[scope] > LINES_MAX:
            return []
        self._told[scope] += 1
        if self._told[scope] > LINES_MAX:
            return [Sentence(scope or said.subject, "more", "is counted, not told", Tone.QUIET)]
        return [said]

    def _is_large(self) -> bool:
        """Whether the run's own steps are many; its total has those of iterations in it."""
        progress = self._progress
        total = 0 if progress.loops else progress.total or 0
        return max(total, progress.own) > LINES_MAX

    def _is_long(self, loop: str) -> bool:
        found = self._progress.loops.get(loop)
        return found is not None and max(found.count or 0, found.opened) > ITERATIONS_MAX

    def _pace(self, loop: str) -> list[Sentence]:
        """How far a long loop is, when another part of it has begun."""
        found = self._progress.loops.get(loop)
        if found is None or not self._with_pace or not self._is_long(loop):
            return []
        part = PACE_STEPS if found.count is None else max(1, found.count // PACE_SHARE)
        reached = found.opened // part
        if reached <= self._paced.get(loop, 0):
            return []
        self._paced[loop] = reached
        return [Sentence(loop, "looping", found.note(), Tone.PLAIN)]
