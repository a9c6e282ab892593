"""What has arrived waits in order and within bounds."""

import asyncio
import inspect

from msgspec.structs import replace

from penstock.domain.ids import derived
from penstock.infra.nats.delivery import Delivery
from penstock.projector.entry import Log
from penstock.projector.intake import BATCH_MAX, BATCH_MAX_BYTES, HELD_MAX, Intake
from tests.unit.projector.lives import Life, Tape, chain


def _unanswered(_delivery: Delivery, _body: bytes, _settles: bool) -> None:
    """A tail's deliveries are not answered."""


def delivery(seq: int, body: bytes = b"{}", *, pending: int = 0) -> Delivery:
    return Delivery("elsewhere", body, None, "", "tail", seq, seq, 1, pending, _unanswered)


async def test_a_batch_is_what_is_there() -> None:
    arrived = asyncio.Event()
    intake = Intake(Log.EVENTS, arrived, asyncio.Event())
    assert intake.batch() == []
    for seq in (1, 2, 3):
        assert intake.on_message(delivery(seq, pending=3 - seq)) is None
    assert arrived.is_set()
    assert intake.pending == 0
    assert [entry.seq for entry in intake.batch()] == [1, 2, 3]
    assert len(intake) == 0


async def test_a_batch_is_bounded_in_decisions_and_bytes() -> None:
    intake = Intake(Log.EVENTS, asyncio.Event(), asyncio.Event())
    for seq in range(1, BATCH_MAX + 2):
        intake.on_message(delivery(seq))
    assert len(intake.batch()) == BATCH_MAX
    assert len(intake.batch()) == 1
    half = b" " * (BATCH_MAX_BYTES // 2 + 1)
    for seq in (1, 2, 3):
        intake.on_message(delivery(seq, half))
    assert [entry.seq for entry in intake.batch()] == [1, 2]


async def test_what_is_one_too_many_waits_for_room() -> None:
    intake = Intake(Log.EVENTS, asyncio.Event(), asyncio.Event())
    for seq in range(1, HELD_MAX):
        assert intake.on_message(delivery(seq)) is None
    waiting = intake.on_message(delivery(HELD_MAX))
    assert inspect.iscoroutine(waiting)
    task = asyncio.create_task(waiting)
    await asyncio.sleep(0)
    assert not task.done()
    intake.batch()
    await task


async def test_only_what_is_no_routine_presses() -> None:
    pressing = asyncio.Event()
    intake = Intake(Log.EVENTS, asyncio.Event(), pressing)
    life = Life(Tape(), chain(2), name="run", tenant=derived("tenant"))
    life.start()
    life.complete("s0")
    life.complete("s1")
    found = []
    for seq, (subject, body) in enumerate(life.tape.messages, 1):
        intake.on_message(replace(delivery(seq, body), subject=subject))
        assert intake.is_pressing == pressing.is_set()
        found.append(intake.is_pressing)
        pressing.clear()
        intake.batch()
        assert not intake.is_pressing
    assert found == [True, False, True], "it begins, goes on, ends"
