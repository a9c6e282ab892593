"""What has arrived waits in order and within bounds."""

import asyncio
import inspect

from penstock.infra.nats.delivery import Delivery
from penstock.projector.entry import Log
from penstock.projector.intake import BATCH_MAX, BATCH_MAX_BYTES, HELD_MAX, Intake


async def _unanswered(_delivery: Delivery, _body: bytes, _settles: bool) -> None:
    """A tail's deliveries are not answered."""


def delivery(seq: int, body: bytes = b"{}", *, pending: int = 0) -> Delivery:
    return Delivery("elsewhere", body, None, "", "tail", seq, seq, 1, pending, _unanswered)


async def test_a_batch_is_what_is_there() -> None:
    arrived = asyncio.Event()
    intake = Intake(Log.EVENTS, arrived)
    assert intake.batch() == []
    for seq in (1, 2, 3):
        assert intake.on_message(delivery(seq, pending=3 - seq)) is None
    assert arrived.is_set()
    assert intake.pending == 0
    assert [entry.seq for entry in intake.batch()] == [1, 2, 3]
    assert len(intake) == 0


async def test_a_batch_is_bounded_in_decisions_and_bytes() -> None:
    intake = Intake(Log.EVENTS, asyncio.Event())
    for seq in range(1, BATCH_MAX + 2):
        intake.on_message(delivery(seq))
    assert len(intake.batch()) == BATCH_MAX
    assert len(intake.batch()) == 1
    half = b" " * (BATCH_MAX_BYTES // 2 + 1)
    for seq in (1, 2, 3):
        intake.on_message(delivery(seq, half))
    assert [entry.seq for entry in intake.batch()] == [1, 2]


async def test_what_is_one_too_many_waits_for_room() -> None:
    intake = Intake(Log.EVENTS, asyncio.Event())
    for seq in range(1, HELD_MAX):
        assert intake.on_message(delivery(seq)) is None
    waiting = intake.on_message(delivery(HELD_MAX))
    assert inspect.iscoroutine(waiting)
    task = asyncio.create_task(waiting)
    await asyncio.sleep(0)
    assert not task.done()
    intake.batch()
    await task
