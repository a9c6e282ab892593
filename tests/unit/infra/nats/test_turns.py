"""One frame at a time; what a handler has to wait for holds up only the next one."""

import asyncio

from penstock.infra.nats.reader import Frame
from penstock.infra.nats.turns import Turns


def frame(number: int) -> Frame:
    return Frame(b"s", b"", b"", b"%d" % number)


async def unexpected(error: Exception) -> None:
    raise error


async def test_a_plain_handler_is_done_at_once() -> None:
    seen: list[Frame] = []
    turns = Turns(seen.append, unexpected)
    for number in range(3):
        turns.next(frame(number))
    assert seen == [frame(0), frame(1), frame(2)]
    assert not turns.are_on
    await turns.over()


async def test_the_next_waits_for_the_one_before_it() -> None:
    seen: list[str] = []

    async def slowly(name: str) -> None:
        await asyncio.sleep(0)
        seen.append(f"{name} done")

    def handle(each: Frame) -> object:
        seen.append(each.data.decode())
        return slowly(each.data.decode()) if each.data in (b"0", b"2") else None

    turns = Turns(handle, unexpected)  # type: ignore[arg-type]
    for number in range(4):
        turns.next(frame(number))
    assert turns.are_on
    await turns.over()
    assert seen == ["0", "0 done", "1", "2", "2 done", "3"]
    assert not turns.are_on


async def test_what_fails_is_told_and_takes_no_turn_from_others() -> None:
    seen: list[bytes] = []
    told: list[Exception] = []

    async def complain(error: Exception) -> None:
        told.append(error)

    async def handle(each: Frame) -> None:
        seen.append(each.data)
        if each.data == b"1":
            raise RuntimeError("a bug of ours")

    turns = Turns(handle, complain)
    for number in range(3):
        turns.next(frame(number))
    await turns.over()
    assert seen == [b"0", b"1", b"2"]
    assert len(told) == 1


async def test_a_stop_ends_the_turn_that_is_on() -> None:
    seen: list[bytes] = []

    async def handle(each: Frame) -> None:
        seen.append(each.data)
        await asyncio.Event().wait()

    turns = Turns(handle, unexpected)
    turns.next(frame(0))
    turns.next(frame(1))
    await asyncio.sleep(0)
    turns.stop()
    await turns.over()
    assert seen == [b"0"]
