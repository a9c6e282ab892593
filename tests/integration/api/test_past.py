"""A run as it stood: the fold of its history says what the read models say."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import nats
import pytest
from httpx import AsyncClient, Response

from penstock.api import folding, past, queries_runs
from penstock.api.histories import Histories, RunKey
from penstock.api.payloads import Allowance
from penstock.api.queries_steps import STEPS_SHOWN_MAX, Steps
from penstock.dev.nats_server import NatsServer
from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.nats.direct import Direct
from tests.integration.api.houses import House, chain, waiting
from tests.integration.api.test_problems import is_problem
from tests.integration.api.test_runs import drawn, ended, only_step

LARGE = "x" * 5_000
"""Run state keeps such an output as its place in the log."""

FAILING = {
    "name": "failing",
    "nodes": [
        {
            "id": "never",
            "type": "transform",
            "config": {"output": "{{ input.nope }}"},
            "retry": {"maxAttempts": 3, "backoffMs": 1},
        },
        {"id": "else", "type": "noop"},
        {"id": "not", "type": "noop"},
    ],
    "edges": [
        {"from": "never", "to": "else", "condition": {"type": "ON_FAILURE"}},
        {"from": "never", "to": "not"},
    ],
}


async def state(client: AsyncClient, run_id: str, at: str | None = None) -> Response:
    """The run as it stood."""
    return await client.get(f"/api/runs/{run_id}/state", params={"at": at} if at else {})


async def events(client: AsyncClient, run_id: str) -> list[dict[str, Any]]:
    """The run's whole history."""
    found: list[dict[str, Any]] = (await client.get(f"/api/runs/{run_id}/events?limit=200")).json()[
        "items"
    ]
    return found


@pytest.mark.parametrize(
    "definition", [chain("a", "b", "c"), FAILING, waiting(60)], ids=["chain", "failing", "waiting"]
)
async def test_at_the_end_it_is_the_run(tenant: AsyncClient, definition: dict[str, Any]) -> None:
    workflow = await drawn(tenant, definition)
    sent = {"n": 1, "large": LARGE}
    answer = await tenant.post(f"/api/executions/{workflow}/execute", json=sent)
    run = answer.json()
    assert (await state(tenant, run["id"])).json() == run
    history = await events(tenant, run["id"])
    last = history[-1]["position"]
    for at in (last, last.partition(".")[0], history[-1]["at"], f"{int(last.split('.')[0]) + 9}"):
        assert (await state(tenant, run["id"], at)).json() == run


async def test_a_live_run_and_one_that_was_cancelled(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, waiting())
    run_id = (await tenant.post(f"/api/workflows/{workflow}/execute")).json()["runId"]
    await only_step(tenant, run_id, "waiting")
    live = (await tenant.get(f"/api/runs/{run_id}")).json()
    assert (await state(tenant, run_id)).json() == live
    last = (await events(tenant, run_id))[-1]["position"]
    assert (await tenant.post(f"/api/runs/{run_id}/cancel")).status_code == 202
    run = await ended(tenant, run_id)
    assert (await state(tenant, run_id)).json() == run
    assert (await state(tenant, run_id, last)).json() == live


async def test_each_event_brings_it_one_step_on(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, chain("a", "b"))
    run = (await tenant.post(f"/api/executions/{workflow}/execute", json={"n": 1})).json()
    history = await events(tenant, run["id"])
    seen = []
    for event in history:
        then = (await state(tenant, run["id"], event["position"])).json()
        done = {step["id"]: step["status"] == "succeeded" for step in then["steps"]}
        assert then["progress"]["succeeded"] == sum(done.values())
        assert (then["finishedAt"] is None) == (event is not history[-1])
        seen.append((event["type"], event["data"].get("stepId"), [k for k, v in done.items() if v]))
        assert [step["id"] for step in then["steps"]] == ["a", "b"]
    assert ("StepSucceeded", "a", ["a"]) in seen
    assert seen[0] == ("RunStarted", None, [])
    assert (await state(tenant, run["id"], history[0]["position"])).json()["status"] == "running"


async def test_before_the_first_event_there_is_no_run(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, chain("a"))
    run = (await tenant.post(f"/api/executions/{workflow}/execute", json={})).json()
    for at in ("0", "0.5", "1970-01-01T00:00:00Z", "2000-01-01T00:00:00.123456-14:00"):
        is_problem(await state(tenant, run["id"], at), 404, "NOT_FOUND")
    later = await state(tenant, run["id"], "2999-01-01T00:00:00Z")
    assert later.json() == run


async def test_what_is_no_place_or_no_run_is_a_problem(house: House, tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, chain("a"))
    run = (await tenant.post(f"/api/executions/{workflow}/execute", json={})).json()
    for at in ("soon", "r1.0", "1.x", "2026-01-01", "2026-01-01T00:00:00", "99999999-01-01", "-1"):
        body = is_problem(await state(tenant, run["id"], at), 400, "VALIDATION_ERROR")
        assert [each["pointer"] for each in body["details"]] == ["/query/at"]
    is_problem(await state(tenant, str(uuid4())), 404, "NOT_FOUND")
    other = (await house.admin("POST", "/api/tenants", json={"name": "other"})).json()
    async with house.caller(other["adminApiKey"]) as stranger:
        is_problem(await state(stranger, run["id"]), 404, "NOT_FOUND")


async def test_what_has_left_the_log_is_folded_from_the_archive(
    house: House, tenant: AsyncClient, tmp_path: Any
) -> None:
    workflow = await drawn(tenant, chain("a", "b"))
    sent = {"large": LARGE}
    run = (await tenant.post(f"/api/executions/{workflow}/execute", json=sent)).json()
    engine = house.api.parts.engine
    row = await queries_runs.find(engine, run["tenantId"], UUID(run["id"]))
    assert row is not None
    graph = await house.api.parts.definitions.graph(run["tenantId"], row["definition"])
    forgetful = NatsServer(tmp_path)
    await asyncio.to_thread(forgetful.start)
    try:
        await bootstrap(forgetful.url)
        nc = await nats.connect(forgetful.url)
        direct = Direct(nc)
        await direct.start()
        histories = Histories(nc, direct, engine)
        key = RunKey(run["tenantId"], run["id"], datetime(2020, 1, 1, tzinfo=UTC))
        payloads = house.api.parts.payloads(key.tenant_id, partial(histories.decision_of, key))
        source = folding.Source(histories, payloads, key, graph)
        then = await folding.folded(source, past.Until())
        old = then.run_row(row)
        sinks = {each["step_id"]: each for each in await then.step_rows(old["sinks"])}
        shown = await queries_runs.opened(payloads, old, sinks, Allowance())
        steps, _ = await Steps(then.step_rows, payloads, old, graph).page(None, STEPS_SHOWN_MAX)
        assert bytes(shown["output"]) == bytes(steps[1]["output"])
        assert LARGE.encode() in bytes(shown["output"])
        assert [step["status"] for step in steps] == ["succeeded", "succeeded"]
        await nc.close()
    finally:
        await asyncio.to_thread(forgetful.stop)
