"""A run's history in the ledger: begun at its last snapshot, and found again in the archive."""

from random import Random
from typing import cast

import pytest

from penstock.domain.run.commands import RunCommand, SuspendStep
from penstock.domain.run.events import RunCarriedForward, RunSnapshotTaken, WaitKind
from penstock.domain.run.snapshot import state_hash
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition, Edge, Node, drawing_to_wire
from penstock.infra.blobs.port import Blobs
from penstock.infra.definitions import Definitions
from penstock.infra.eventlog.log import Stored
from penstock.infra.eventlog.memory import MemoryLog
from penstock.infra.eventlog.reading import BrokenChain
from penstock.infra.eventlog.transact import Addressed, Ledger
from penstock.infra.nats import subjects
from penstock.infra.nats.direct import Direct
from penstock.messages.codec import decode_run_decision
from penstock.scheduler import snapshots
from penstock.scheduler.forks import Forks
from penstock.scheduler.ledger import Keeping, run_ledger
from penstock.scheduler.payloads import Payloads
from penstock.scheduler.snapshots import RunSnapshots
from tests.unit.domain.run.autopilot import AT, RUN, START, Life, done

TENANT = "0190bbbb-0000-7000-8000-000000000001"
SUBJECT = subjects.run_events(TENANT, RUN)


class Shelf:
    """An archive: everything that a log once had."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def last(self, subject: str) -> Stored | None:
        kept = [message for message in self._log.messages if message.subject == subject]
        return kept[-1] if kept else None

    async def read(self, subject: str, *, after: int, before: int) -> list[Stored]:
        kept = [message for message in self._log.messages if message.subject == subject]
        return [message for message in kept if after < message.seq < before]


class Drawings:
    """The one drawing that there is."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    async def graph(self, tenant: str, content_hash: str) -> Graph:
        return self._graph


def looped(items: int) -> Graph:
    """A loop of so many rounds, one at a time, each with two steps."""
    body = drawing_to_wire([Node(id="a", type="noop"), Node(id="b", type="noop")], [Edge("a", "b")])
    nodes = (Node(id="l", type="loop", config={"items": [0] * items, "body": body}),)
    return Graph.of(Definition(name="long", nodes=nodes))


def ledger_over(log: MemoryLog, graph: Graph, *, old: bool = False) -> Ledger:  # type: ignore[type-arg]
    """A ledger that knows nothing yet; snapshots here are small, so no store is ever asked."""
    payloads = Payloads(cast(Blobs, None), cast(Direct, None))
    keeping = Keeping(RunSnapshots(payloads), Shelf(log), lambda _: old)
    definitions = cast(Definitions, Drawings(graph))
    return run_ledger(log, definitions, Forks(payloads), lambda: 1_000_000, keeping)


def told(command: RunCommand, number: int) -> Addressed[RunCommand]:
    return Addressed(command, id=str(number), actor="test")


class LongLife(Life):
    """A life whose loops have all their items, one after the other."""

    def report(self, step_id: str, attempt: int) -> RunCommand:
        if "." in step_id or "@" in step_id:
            return done(step_id, attempt)
        items = self.run.drawn.node(step_id).config["items"]
        return SuspendStep(
            step_id=step_id,
            attempt=attempt,
            kind=WaitKind.LOOP,
            count=len(items),
            most=len(items),
            started_at=AT,
            executor_id="e",
        )


async def lived(log: MemoryLog, graph: Graph, rounds: int) -> Life:
    """A life that goes on in the ledger: whatever is said next fits to how the run stands there."""
    life = LongLife(graph, Random(1), faults=0)
    ledger = ledger_over(log, graph)
    life.run = (await ledger.transact(SUBJECT, [told(START, 0)])).state
    for number in range(1, rounds):
        outcome = await ledger.transact(SUBJECT, [told(life.next_command(), number)])
        life.run = outcome.state
    return life


def taken(log: MemoryLog) -> list[int]:
    """The sequences of the snapshots in a log."""
    return [
        message.seq
        for message in log.messages
        if isinstance(decode_run_decision(message.body).events[0], RunSnapshotTaken)
    ]


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "EVERY", 20)


async def test_a_long_history_is_read_from_its_last_snapshot_on() -> None:
    log, graph = MemoryLog(), looped(200)
    await lived(log, graph, 120)
    seqs = taken(log)
    assert len(seqs) > 1
    whole = await ledger_over(log, graph)._load(SUBJECT, [])
    last = decode_run_decision(log.messages[-1].body)
    assert last.snapshot in {0, *seqs}
    log.forget(SUBJECT, before=seqs[-1])
    again = await ledger_over(log, graph)._load(SUBJECT, [])
    assert (again.seq, again.hash, again.snapshot) == (whole.seq, whole.hash, seqs[-1])
    assert state_hash(again.state) == state_hash(whole.state)


async def test_what_has_left_the_log_is_found_in_the_archive() -> None:
    log, graph = MemoryLog(), looped(3)
    await lived(log, graph, 5)
    before = await ledger_over(log, graph)._load(SUBJECT, [])
    log.forget(SUBJECT, before=before.seq)
    again = await ledger_over(log, graph)._load(SUBJECT, [])
    assert (again.seq, again.hash) == (before.seq, before.hash)
    assert state_hash(again.state) == state_hash(before.state)


async def test_a_live_run_that_has_left_the_log_is_carried_forward() -> None:
    log, graph = MemoryLog(), looped(3)
    life = await lived(log, graph, 5)
    before = await ledger_over(log, graph)._load(SUBJECT, [])
    log.forget(SUBJECT, before=10**9)
    ledger = ledger_over(log, graph, old=True)
    await ledger.transact(SUBJECT, [told(life.next_command(), 99)])
    first = decode_run_decision((await log.read(SUBJECT))[0].body)
    assert isinstance(first.events[0], RunCarriedForward)
    assert first.previous_hash == before.hash


async def test_a_run_that_has_ended_and_left_the_log_does_not_begin_again() -> None:
    log, graph = MemoryLog(), looped(1)
    await lived(log, graph, 90)
    log.forget(SUBJECT, before=10**9)
    ledger = ledger_over(log, graph, old=True)
    held = await ledger._load(SUBJECT, [])
    assert held.state.is_over
    assert await log.read(SUBJECT) == []


async def test_a_gap_that_nobody_can_fill_is_a_broken_chain() -> None:
    log, graph = MemoryLog(), looped(3)
    await lived(log, graph, 5)
    log.forget(SUBJECT, before=2)
    log.messages.clear()
    with pytest.raises(BrokenChain):
        await ledger_over(log, graph)._load(SUBJECT, [])


async def test_a_start_that_comes_again_after_the_window_begins_nothing() -> None:
    log, graph = MemoryLog(), looped(1)
    await lived(log, graph, 90)
    log.forget(SUBJECT, before=10**9)
    outcome = await ledger_over(log, graph, old=True).transact(SUBJECT, [told(START, 0)])
    assert outcome.events == []
    assert outcome.state.is_over
    assert await log.read(SUBJECT) == []


async def test_a_run_that_was_carried_forward_may_be_so_again() -> None:
    log, graph = MemoryLog(), looped(3)
    life = await lived(log, graph, 5)
    for number in (98, 99):
        log.forget(SUBJECT, before=10**9)
        ledger = ledger_over(log, graph, old=True)
        life.run = (await ledger.transact(SUBJECT, [told(life.next_command(), number)])).state
    first = decode_run_decision((await log.read(SUBJECT))[0].body)
    assert isinstance(first.events[0], RunCarriedForward)
    assert taken(log)[-1] == (await log.read(SUBJECT))[0].seq


async def test_a_snapshot_is_no_gap_between_decisions() -> None:
    log, graph = MemoryLog(), looped(200)
    life = LongLife(graph, Random(1), faults=0)
    ledger = ledger_over(log, graph)
    outcome = await ledger.transact(SUBJECT, [told(START, 0)])
    for number in range(1, 60):
        life.run = outcome.state
        before = outcome.end
        outcome = await ledger.transact(SUBJECT, [told(life.next_command(), number)])
        assert outcome.base == before
    assert len(taken(log)) > 1
