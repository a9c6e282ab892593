"""Whatever is drawn and whatever happens, a run comes to its end and its state can be stored."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from penstock.domain.run.evolve import fold
from penstock.domain.run.flow import open_steps
from penstock.domain.run.snapshot import compacted, encoded, restored, state_hash
from penstock.domain.run.state import HELD, SETTLED, Run, StepStatus, unborn
from tests.unit.domain.run.autopilot import RUN, Life, random_graph

seeds = st.integers(0, 2**32)


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_every_life_ends_with_every_step_settled(seed: int) -> None:
    random = Random(seed)
    life = Life(random_graph(random), random)
    life.live()
    run = life.run
    assert run.unsettled == 0
    assert not run.timers
    assert all(step.status in SETTLED or "@" in step_id for step_id, step in run.steps.items()), (
        run.steps
    )


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_counts_are_what_they_count(seed: int) -> None:
    random = Random(seed)
    life = Life(random_graph(random), random)
    run = unborn(RUN, life.run.graph)
    life.live()
    for events in life.history:
        run = fold(run, events)
        check_counts(run)


def check_counts(run: Run) -> None:
    held = [step_id for step_id, step in run.steps.items() if step.status in HELD]
    assert run.held == len(held)
    assert run.flow.evaluating == sum("@" in step_id for step_id in held)
    waiting = [s for s in run.steps.values() if s.wait is not None and s.wait.child_id]
    assert run.flow.children == len(waiting)
    if run.is_live:
        unsettled = list(open_steps(run, run.drawn))
        assert run.unsettled == len(unsettled) + len(strays(run, set(unsettled)))


def strays(run: Run, known: set[str]) -> list[str]:
    """Steps inside a loop that ran out of time and are still to be put out."""
    return [
        step_id
        for step_id in {run.flow.closing.items[n] for n in run.flow.closing.items}
        if step_id not in known and run.step(step_id).status not in SETTLED
    ]


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_a_restored_run_lives_on_as_the_one_that_was_stored(seed: int) -> None:
    random = Random(seed)
    life = Life(random_graph(random), random)
    life.live()
    cut = random.randint(0, len(life.history))
    events = [event for decision in life.history for event in decision]
    before = fold(unborn(RUN, life.run.graph), [e for d in life.history[:cut] for e in d])
    again = restored(unborn(RUN, life.run.graph), encoded(before))
    again = fold_from(again, before)
    rest = events[sum(len(d) for d in life.history[:cut]) :]
    assert state_hash(again) == state_hash(before)
    assert state_hash(fold(again, rest)) == state_hash(fold(before, rest))


def fold_from(run: Run, origin: Run) -> Run:
    """The restored run with the start of the one it was taken from."""
    return replace(run, started=origin.started)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_compaction_keeps_what_is_open(seed: int) -> None:
    random = Random(seed)
    life = Life(random_graph(random), random)
    for _ in range(60):
        if life.run.is_over:
            break
        life.say(life.next_command())
    run = compacted(life.run)
    for step_id, step in life.run.steps.items():
        if step.status not in SETTLED and step.status is not StepStatus.PENDING:
            assert run.step(step_id) == step
