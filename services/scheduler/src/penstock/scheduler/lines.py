"""The gates in front of which somebody waits, looked at now and then, so that nobody is forgotten.

A hint that a gate opens may be lost; then it is opened from here. And a run that is over may not
have let go, because its scheduler died before it said so: while others want its place, holders are
asked in turn, and one that is over lets go once more.
"""

import asyncio
from collections.abc import Callable
from itertools import islice
from typing import Protocol

from msgspec import Struct

from penstock.domain.gate.commands import OpenGate
from penstock.domain.gate.state import Gate
from penstock.infra.eventlog.transact import Addressed
from penstock.infra.nats import subjects
from penstock.infra.telemetry import logs, metrics
from penstock.scheduler.keys import GateKey
from penstock.scheduler.letters import GateLetter
from penstock.scheduler.runs import Clock

EVERY_S = 2.0

OVERDUE_MS = 2_000
"""A gate that should have opened so long ago is opened from here."""

PROBE_EVERY_S = 10.0
PROBED_MAX = 20
"""Holders of one gate that are asked at once, and how often; the others come next."""

GATES_MAX = 1_000
"""Gates looked at in one round; the others follow in the next."""

ACTOR = "scheduler:gates"

logger = logs.logger(__name__)


class Probes(Protocol):
    """Who can ask the holders of gates."""

    def probe(self, key: GateKey, run_id: str) -> "asyncio.Future[int]":
        """Have a run that is over let go once more."""


class Line(Struct):
    """A gate that somebody wants to pass and cannot; opens_at: when time will let him, ms.

    probed_at: when its holders were asked last, s of the monotonic clock. asked: how many were.
    refused: whether somebody was turned away since.
    """

    gate: Gate
    opens_at: int | None
    probed_at: float
    asked: int = 0
    refused: bool = False


class Lines:
    """The gates with somebody in front of them. post: puts a letter into a gate's box."""

    def __init__(
        self, calls: Probes, clock: Clock, post: Callable[[GateKey, GateLetter], None]
    ) -> None:
        self._calls = calls
        self._clock = clock
        self._post = post
        self._lines: dict[GateKey, Line] = {}
        self._looker: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._lines)

    def start(self) -> None:
        """Look at them from now on."""
        self._looker = asyncio.create_task(self._look_for_ever())

    async def stop(self) -> None:
        """Look no more."""
        if self._looker is not None:
            self._looker.cancel()
            await asyncio.gather(self._looker, return_exceptions=True)

    def follow(self, key: GateKey, gate: Gate, opens_at: int | None, *, refused: bool) -> None:
        """Take in a gate after a decision. refused: whether that has turned somebody away."""
        line = self._lines.get(key)
        refused = refused or (line is not None and line.refused)
        if not gate.waiting and not refused:
            self._lines.pop(key, None)
            return
        if line is None:
            line = self._lines[key] = Line(gate, opens_at, self._clock.monotonic())
        line.gate, line.opens_at, line.refused = gate, opens_at, refused

    def opens_at(self, key: GateKey) -> int | None:
        """When time will open a gate, as far as the broker was told; ms since the epoch."""
        line = self._lines.get(key)
        return None if line is None else line.opens_at

    def forget(self, partition: int) -> None:
        """The gates of a partition are somebody else's."""
        for key in [k for k in self._lines if subjects.partition_of(k.gate_id) == partition]:
            del self._lines[key]

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            self.look()

    def look(self) -> None:
        """One round."""
        metrics.scheduler_gates_contended.set(len(self._lines))
        at, now = self._clock.wall(), self._clock.monotonic()
        for key, line in list(islice(self._lines.items(), GATES_MAX)):
            self._lines[key] = self._lines.pop(key)
            if line.opens_at is not None:
                if line.opens_at <= at - OVERDUE_MS:
                    letter = GateLetter(Addressed(OpenGate(), id="open", actor=ACTOR))
                    self._post(key, letter)
            elif now - line.probed_at >= PROBE_EVERY_S:
                self._probe(key, line, now)

    def _probe(self, key: GateKey, line: Line, now: float) -> None:
        """Ask the next of the holders, the longest first, and then from the first one again."""
        holders = sorted(line.gate.holders, key=lambda run_id: (line.gate.holders[run_id], run_id))
        first = line.asked if line.asked < len(holders) else 0
        line.probed_at, line.asked, line.refused = now, first + PROBED_MAX, False
        for run_id in holders[first : first + PROBED_MAX]:
            self._calls.probe(key, run_id).add_done_callback(heard)
        if not line.gate.waiting:
            del self._lines[key]


def heard(future: "asyncio.Future[int]") -> None:
    """Who could not be asked is asked again."""
    if not future.cancelled() and future.exception() is not None:
        logger.warning("a holder could not be asked", error=repr(future.exception()))
