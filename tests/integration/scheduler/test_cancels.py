"""Cancels as executors hear them."""

import asyncio

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from penstock.infra.nats import subjects
from penstock.messages.envelope import StepCancels
from penstock.scheduler.cancels import Cancels
from penstock.scheduler.watch import RunKey

KEY = RunKey("acme", "r-cancels")
HEARD_WITHIN_S = 10.0


async def test_attempts_of_a_run_that_goes_on_are_named_and_a_run_that_ends_is_not(
    nc: Client,
) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(msg: Msg) -> None:
        heard.put_nowait(msg.data)

    await nc.subscribe(subjects.cancel(*KEY), cb=hear)
    cancels = Cancels(nc)
    cancels.start()
    cancels.stop_step(KEY, "a", 1)
    cancels.stop_step(KEY, "loop.3.b", 2)
    bodies = [
        await asyncio.wait_for(heard.get(), HEARD_WITHIN_S) for _ in range(2)
    ]  # repeated, for nobody answers for it
    assert [msgspec.json.decode(body, type=StepCancels).steps for body in bodies] == [
        (("a", 1), ("loop.3.b", 2))
    ] * 2
    cancels.begin(KEY)
    while (body := await asyncio.wait_for(heard.get(), HEARD_WITHIN_S)) != b"":
        assert body == bodies[0]
    cancels.end(KEY)
    await cancels.stop()
