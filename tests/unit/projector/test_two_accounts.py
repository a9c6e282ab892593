"""Rows and the audit's account of them are made apart, and say the same of any history."""

from random import Random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.domain import payload
from penstock.domain.ids import derived
from penstock.domain.run.events import Origin, RunEvent
from penstock.domain.run.evolve import fold as folded
from penstock.domain.run.snapshot import encoded
from penstock.domain.run.state import Run, unborn
from penstock.domain.workflow.graph import Graph
from penstock.infra.nats import subjects
from penstock.messages.chains import Head
from penstock.messages.envelope import Decision
from penstock.projector.audit.accounts import Account, digest, told
from penstock.projector.audit.expected import (
    COUNTED,
    owed_evaluations,
    run_columns,
    step_columns,
    steps_of,
)
from penstock.projector.entry import Entry, Log
from penstock.projector.fold import fold, settle
from penstock.projector.memory import LiveRun, Memory
from penstock.projector.projections.run_steps import StepRow
from penstock.projector.sizes import sizes_of
from tests.unit.domain.run.autopilot import START, Life, random_graph
from tests.unit.projector.lives import T0, Tape

TENANT = "0190a000-0000-7000-8000-000000000001"
RUN = derived(TENANT, "drawn")
SUBJECT = subjects.run_events(TENANT, RUN)
SEEDS = st.integers(0, 2**32)
BEGIN = msgspec.structs.replace(START, workflow_id=derived(TENANT, "workflow"))


def taped(history: list[list[RunEvent]]) -> list[Entry]:
    tape = Tape()
    for nth, events in enumerate(history):
        tape.append(SUBJECT, events, at=T0 + nth)
    return tape.entries()


def named(history: list[list[RunEvent]]) -> list[list[RunEvent]]:
    """A history that was told by the autopilot, its workflow named as the tables want it."""
    first, *rest = history[0]
    started: Any = first
    begun = msgspec.structs.replace(started, workflow_id=BEGIN.workflow_id)
    return [[begun, *rest], *history[1:]]


def tell(entries: list[Entry], graph: Graph, random: Random) -> None:
    """Both accounts, entry by entry, compared after each; memory is written down now and then."""
    account = Account(entries[0], graph)
    memory = Memory(Head())
    memory.sizes["d"] = sizes_of(graph)
    gone: dict[str, StepRow] = {}
    for entry in entries:
        changes = fold([entry], memory, Log.EVENTS, now_ms=T0)
        assert isinstance(entry.decision, Decision)
        account.absorb(entry.seq, entry.decision)
        run = changes.runs[SUBJECT]
        assert not changes.quarantined
        compare(account, run, gone)
        gone |= run.steps
        if random.random() < 0.5:
            settle(memory, changes)


def compare(account: Account, run: LiveRun, gone: dict[str, StepRow]) -> None:
    expected = run_columns(account)
    row: Any = run.row
    assert {name: expected[name] for name in COUNTED} == dict(zip(COUNTED, run.counts, strict=True))
    for name in ("status", "total", "evaluating", "finished_at"):
        assert getattr(row, name) == expected[name], name
    owed = dict(owed_evaluations(account.run))
    rows = gone | run.steps
    assert set(steps_of(account)) == set(rows)
    for step_id in run.changed:
        compare_step(run.steps[step_id], step_columns(account, step_id, owed))
    for step_id, edges in run.edges.items():
        assert step_columns(account, step_id, owed)["edges"] == edges


def compare_step(row: StepRow, expected: dict[str, Any]) -> None:
    for name in ("attempt", "branch", "executor_id"):
        assert getattr(row, name) == expected[name], name
    for name in ("ready_at", "started_at", "attempt_started_at", "finished_at", "wake_at"):
        assert (getattr(row, name) or None) == expected[name], name
    assert str(row.status) == expected["status"]
    loop = None if row.loop is None else (row.loop.opened, row.loop.evaluating)
    assert loop == expected["loop"], row.step_id
    if row.is_stored:
        return
    assert row.edges == expected["edges"]
    assert told(row.error) == expected["error"]
    for name in ("input", "output", "items"):
        assert digest(getattr(row, name)) == expected[name], name


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_of_any_run_both_accounts_say_the_same(seed: int) -> None:
    random = Random(seed)
    graph = random_graph(random)
    life = Life(graph, random)
    life.live()
    tell(taped(named(life.history)), graph, random)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_of_any_fork_both_accounts_say_the_same(seed: int) -> None:
    random = Random(seed)
    graph = random_graph(random)
    life = Life(graph, random)
    life.live()
    kept = life.history[: random.randrange(len(life.history))]
    before = folded(unborn(RUN, graph), [event for events in kept for event in events])
    if before.started is None:
        return
    again = forked(before, graph, random)
    tell(taped(named(again.history)), graph, random)


class Fork(Life):
    """A life that goes on from another one."""

    def __init__(self, graph: Graph, random: Random, state: Run) -> None:
        self.random, self.faults = random, 0.1
        self.run = unborn(RUN, graph)
        self.history = []
        origin = Origin(run_id=RUN, position="1.0")
        kept = payload.inline(encoded(state))
        self.say(msgspec.structs.replace(BEGIN, forked_from=origin, state=kept))


def forked(state: Run, graph: Graph, random: Random) -> Life:
    life = Fork(graph, random, state)
    life.live()
    return life
