"""Processes die or leave in the midst of work, and the work goes on elsewhere."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from penstock.infra.nats.subjects import PARTITIONS
from tests.chaos.receiver import Receiver
from tests.chaos.storm import check_history
from tests.e2e.conftest import client
from tests.e2e.histories import history, of_type
from tests.e2e.runs import call, drawn, edge, ended, made, node, shown, started, step, told_of
from tests.e2e.waiting import until

NOTICED_WITHIN_S = 10.0
REPEATED_WITHIN_S = 40.0
"""The roll calls that find an attempt gone, or the broker's own patience with its holder."""
STOPPED_WITHIN_S = 15.0
RUNS = 50
ONCE = {"maxAttempts": 1}


@dataclass
class Rough:
    """A stack of two schedulers and two executors, and the API's client of the moment."""

    stack: Stack
    api: httpx.AsyncClient

    @classmethod
    async def up(cls, data_dir: Path) -> "Rough":
        """Start it on what `data_dir` holds."""
        env = {"PENSTOCK_EGRESS_ALLOW": "127.0.0.0/8"}
        options = StackOptions(data_dir=data_dir, port=0, schedulers=2, executors=2, env=env)
        stack = Stack(options)
        await stack.start()
        return cls(stack, client(stack.api_url, stack.api_key))

    async def down(self) -> None:
        """Stop it in order."""
        await self.api.aclose()
        await self.stack.stop()


@pytest.fixture(scope="module")
async def rough(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rough]:
    """The stack that this module's tests maltreat."""
    running = await Rough.up(tmp_path_factory.mktemp("rough-stack"))
    yield running
    await running.down()


async def test_a_step_of_a_killed_executor_is_repeated_uncounted(
    rough: Rough, receiver: Receiver
) -> None:
    api = rough.api
    held = call("call", f"{receiver.url}/held/{{{{ run.id }}}}/call", retry=ONCE)
    run_id = await started(api, await made(api, drawn("orphan", [held])))

    async def holder() -> str | None:
        found = step(await shown(api, run_id), "call")
        executor_id: str | None = found["executorId"]
        return executor_id if found["status"] == "running" else None

    name = await until(holder, within_s=NOTICED_WITHIN_S, what="the step is shown as running")
    os.kill(rough.stack.pid(name), signal.SIGKILL)

    async def called_again() -> bool:
        return len(receiver.keys[run_id, "call"]) > 1

    await until(called_again, within_s=REPEATED_WITHIN_S, what="the call is made again")
    receiver.let_go.set()
    run = await ended(api, run_id)
    assert run["status"] == "succeeded", run
    assert len(set(receiver.keys[run_id, "call"])) == 1
    again = step(run, "call")
    assert again["idempotencyKey"] == receiver.keys[run_id, "call"][0]
    assert again["attempt"] == 2
    events = await history(api, run_id)
    assert told_of(events, "call").count("StepLost") == 1
    check_history(run_id, events)


async def many(api: httpx.AsyncClient, workflow_id: str) -> list[str]:
    """As many runs as there are partitions, at once."""
    return await asyncio.gather(*(started(api, workflow_id) for _ in range(PARTITIONS)))


async def test_a_killed_scheduler_forgets_no_run(rough: Rough, receiver: Receiver) -> None:
    api = rough.api
    slow = call("call", f"{receiver.url}/slow/{{{{ run.id }}}}/call")
    workflow_id = await made(api, drawn("half done", [slow, node("end")], edge("call", "end")))
    runs = await many(api, workflow_id)
    os.kill(rough.stack.pid("scheduler-1"), signal.SIGKILL)
    for run_id in runs:
        assert (await ended(api, run_id))["status"] == "succeeded"
        check_history(run_id, await history(api, run_id))
        assert len(set(receiver.keys[run_id, "call"])) == 1


async def test_a_stack_that_is_stopped_goes_on_where_it_was(
    rough: Rough, receiver: Receiver
) -> None:
    api = rough.api
    held, slow = (f"{receiver.url}/{kind}/{{{{ run.id }}}}" for kind in ("held", "slow"))
    nodes = [call("long", f"{held}/long", retry=ONCE), call("short", f"{slow}/short"), node("end")]
    edges = [edge("long", "end"), edge("short", "end")]
    workflow_id = await made(api, drawn("interrupted", nodes, *edges))
    runs = [await started(api, workflow_id) for _ in range(RUNS)]

    async def in_flight() -> bool:
        return (runs[0], "long") in receiver.keys

    await until(in_flight, within_s=NOTICED_WITHIN_S, what="the first calls are made")
    pids = [rough.stack.pid(name) for name in (*rough.stack.metrics_urls, "nats", "postgres")]
    async with asyncio.timeout(STOPPED_WITHIN_S):
        await rough.down()
    assert not any(map(psutil.pid_exists, pids))

    again = await Rough.up(rough.stack.data_dir)
    rough.stack, rough.api = again.stack, again.api
    receiver.let_go.set()
    released = 0
    for run_id in runs:
        run = await ended(rough.api, run_id, within_s=REPEATED_WITHIN_S)
        assert run["status"] == "succeeded", run
        events = await history(rough.api, run_id)
        check_history(run_id, events)
        lost = of_type(events, "StepLost")
        assert {event["data"]["reason"] for event in lost} <= {"released"}, lost
        assert step(run, "long")["attempt"] == 1 + len(told_of(lost, "long"))
        released += len(lost)
        for step_id in ("long", "short"):
            assert len(set(receiver.keys[run_id, step_id])) == 1
    assert released, "no step was in flight when the stack was stopped"
