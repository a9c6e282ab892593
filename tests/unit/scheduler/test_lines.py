"""Gates in front of which somebody waits: what is said on their behalf, and to whom."""

import asyncio

from penstock.domain.gate.commands import AcquireSlot, OpenGate
from penstock.domain.gate.decide import decide
from penstock.domain.gate.events import Rule
from penstock.domain.gate.evolve import evolve
from penstock.domain.gate.state import CLOSED, Gate
from penstock.domain.workflow.model import Strategy
from penstock.infra.nats import subjects
from penstock.scheduler.keys import GateKey
from penstock.scheduler.letters import GateLetter
from penstock.scheduler.lines import OVERDUE_MS, PROBE_EVERY_S, PROBED_MAX, Lines
from penstock.scheduler.runs import Clock

KEY = GateKey("acme", "g-1")


class Heard:
    """Who is asked, and what the gate is told; the clocks stand where the test puts them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.letters: list[GateLetter] = []
        self.at, self.now = 0, 0.0
        self.lines = Lines(
            self, Clock(lambda: self.at, lambda: self.now), lambda _, letter: self.take(letter)
        )

    def take(self, letter: GateLetter) -> None:
        self.letters.append(letter)

    def probe(self, _key: GateKey, run_id: str) -> "asyncio.Future[int]":
        self.asked.append(run_id)
        return asyncio.get_running_loop().create_future()


def crowded(rule: Rule, runs: int) -> Gate:
    """A gate that so many runs have asked, one after the other."""
    gate = CLOSED
    for number in range(runs):
        for event in decide(AcquireSlot(run_id=f"r-{number:03}", rule=rule), gate, at=number):
            gate = evolve(gate, event)
    return gate


async def test_holders_are_asked_in_turn_and_then_from_the_first_one_again() -> None:
    heard = Heard()
    heard.lines.follow(KEY, crowded(Rule(most=PROBED_MAX + 1), PROBED_MAX + 2), None, refused=False)
    heard.lines.look()
    assert heard.asked == []
    for _ in range(3):
        heard.now += PROBE_EVERY_S
        heard.lines.look()
    first = [f"r-{number:03}" for number in range(PROBED_MAX)]
    assert heard.asked == [*first, f"r-{PROBED_MAX:03}", *first]


async def test_a_gate_that_should_have_opened_is_opened() -> None:
    heard = Heard()
    heard.lines.follow(KEY, crowded(Rule(per_minute=1), 2), 60_000, refused=False)
    heard.at = 60_000
    heard.lines.look()
    assert heard.letters == []
    heard.at += OVERDUE_MS
    heard.lines.look()
    assert [letter.addressed.command for letter in heard.letters] == [OpenGate()]


async def test_holders_are_asked_once_where_somebody_was_turned_away() -> None:
    heard = Heard()
    gate = crowded(Rule(most=1, strategy=Strategy.SKIP), 2)
    heard.lines.follow(KEY, gate, None, refused=True)
    for _ in range(2):
        heard.now += PROBE_EVERY_S
        heard.lines.look()
    assert heard.asked == ["r-000"]
    assert len(heard.lines) == 0


async def test_a_gate_without_a_line_is_let_go_of_and_so_is_a_partition() -> None:
    heard = Heard()
    heard.lines.follow(KEY, crowded(Rule(most=1), 2), None, refused=False)
    heard.lines.follow(KEY, crowded(Rule(most=1), 1), None, refused=False)
    assert len(heard.lines) == 0
    heard.lines.follow(KEY, crowded(Rule(most=1), 2), None, refused=False)
    heard.lines.forget(subjects.partition_of(KEY.gate_id))
    assert len(heard.lines) == 0
