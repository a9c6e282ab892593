"""A batch becomes one change a row, and the chains go on from where they were."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.messages.chains import GENESIS, Broken, Head, link, message_hash
from penstock.messages.envelope import NO_HASH
from penstock.projector.entry import Entry, Log
from penstock.projector.fold import Changes, fold, settle, wanted
from penstock.projector.ids import NIL
from penstock.projector.memory import Memory
from penstock.projector.projections.runs import COUNTERS, RunStatus
from penstock.projector.sizes import Sizes
from tests.unit.projector.lives import T0, Life, Tape, chain

TENANT = "0190a000-0000-7000-8000-000000000001"


def one_run(length: int = 3, *, done: int | None = None) -> tuple[Tape, Life]:
    tape = Tape()
    life = Life(tape, chain(length), name="one", tenant=TENANT)
    life.start()
    for index in range(length if done is None else done):
        life.complete(f"s{index}")
    return tape, life


def folded(memory: Memory, batch: list[Entry]) -> Changes:
    return fold(batch, memory, Log.EVENTS, now_ms=T0)


def test_a_run_that_a_batch_touches_often_changes_once() -> None:
    tape, life = one_run(50)
    memory = Memory(Head())
    changes = folded(memory, tape.entries())
    assert len(changes.archive) == 51
    assert list(changes.runs) == [life.subject]
    run = changes.runs[life.subject]
    assert (run.row.status, run.row.last_seq) == (RunStatus.SUCCEEDED, 51)
    assert dict(zip(COUNTERS, run.counts, strict=True))["succeeded"] == 50
    assert len(run.changed) == 50


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12))
def test_rows_do_not_depend_on_the_cuts(cuts: list[int]) -> None:
    tape, life = one_run(10, done=9)
    whole = Memory(Head())
    folded(whole, tape.entries())
    memory, entries = Memory(Head()), tape.entries()
    for size in [*cuts, len(entries)]:
        batch, entries = entries[:size], entries[size:]
        settle(memory, folded(memory, batch))
    assert memory.head == whole.head
    assert memory.heads == whole.heads
    assert memory.tenants == whole.tenants
    assert memory.runs[life.subject].counts == whole.runs[life.subject].counts
    assert set(memory.runs[life.subject].steps) == {"s9"}


def test_memory_forgets_what_has_ended() -> None:
    tape, _ = one_run()
    memory = Memory(Head())
    settle(memory, folded(memory, tape.entries()))
    assert (memory.runs, memory.heads) == ({}, {})


def test_the_chains_are_what_their_docstring_says() -> None:
    tape, life = one_run(1)
    memory = Memory(Head())
    changes = folded(memory, tape.entries())
    log = tenant = GENESIS
    previous = NO_HASH
    for seq, (row, (subject, body)) in enumerate(
        zip(changes.archive, tape.messages, strict=True), 1
    ):
        own = sha256(previous.encode() + body).digest()
        assert (row.hash, row.previous_hash.hex()) == (own, previous)
        step = seq.to_bytes(8, "big") + own + subject.encode()
        log, tenant = sha256(log + step).digest(), sha256(tenant + step).digest()
        assert (row.log_hash, row.tenant_hash) == (log, tenant)
        previous = own.hex()
    assert message_hash(NO_HASH, tape.messages[0][1]) == changes.archive[0].hash
    assert memory.head == Head(2, 2, log)
    assert link(GENESIS, 1, changes.archive[0].hash, life.subject.encode()) != GENESIS


def test_what_is_not_in_memory_is_named() -> None:
    tape, life = one_run(3, done=1)
    first, later = tape.entries()[:1], tape.entries()[1:]
    fresh = wanted(first, Memory(Head()))
    assert (fresh.heads, fresh.runs, fresh.definitions) == ({}, {}, {life.definition: TENANT})
    again = wanted(later, Memory(Head()))
    assert (list(again.heads), list(again.runs)) == ([life.subject], [life.subject])
    memory = Memory(Head())
    memory.sizes[life.definition] = Sizes(3)
    settle(memory, folded(memory, first))
    assert not wanted(later, memory)


def test_a_hole_is_refused() -> None:
    tape, _ = one_run()
    with pytest.raises(Broken, match="goes on with 2 after 0"):
        folded(Memory(Head()), tape.entries()[1:])


def test_a_stranger_on_a_subject_is_refused() -> None:
    tape, life = one_run(3, done=1)
    tape.heads[life.subject] = "cd" * 32
    life.complete("s1")
    with pytest.raises(Broken, match="cdcd"):
        folded(Memory(Head()), tape.entries())


def test_a_flaw_is_archived_and_ends_what_rows_say_of_the_run() -> None:
    tape, life = one_run(3, done=1)
    tape.append_raw(life.subject, b"{}")
    life.complete("s1")
    changes = folded(Memory(Head()), tape.entries())
    run = changes.runs[life.subject]
    assert (run.row.is_quarantined, run.row.last_seq, run.counts[0]) == (True, 2, 1)
    assert [each.seq for each in changes.quarantined] == [3]
    assert len(changes.archive) == 4


def test_what_is_not_about_a_tenant_is_archived_under_none() -> None:
    tape = Tape()
    tape.append_raw("penstock.evt.acme.run.r-7", b"{}")
    tape.append_raw("elsewhere", b"{}")
    tape.append_raw(f"penstock.evt.{TENANT.upper()}.run.{TENANT}", b"{}")
    changes = folded(Memory(Head()), tape.entries())
    assert {row.entry.tenant for row in changes.archive} == {NIL}
    assert [row.entry.subject_id for row in changes.archive] == [s for s, _ in tape.messages]
    assert len(changes.quarantined) == 3
