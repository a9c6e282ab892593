"""A fork with an empty patch at every position of recorded runs."""

from random import Random

import pytest
from msgspec.structs import replace

from penstock.domain import payload
from penstock.domain.run.decide import play
from penstock.domain.run.events import Origin, RunEvent
from penstock.domain.run.evolve import evolve, fold
from penstock.domain.run.snapshot import encoded, state_hash
from penstock.domain.run.state import Run, unborn
from penstock.domain.workflow.graph import Graph
from tests.unit.domain.run.autopilot import AT, RUN, START, Life, random_graph

FORK = "0190aaaa-0000-7000-8000-000000000002"
RUNS = range(20)
EVENTS_MIN, EVENTS_MAX = 40, 160


def recorded(seed: int) -> tuple[Graph, list[RunEvent]]:
    """A run with a history that is worth it, and no longer than it has to be."""
    for attempt in range(100):
        random = Random(f"{seed}/{attempt}")
        life = Life(random_graph(random), random)
        life.live()
        events = [event for decision in life.history for event in decision]
        if EVENTS_MIN <= len(events) <= EVENTS_MAX:
            return life.run.drawn, events
    raise AssertionError("every life is too short or too long")


def forked(before: Run, graph: Graph) -> tuple[list[RunEvent], Run]:
    """What a run that goes on from a state decides at once, and the run then."""
    state = payload.inline(encoded(before))
    begun = replace(START, forked_from=Origin(run_id=RUN, position="1.0"), state=state)
    return play(begun, unborn(FORK, graph), at=AT)


@pytest.mark.parametrize("seed", RUNS)
def test_a_fork_stands_where_the_run_stood_and_comes_to_an_end(seed: int) -> None:
    graph, events = recorded(seed)
    before = unborn(RUN, graph)
    for position, event in enumerate(events):
        before = evolve(before, event)  # the fold of the events up to here
        decided, run = forked(before, graph)
        assert state_hash(fold(unborn(FORK, graph), decided[:2])) == state_hash(before)
        again = Life(graph, Random(seed * 1_000 + position), faults=0.0)
        again.run = run
        again.live()
        assert not again.run.timers
        assert again.run.unsettled == 0
