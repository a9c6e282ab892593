"""Rows, archive and checkpoint move together, once, whatever happens in between."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from penstock.domain.payload import inline, of_value
from penstock.domain.run.commands import CancelRun, FailStep, ReportLost, StartStep, SuspendStep
from penstock.domain.run.events import StepError, StepReady
from penstock.messages.chains import Broken
from penstock.projector.entry import Entry, Log
from penstock.projector.sizes import Sizes
from penstock.projector.sources import Sources
from penstock.projector.store import CheckpointMoved, Store
from tests.integration.projector.rows import table
from tests.unit.projector.lives import T0, Life, Tape, chain

TENANT = "0190a000-0000-7000-8000-000000000001"
OTHER = "0190a000-0000-7000-8000-000000000002"


class Known:
    """What a test says of its definitions and objects."""

    def __init__(self, sizes: Sizes, states: dict[str, bytes]) -> None:
        self._sizes = sizes
        self._states = states

    async def sizes(self, _tenant: str, _definition: str) -> Sizes | None:
        return self._sizes

    async def state(self, name: str) -> bytes:
        return self._states.get(name, b"")


THREE = Known(Sizes(3), {})


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = await Store.connect(url, name="test")
    await store.head(Log.EVENTS)
    await store.head(Log.REGISTRY)
    try:
        yield store
    finally:
        await store.close()


async def written(
    url: str, entries: list[Entry], *, size: int = 1000, sources: Sources = THREE
) -> None:
    """A projector's whole life: from the checkpoint on, in batches of `size`."""
    async with opened(url) as store:
        for start in range(0, len(entries), size):
            await apply(store, entries[start : start + size], sources)


async def apply(store: Store, batch: list[Entry], sources: Sources = THREE) -> None:
    await store.apply(batch[0].log, batch, now_ms=T0, sources=sources)


READ_MODELS = {
    "runs": "tenant_id, id",
    "run_tags": "tenant_id, tag, run_id",
    "run_steps": "tenant_id, run_id, step_id",
    "event_archive": "log, seq",
    "chain_heads": "tenant_id, log",
    "quarantined": "log, seq",
}


def read_models(url: str) -> dict[str, Any]:
    return {name: table(url, name, order) for name, order in READ_MODELS.items()}


def eventful() -> Tape:
    """Runs that succeed, fail, wait, are lost, are cancelled; decisions of two tenants mixed."""
    tape = Tape()
    lives = [
        Life(tape, chain(3), name=f"run {index}", tenant=TENANT if index % 2 else OTHER)
        for index in range(8)
    ]
    for index, life in enumerate(lives):
        life.start(tags=("nightly", f"n{index}") if index % 3 == 0 else (), trigger="webhook")
    word: Any = {"step_id": "s0", "executor_id": "executor-1"}
    error = StepError(code="HTTP_503", message="busy", retryable=True, details=of_value([1.0, "ö"]))
    for life in lives[:2]:
        life.complete("s0", {"big": "x" * 3000})
    lives[2].tell(StartStep(attempt=1, started_at=T0 + 5, **word))
    lives[2].tell(ReportLost(step_id="s0", attempt=1, reason="redelivered"))
    lives[3].tell(FailStep(attempt=1, error=error, started_at=T0 + 1, finished_at=T0 + 2, **word))
    lives[4].tell(
        SuspendStep(attempt=1, until=T0 + 9, output=of_value(1), started_at=T0 + 1, **word)
    )
    lives[5].tell(CancelRun(reason="enough"))
    final = StepError(code="NO", message="never")
    lives[6].tell(FailStep(attempt=1, error=final, started_at=T0 + 1, finished_at=T0 + 2, **word))
    lives[7].tell(StartStep(attempt=1, started_at=T0 + 5, **word))
    for step_id in ("s0", "s1", "s2"):
        for life in (lives[0], lives[1], lives[2]):
            if step_id in life.held:
                life.complete(step_id, [step_id, None, 1.50])
    return tape


async def test_rows_do_not_depend_on_how_the_log_was_cut(projector_url: str, empty: str) -> None:
    entries = eventful().entries()
    await written(projector_url, entries)
    whole = read_models(empty)
    assert len(whole["event_archive"]) == len(entries)
    for size in (1, 2, 5):
        reset(empty)
        for start in range(0, len(entries), size):
            await written(projector_url, entries[start : start + size])
        assert read_models(empty) == whole


def reset(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        for name in READ_MODELS:
            owner.execute(f"truncate penstock.{name}".encode())
        owner.execute("update penstock.checkpoints set seq=0, hash=decode(repeat('00',32),'hex')")


async def test_what_a_run_and_its_steps_say(projector_url: str, empty: str) -> None:
    tape = Tape()
    life = Life(tape, chain(2), name="one", tenant=TENANT)
    life.start(tags=("a", 'b"c\\', "a"), priority=3)
    life.complete("s0", {"n": 1.0})
    life.complete("s1")
    await written(projector_url, tape.entries())
    with psycopg.connect(empty) as owner:
        run = owner.execute(
            "select status, total, succeeded, failed, running, tags, sinks, is_keyed, output, "
            "input->>'size', last_seq, finished_at is not null from penstock.runs"
        ).fetchall()
        assert run == [
            ("succeeded", 3, 2, 0, 0, ["a", 'b"c\\', "a"], ["s1"], False, None, "13", 3, True)
        ]
        steps = owner.execute(
            "select step_id, status, attempt, executor_id, output::text, attempts "
            "from penstock.run_steps order by step_id"
        ).fetchall()
        tags = owner.execute("select tag from penstock.run_tags order by tag").fetchall()
    assert [step[:4] for step in steps] == [
        ("s0", "succeeded", 1, "executor-0"),
        ("s1", "succeeded", 1, "executor-0"),
    ]
    assert json.loads(steps[0][4])["inline"] == {"n": 1.0}
    assert '"inline":{"n":1.0}' in steps[0][4]
    assert tags == [("a",), ('b"c\\',)]


async def test_a_lost_and_a_failed_attempt_stay_on_record(projector_url: str, empty: str) -> None:
    await written(projector_url, eventful().entries(), size=3)
    with psycopg.connect(empty) as owner:
        found = owner.execute(
            "select attempts::text from penstock.run_steps where attempts is not null"
        ).fetchall()
    attempts = sorted((json.loads(text)[0] for (text,) in found), key=lambda a: str(a["status"]))
    assert [(each["status"], each["startedAt"]) for each in attempts] == [
        ("failed", T0 + 1),
        ("lost", T0 + 5),
    ]
    assert attempts[0]["error"]["details"]["inline"] == [1.0, "ö"]


async def test_the_same_batch_twice_is_written_once(projector_url: str, empty: str) -> None:
    entries = eventful().entries()
    async with opened(projector_url) as store:
        await apply(store, entries)
        before = read_models(empty)
        with pytest.raises(Broken, match="goes on with 1 after"):
            await apply(store, entries)
    assert read_models(empty) == before


async def test_two_projectors_write_every_message_once(projector_url: str, empty: str) -> None:
    entries = eventful().entries()
    async with opened(projector_url) as first, opened(projector_url) as second:
        await apply(first, entries[:4])
        with pytest.raises(CheckpointMoved):
            await apply(second, entries[:6])
        await apply(first, entries[4:])
    taken_twice = read_models(empty)
    reset(empty)
    await written(projector_url, entries)
    assert read_models(empty) == taken_twice


async def test_only_one_projector_has_the_lock(projector_url: str) -> None:
    async with opened(projector_url) as second:
        async with opened(projector_url) as first:
            assert await first.became_writer()
            assert not await second.became_writer()
        for _ in range(50):
            if await second.became_writer():
                return
            await asyncio.sleep(0.05)
    raise AssertionError("the lock of a closed connection stayed")


async def test_a_backend_killed_in_the_midst_leaves_nothing_half_written(
    projector_url: str, empty: str, postgres_server: str
) -> None:
    entries = eventful().entries()
    async with opened(projector_url) as store:
        await apply(store, entries[:3])
        before = read_models(empty)
        with psycopg.connect(empty, autocommit=True) as blocker:
            blocker.execute("begin; lock table penstock.chain_heads")
            writing = asyncio.create_task(apply(store, entries[3:]))
            await until(lambda: waiting_for_locks(postgres_server))
            kill_projector(postgres_server)
            with pytest.raises(psycopg.OperationalError):
                await writing
            blocker.execute("rollback")
        assert read_models(empty) == before
    await written(projector_url, entries[3:])
    assert len(table(empty, "event_archive", "seq")) == len(entries)


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came to that")


def waiting_for_locks(url: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        sql = "select 1 from pg_stat_activity where application_name = %s and wait_event_type = %s"
        return connection.execute(sql, ["test", "Lock"]).rowcount > 0


def kill_projector(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = 'test' and wait_event_type = 'Lock'"
        )


Spoil = Callable[[Tape, Life], object]


def not_json(tape: Tape, life: Life) -> object:
    return tape.append_raw(life.subject, b"\xff\x00 no json")


def refused_by_a_table(tape: Tape, life: Life) -> object:
    return life.start(version=2**40)


def too_deep(tape: Tape, life: Life) -> object:
    return life.start(input=inline(b"[" * 30_000 + b"]" * 30_000))


def not_of_ours(tape: Tape, life: Life) -> object:
    life.subject = "penstock.evt.acme.run.r-7"
    return tape.append_raw(life.subject, b"{}")


def from_another_age(tape: Tape, life: Life) -> object:
    life.at = 4_200_000_000_000
    return life.start()


def without_a_beginning(tape: Tape, life: Life) -> object:
    return tape.append(life.subject, [StepReady(step_id="s0", attempt=1)], at=T0)


@pytest.mark.parametrize(
    "spoil",
    [
        not_json,
        refused_by_a_table,
        too_deep,
        not_of_ours,
        from_another_age,
        without_a_beginning,
    ],
)
async def test_a_poisoned_message_is_archived_and_stops_nobody_else(
    projector_url: str, empty: str, spoil: Spoil
) -> None:
    tape = Tape()
    good = Life(tape, chain(2), name="good", tenant=TENANT)
    poisoned = Life(tape, chain(2), name="poisoned", tenant=TENANT)
    good.start()
    spoil(tape, poisoned)
    good.complete("s0")
    good.complete("s1")
    await written(projector_url, tape.entries())
    assert len(table(empty, "event_archive", "seq")) == 4
    with psycopg.connect(empty) as owner:
        assert owner.execute("select status from penstock.runs").fetchall() == [("succeeded",)]
        found = owner.execute("select seq, subject from penstock.quarantined").fetchall()
    assert found == [(2, poisoned.subject)]


async def test_a_run_poisoned_in_its_midst_is_left_as_it_stood(
    projector_url: str, empty: str
) -> None:
    tape = Tape()
    life = Life(tape, chain(3), name="one", tenant=TENANT)
    life.start()
    tape.append_raw(life.subject, b"{}")
    life.complete("s0")
    await written(projector_url, tape.entries(), size=1)
    with psycopg.connect(empty) as owner:
        sql = "select is_quarantined, succeeded, last_seq from penstock.runs"
        assert owner.execute(sql).fetchall() == [(True, 0, 1)]


async def test_a_hole_in_the_log_stops_everything(projector_url: str, empty: str) -> None:
    entries = eventful().entries()
    async with opened(projector_url) as store:
        await apply(store, entries[:2])
        with pytest.raises(Broken):
            await apply(store, entries[3:])
    assert len(table(empty, "event_archive", "seq")) == 2


@pytest.mark.parametrize("size", [1, 100])
async def test_a_message_that_does_not_follow_its_subject_stops_everything(
    projector_url: str, empty: str, size: int
) -> None:
    tape = Tape()
    life = Life(tape, chain(3), name="one", tenant=TENANT)
    life.start()
    life.complete("s0")
    tape.heads[life.subject] = "ab" * 32
    life.complete("s1")
    with pytest.raises(Broken, match="follows abab"):
        await written(projector_url, tape.entries(), size=size)
    assert len(table(empty, "event_archive", "seq")) == (2 if size == 1 else 0)
