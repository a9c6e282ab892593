"""Servers go and come back: honest answers meanwhile, nothing lost, nobody has to be started anew.

The stack here lives on servers of the test's own, which no supervisor starts again too early.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import httpx
import nats
import pytest

from penstock.dev.nats_server import NatsServer
from penstock.dev.options import StackOptions
from penstock.dev.postgres import Postgres
from penstock.dev.stack import Stack
from penstock.infra.nats.streams import consumers, streams
from tests.chaos.receiver import Receiver
from tests.chaos.storm import check_history
from tests.e2e.conftest import client
from tests.e2e.histories import history
from tests.e2e.runs import Document, call, drawn, edge, ended, made, node, shown, started, step
from tests.e2e.waiting import until

NOTICED_WITHIN_S = 10.0
BACK_WITHIN_S = 30.0
HELD_RUNS = 5
PROCESSES = ("api-0", "scheduler-0", "executor-0", "projector-0")


@dataclass(frozen=True)
class Ground:
    """A stack, and the servers beneath it."""

    stack: Stack
    api: httpx.AsyncClient
    nats: NatsServer
    postgres: Postgres

    async def readiness(self) -> dict[str, int]:
        """What each process's `/readyz` says."""
        urls = {n: u.replace("/metrics", "/readyz") for n, u in self.stack.metrics_urls.items()}
        answers = await asyncio.gather(*(self.api.get(url) for url in urls.values()))
        return {name: each.status_code for name, each in zip(urls, answers, strict=True)}

    async def until_ready(self) -> None:
        """Wait until every process says that it is ready."""

        async def all_ready() -> bool:
            return set((await self.readiness()).values()) == {httpx.codes.OK}

        await until(all_ready, within_s=BACK_WITHIN_S, what="every process is ready again")

    def pids(self) -> dict[str, int]:
        """The process behind each name."""
        return {name: self.stack.pid(name) for name in PROCESSES}


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    """A stack on servers that the tests stop and start."""
    broker = NatsServer(tmp_path_factory.mktemp("nats-of-ours"))
    database = Postgres(tmp_path_factory.mktemp("postgres-of-ours"), durable=False)
    options = StackOptions(
        data_dir=tmp_path_factory.mktemp("stack-of-ours"),
        port=0,
        env={"PENSTOCK_EGRESS_ALLOW": "127.0.0.0/8"},
    )
    broker.start()
    database.start()
    stack = Stack(options)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PENSTOCK_NATS_URL", broker.url)
        environment.setenv("PENSTOCK_DATABASE_URL", database.url)
        await stack.start()
    async with client(stack.api_url, stack.api_key) as api:
        yield Ground(stack, api, broker, database)
    await stack.stop()
    broker.stop()
    database.stop()
    database.remove()


async def topology(url: str) -> dict[str, Any]:
    """Every stream and every durable consumer with its configuration."""
    connection = await nats.connect(url)
    admin = connection.jetstream()
    found: dict[str, Any] = {}
    for stream in await admin.streams_info():
        found[str(stream.config.name)] = stream.config
        for consumer in await admin.consumers_info(str(stream.config.name)):
            if consumer.config.durable_name:
                found[f"{stream.config.name}/{consumer.name}"] = consumer.config
    await connection.close()
    return found


def workflow(receiver: Receiver) -> Document:
    """A call that is held, between steps that are not."""
    held = f"{receiver.url}/held/{{{{ run.id }}}}/call"
    return drawn(
        "outlasting",
        [node("before"), call("call", held), node("wait", "delay", config={"durationMs": 200})],
        edge("before", "call"),
        edge("call", "wait"),
    )


async def in_flight(api: httpx.AsyncClient, receiver: Receiver, workflow_id: str) -> list[str]:
    """Runs whose call is under way."""
    runs = [await started(api, workflow_id) for _ in range(HELD_RUNS)]

    async def all_called() -> bool:
        return all((run, "call") in receiver.keys for run in runs)

    await until(all_called, within_s=NOTICED_WITHIN_S, what="every run makes its call")
    return runs


def unavailable(answered: httpx.Response) -> bool:
    """Whether the answer is an honest 503; one that is neither that nor a success fails."""
    if answered.is_success:
        return False
    assert answered.status_code == httpx.codes.SERVICE_UNAVAILABLE, answered.text
    assert answered.headers["content-type"] == "application/problem+json"
    assert int(answered.headers["retry-after"]) > 0
    problem = answered.json()
    assert (problem["status"], problem["code"]) == (503, "UNAVAILABLE")
    assert problem["traceId"]
    return True


def writes(workflow_id: str, run_id: str) -> list[tuple[str, str, Document]]:
    """One request of each kind that changes something."""
    definition = drawn("never", [node("only")])
    return [
        ("POST", f"/workflows/{workflow_id}/execute?mode=async", {}),
        ("POST", f"/workflows/{workflow_id}/execute?mode=sync", {}),
        ("POST", "/executions/run", {"workflowId": workflow_id}),
        ("POST", f"/runs/{run_id}/cancel", {}),
        ("POST", "/workflows", {"definition": definition}),
        ("PUT", f"/workflows/{workflow_id}", {"definition": definition}),
        ("POST", f"/workflows/{workflow_id}/versions", {"definition": definition}),
        ("POST", "/api-keys", {"name": "never", "role": "viewer"}),
    ]


async def recovered(ground: Ground, runs: Iterable[str]) -> None:
    """All is ready again, and every run has come to its one end."""
    await ground.until_ready()
    for run_id in runs:
        run = await ended(ground.api, run_id, within_s=BACK_WITHIN_S)
        assert run["status"] == "succeeded", run
        check_history(run_id, await history(ground.api, run_id))


async def test_a_broker_that_is_away(ground: Ground, receiver: Receiver) -> None:
    api, before = ground.api, ground.pids()
    left = await topology(ground.nats.url)
    assert left.keys() >= {c.name for c in streams(1)} | {
        f"{c.stream}/{c.name}" for c in consumers()
    }
    workflow_id = await made(api, workflow(receiver))
    runs = await in_flight(api, receiver, workflow_id)

    ground.nats.kill()
    await refusing(ground, writes(workflow_id, runs[0]))
    key = {"Idempotency-Key": "asked while the broker was away"}
    path = f"/workflows/{workflow_id}/execute?mode=async"
    assert unavailable(await api.post(path, json={}, headers=key))
    for read in ("/runs", f"/runs/{runs[0]}", f"/runs/{runs[0]}/steps", "/workflows", "/api-keys"):
        answered = await api.get(read)
        assert answered.status_code == httpx.codes.OK, answered.text
    assert unavailable(await api.get(f"/runs/{runs[0]}/events"))
    health = await api.get("/health")
    assert health.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert health.json() | {"broker": False, "database": True} == health.json()
    assert set((await ground.readiness()).values()) == {httpx.codes.SERVICE_UNAVAILABLE}
    # The outside answers while nobody can be told of it.
    receiver.let_go.set()

    ground.nats.start()
    await ground.until_ready()
    runs.append(await started(api, workflow_id, **key))
    assert await started(api, workflow_id, **key) == runs[-1]
    await recovered(ground, runs)
    assert await topology(ground.nats.url) == left
    assert ground.pids() == before


async def test_a_database_that_is_away(ground: Ground, receiver: Receiver) -> None:
    api, before = ground.api, ground.pids()
    workflow_id = await made(api, workflow(receiver))
    runs = await in_flight(api, receiver, workflow_id)

    ground.postgres.kill()
    await refusing(ground, writes(workflow_id, runs[0]))
    listed, run, health = await asyncio.gather(
        *(api.get(path) for path in ("/runs", f"/runs/{runs[0]}", "/health"))
    )
    assert unavailable(listed)
    assert unavailable(run)
    assert health.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert health.json() | {"broker": True, "database": False} == health.json()
    readiness = await ground.readiness()
    assert readiness["executor-0"] == httpx.codes.OK, "an executor has no use for a database"
    del readiness["executor-0"]
    assert set(readiness.values()) == {httpx.codes.SERVICE_UNAVAILABLE}
    receiver.let_go.set()

    ground.postgres.start()
    runs.append(await started(api, workflow_id))
    await recovered(ground, runs)
    assert ground.pids() == before


async def refusing(ground: Ground, asked: list[tuple[str, str, Document]]) -> None:
    """Every write is refused for the moment, and says when to come again."""

    async def refused(method: str, path: str, body: Document) -> None:
        async def unanswered() -> bool:
            return unavailable(await ground.api.request(method, path, json=body))

        await until(unanswered, within_s=NOTICED_WITHIN_S, what=f"{method} {path} is refused")

    # The first one is sent until the loss is noticed, so that no other one gets through.
    await refused(*asked[0])
    await asyncio.gather(*(refused(*each) for each in asked[1:]))


async def test_what_was_running_is_shown_as_it_ended(ground: Ground) -> None:
    listed = (await ground.api.get("/runs?limit=200")).json()["items"]
    assert {run["status"] for run in listed} == {"succeeded"}
    run = await shown(ground.api, listed[0]["id"])
    assert [step(run, each)["attempt"] for each in ("before", "call", "wait")] == [1, 1, 1]
