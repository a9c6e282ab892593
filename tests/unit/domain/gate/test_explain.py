"""Why a run does not pass a gate."""

from penstock.domain.gate.commands import AcquireSlot
from penstock.domain.gate.decide import decide
from penstock.domain.gate.events import Rule
from penstock.domain.gate.evolve import evolve
from penstock.domain.gate.explain import Place, place_of, told
from penstock.domain.gate.state import CLOSED, MINUTE_MS, Gate


def asked(rule: Rule, *runs: tuple[str, int]) -> Gate:
    """A gate that runs have asked, each with a priority."""
    gate = CLOSED
    for run_id, priority in runs:
        command = AcquireSlot(run_id=run_id, rule=rule, priority=priority)
        for event in decide(command, gate, at=0):
            gate = evolve(gate, event)
    return gate


def test_a_run_waits_for_the_holder_behind_the_more_urgent_ones() -> None:
    gate = asked(Rule(most=1), ("a", 0), ("b", 0), ("c", 3))
    place = place_of(gate, "b", at=0)
    assert place == Place(2, 2, ("a",), 1)
    assert told(place) == "held by run a, number 2 of 2 in line"


def test_a_run_waits_for_the_rate() -> None:
    gate = asked(Rule(per_minute=1), ("a", 0), ("b", 0))
    place = place_of(gate, "b", at=10)
    assert place == Place(1, 1, opens_at=MINUTE_MS)
    assert "number 1 of 1" in told(place)


def test_nothing_is_said_of_a_run_that_the_gate_does_not_know() -> None:
    assert told(place_of(CLOSED, "x", at=0)) == ""
