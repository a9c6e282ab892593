"""What happens around the steps: redelivery, cancel, roll call, slow steps, a stop, poison."""

import asyncio

import msgspec
from nats.aio.client import Client

from penstock.dev.nats_server import NatsServer
from penstock.domain.payload import of_value
from penstock.domain.run.commands import (
    CompleteStep,
    ConfirmCancel,
    FailStep,
    ReportLost,
    StartStep,
)
from penstock.infra.nats import subjects
from penstock.messages.envelope import Task
from penstock.messages.rollcall import RollCall
from tests.integration.executor.bench import TENANT, Bench, Request, Web, response, task, until

WORK_CONSUMER = "work-shared-default"


class Gate:
    """A URL that answers when it is told to."""

    def __init__(self, web: Web, path: str = "/gate") -> None:
        self.open = asyncio.Event()
        self.asked = asyncio.Event()
        self.url = web.url(path)
        web.answers[path] = self._answer

    async def _answer(self, _: Request) -> bytes:
        self.asked.set()
        await self.open.wait()
        return response(200, b"1", {"content_type": "application/json"})


async def slow_task(bench: Bench, gate: Gate, *, run: str = "r-1") -> Task:
    definition = await bench.define(
        {"id": "call", "type": "http_request", "config": {"url": gate.url}}
    )
    return task(definition, "call", run=run)


async def test_a_slow_step_says_once_that_it_started(bench: Bench, web: Web) -> None:
    gate = Gate(web)
    await bench.send(await slow_task(bench, gate))
    started = (await bench.next()).report
    assert isinstance(started, StartStep)
    gate.open.set()
    done = (await bench.next()).report
    assert isinstance(done, CompleteStep)
    assert done.started_at == started.started_at


async def test_a_cancel_stops_what_runs_and_is_confirmed_once(bench: Bench, web: Web) -> None:
    gate = Gate(web)
    await bench.send(await slow_task(bench, gate), await slow_task(bench, gate, run="r-2"))
    await gate.asked.wait()
    for _ in range(3):
        await bench.nc.publish(subjects.cancel(TENANT, "r-1"), b"")
        await bench.nc.publish(subjects.cancel("other", "r-2"), b"")
    said = await bench.next()
    assert (said.run_id, type(said.report)) == ("r-1", ConfirmCancel)
    gate.open.set()
    rest = [await bench.next()]
    while not isinstance(rest[-1].report, CompleteStep):
        rest.append(await bench.next())
    assert {each.run_id for each in rest} == {"r-2"}


async def test_a_roll_call_names_what_is_in_hand(bench: Bench, web: Web) -> None:
    gate = Gate(web)
    await bench.send(await slow_task(bench, gate))
    await gate.asked.wait()
    answer = await bench.nc.request(subjects.ROLL_CALL, b"", timeout=2)
    called = msgspec.json.decode(answer.data, type=RollCall)
    assert called.held == (("r-1", "call", 1),)
    assert (called.executor_id, called.queues) == ("executor-0", ("default",))
    assert called.free == bench.settings.executor_concurrency - 1
    gate.open.set()
    while not isinstance((await bench.next()).report, CompleteStep):
        pass
    await bench.until_left(0)
    answer = await bench.nc.request(subjects.ROLL_CALL, b"", timeout=2)
    assert msgspec.json.decode(answer.data, type=RollCall).held == ()


async def test_redelivered_work_is_reported_lost_and_not_run(
    nc: Client, broker: NatsServer, web: Web, database: str
) -> None:
    url = web.answer("/once")
    bench = Bench(nc, broker.url, database)
    definition = await bench.define({"id": "call", "type": "http_request", "config": {"url": url}})
    await bench.send(task(definition, "call"), task(definition, "call", run="r-2", attempt=3))
    pull = await nc.jetstream().pull_subscribe_bind(WORK_CONSUMER, "WORK")
    (message,) = await pull.fetch(1)
    await message.nak()
    await bench.open()
    heard = [await bench.next(), await bench.next()]
    assert {(each.run_id, each.report) for each in heard} == {
        ("r-1", ReportLost(step_id="call", attempt=1, reason="redelivered")),
        ("r-2", ReportLost(step_id="call", attempt=3, reason="redelivered")),
    }
    await bench.until_left(0)
    assert web.requests == []
    await bench.close()


async def test_a_redelivery_of_what_is_in_hand_changes_nothing(bench: Bench, web: Web) -> None:
    gate = Gate(web)
    await bench.send(await slow_task(bench, gate))
    await gate.asked.wait()
    (delivery,) = bench.executor.holdings.deliveries
    delivery.nack()
    await until(lambda: len(bench.executor.holdings.deliveries) == 2)
    gate.open.set()
    said = [(await bench.next()).report]
    while not isinstance(said[-1], CompleteStep):
        said.append((await bench.next()).report)
    assert not any(isinstance(each, ReportLost) for each in said)
    await bench.until_left(0)
    assert len(web.requests) == 1


async def test_unreadable_work_ends_among_the_dead_letters(bench: Bench) -> None:
    await bench.js.publish(subjects.work("shared", "default", TENANT), b'{"tasks": 1')
    await bench.until_left(1, "DEAD_LETTERS")
    said = await bench.run({"id": "a", "type": "noop"})
    assert isinstance(said, CompleteStep)
    await bench.until_left(0)


async def test_an_unknown_node_fails_its_step_for_good(bench: Bench) -> None:
    definition = await bench.define({"id": "a", "type": "noop"})
    await bench.send(task(definition, "b", payloads={"run.input": of_value(1)}))
    said = (await bench.next()).report
    assert isinstance(said, FailStep)
    assert (said.error.code, said.error.retryable) == ("NODE_UNKNOWN", False)


async def test_a_stop_finishes_what_ends_soon_and_hands_back_the_rest(
    nc: Client, broker: NatsServer, web: Web, database: str
) -> None:
    bench = Bench(nc, broker.url, database, graceful_timeout_s=4.0, executor_concurrency=2)
    await bench.open()
    soon, never = Gate(web, "/soon"), Gate(web, "/never")
    await bench.send(
        await slow_task(bench, soon, run="r-soon"),
        await slow_task(bench, never, run="r-never"),
        await slow_task(bench, never, run="r-waits"),
    )
    await soon.asked.wait()
    await never.asked.wait()
    leaving = asyncio.create_task(bench.close())
    await asyncio.sleep(0.1)
    soon.open.set()
    await leaving
    said = {}
    while not bench.heard.empty():
        each = bench.heard.get_nowait()
        if not isinstance(each.report, StartStep):
            said[each.run_id] = each.report
    assert isinstance(said["r-soon"], CompleteStep)
    assert said["r-never"] == ReportLost(step_id="call", attempt=1, reason="released")
    assert said["r-waits"] == ReportLost(step_id="call", attempt=1, reason="released")
    assert await bench.left() == 0
    assert len(web.requests) == 2


async def test_more_work_than_fits_waits_its_turn(
    nc: Client, broker: NatsServer, web: Web, database: str
) -> None:
    bench = Bench(nc, broker.url, database, executor_concurrency=3)
    await bench.open()
    running, most = 0, 0

    async def busy(_: Request) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return response(200, b"", {})

    web.answers["/busy"] = busy
    node = {"id": "call", "type": "http_request", "config": {"url": web.url("/busy")}}
    definition = await bench.define(node)
    for pack in range(20):
        await bench.send(*(task(definition, "call", run=f"r-{pack}-{n}") for n in range(5)))
    heard = {(await bench.next()).run_id for _ in range(100)}
    assert len(heard) == 100
    assert most <= 3
    await bench.close()
