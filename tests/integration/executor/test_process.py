"""The executor as a process of its own, and through an outage of its broker."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process

import nats
from nats.aio.client import Client

from penstock.dev.nats_server import NatsServer
from penstock.dev.ports import free_port
from penstock.domain.payload import of_value
from penstock.domain.run.commands import CompleteStep, ReportLost, StartStep
from penstock.infra.nats.bootstrap import bootstrap
from tests.integration.executor.bench import (
    KEY_ENCRYPTION_KEY,
    Bench,
    Request,
    Web,
    response,
    task,
)


async def executor_process(url: str, database: str, **settings: str) -> Process:
    """`python -m penstock.executor` on the broker at `url`."""
    values = {
        "NATS_URL": url,
        "INSTANCE": "executor-7",
        "METRICS_PORT": str(free_port()),
        "EGRESS_ALLOW": "127.0.0.1",
        "DATABASE_URL": database,
        "KEY_ENCRYPTION_KEY": KEY_ENCRYPTION_KEY,
        **settings,
    }
    environment = dict(os.environ) | {f"PENSTOCK_{name}": text for name, text in values.items()}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "penstock.executor", env=environment, stdout=PIPE, stderr=STDOUT
    )


async def test_a_process_works_until_it_is_told_to_stop(
    nc: Client, broker: NatsServer, web: Web, database: str
) -> None:
    bench = Bench(nc, broker.url, database)
    await bench.listen()

    async def never(_: Request) -> bytes:
        await asyncio.sleep(60)
        return response(200, b"", {})

    web.answers["/never"] = never
    quick = await bench.define({"id": "a", "type": "noop"})
    slow = await bench.define(
        {"id": "call", "type": "http_request", "config": {"url": web.url("/never")}}
    )
    process = await executor_process(broker.url, database, GRACEFUL_TIMEOUT_S="4")
    await bench.send(task(quick, "a", payloads={"run.input": of_value(1)}), task(slow, "call"))
    first = (await bench.next()).report
    assert isinstance(first, CompleteStep)
    assert first.executor_id == "executor-7"
    assert isinstance((await bench.next()).report, StartStep)
    process.send_signal(signal.SIGTERM)
    said = (await bench.next()).report
    assert said == ReportLost(step_id="call", attempt=1, reason="released")
    output, _ = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0, output.decode()
    assert await bench.left() == 0
    await bench.hush()


async def test_a_wrong_allow_list_stops_the_start_by_its_name(
    broker: NatsServer, database: str
) -> None:
    process = await executor_process(broker.url, database, EGRESS_ALLOW="a b")
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert b"PENSTOCK_EGRESS_ALLOW" in output


async def test_an_outcome_outlives_the_broker(
    nats_server: NatsServer, web: Web, database: str
) -> None:
    nc = await nats.connect(nats_server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    await bootstrap(nc)
    bench = Bench(nc, nats_server.url, database)
    await bench.open()
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def gate(_: Request) -> bytes:
        asked.set()
        await go_on.wait()
        return response(200, b"", {})

    web.answers["/gate"] = gate
    definition = await bench.define(
        {"id": "call", "type": "http_request", "config": {"url": web.url("/gate")}}
    )
    await bench.send(task(definition, "call"))
    await asked.wait()
    await asyncio.to_thread(nats_server.kill)
    go_on.set()
    await asyncio.sleep(0.5)
    await asyncio.to_thread(nats_server.start)
    said = [(await bench.next()).report]
    while not isinstance(said[-1], CompleteStep):
        said.append((await bench.next()).report)
    await bench.until_left(0)
    assert len(web.requests) == 1
    await bench.close()
    await nc.close()
