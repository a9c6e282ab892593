"""Limits of tenants at the API's door: refused with the limit's name, and seen at `GET /usage`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from httpx import AsyncClient, Response

from penstock.api.errors import Problem
from penstock.api.pressure import BACKLOG_MAX, WAITING_STEPS_MAX, Heard
from penstock.api.quotas import BLOCK_MAX, Executions, Places
from penstock.infra.postgres.engine import Engine
from penstock.messages.load import Load, Steps
from tests.e2e.waiting import until
from tests.integration.api.houses import House, chain, waiting

DAY_S = 86_400


@asynccontextmanager
async def limited(house: House, **limits: int | None) -> AsyncIterator[tuple[str, AsyncClient]]:
    """A new tenant with these limits: its id and its admin."""
    asked = {"name": "limited", "config": {"limits": limits}}
    made = (await house.admin("POST", "/api/tenants", json=asked)).json()
    async with house.caller(made["adminApiKey"]) as client:
        yield made["id"], client


async def make(client: AsyncClient, name: str = "a chain", **more: Any) -> Response:
    """A workflow of one step."""
    return await client.post("/api/workflows", json={"definition": chain("a", name=name), **more})


def refusal(answer: Response) -> tuple[int, str, str, int, int]:
    """Status, code, and which limit was met: its name, value and usage."""
    body = answer.json()
    (told,) = body["details"]
    return answer.status_code, body["code"], told["limit"], told["value"], told["usage"]


@pytest.mark.parametrize(
    ("limits", "pointer"),
    [
        ({"maxConcurrentRuns": 0}, "/config/limits/maxConcurrentRuns"),
        ({"maxInFlightSteps": -1}, "/config/limits/maxInFlightSteps"),
        ({"requestsPerMinute": 1.5}, "/config/limits/requestsPerMinute"),
        ({"retentionDays": 0}, "/config/limits/retentionDays"),
        ({"retentionDays": None}, "/config/limits/retentionDays"),
        ({"maxPayloadBytes": 2**30}, "/config/limits/maxPayloadBytes"),
        ({"maxDefinitionBytes": 0}, "/config/limits/maxDefinitionBytes"),
        ({"maxWorkflows": "many"}, "/config/limits/maxWorkflows"),
        ({"maxRuns": 1}, "/config/limits/maxRuns"),
    ],
)
async def test_limits_that_cannot_be_are_refused(
    house: House, limits: dict[str, Any], pointer: str
) -> None:
    asked = {"name": "wrong", "config": {"limits": limits}}
    answer = await house.admin("POST", "/api/tenants", json=asked)
    assert answer.status_code == 400
    assert answer.json()["details"][0]["pointer"] == pointer


async def test_a_tenant_has_as_many_workflows_as_it_may(house: House) -> None:
    async with limited(house, maxWorkflows=2) as (_, client):
        first = await make(client, "one")
        assert (first.status_code, (await make(client, "two")).status_code) == (201, 201)
        third = await make(client, "three")
        assert refusal(third) == (409, "QUOTA_EXCEEDED", "maxWorkflows", 2, 2)
        path = f"/api/workflows/{first.json()['id']}"
        changed = await client.put(path, json={"definition": chain("a", "b", name="one")})
        assert changed.status_code == 200, changed.text
        imported = await client.post("/api/workflows/import", json=chain("a", id="fourth"))
        assert refusal(imported)[:3] == (409, "QUOTA_EXCEEDED", "maxWorkflows")
        assert (await client.delete(path)).status_code == 204
        assert (await make(client, "three")).status_code == 201


async def test_a_repeated_request_does_not_take_another_place(house: House) -> None:
    async with limited(house, maxWorkflows=1) as (_, client):
        key = {"Idempotency-Key": "once"}
        asked = {"definition": chain("a", id="only")}
        first = await client.post("/api/workflows", json=asked, headers=key)
        again = await client.post("/api/workflows", json=asked, headers=key)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.headers["idempotent-replayed"] == "true"


async def test_a_place_of_a_workflow_that_was_not_made_is_free(house: House) -> None:
    async with limited(house, maxWorkflows=2) as (_, client):
        key = {"Idempotency-Key": "another"}
        asked = {"definition": chain("a", id="kept")}
        assert (await client.post("/api/workflows", json=asked, headers=key)).status_code == 201
        for _ in range(3):
            taken = await client.post("/api/workflows", json=asked)
            assert (taken.status_code, taken.json()["code"]) == (409, "KEY_TAKEN")
        assert (await make(client, "second")).status_code == 201


async def test_many_at_once_make_no_more_workflows_than_allowed(house: House) -> None:
    """Through two replicas' counts, before the read models have any of them."""
    async with limited(house, maxWorkflows=3) as (tenant_id, client):
        engine = Engine(house.settings.database_url, name="penstock-other")
        await engine.open()
        other = Places(engine)
        ids = [f"0190a1b2-0000-7000-8000-00000000000{number}" for number in range(8)]
        asked = [
            (house.api.parts.places, other)[number % 2].take(tenant_id, each, 3)
            for number, each in enumerate(ids)
        ]
        found = await asyncio.gather(*asked, return_exceptions=True)
        await engine.close()
        assert found.count(True) == 3
        assert (await make(client)).status_code == 409


async def test_a_day_has_as_many_executions_as_the_tenant_may_begin(house: House) -> None:
    async with limited(house, maxExecutionsPerDay=3) as (_, client):
        workflow = (await make(client)).json()["id"]
        path = f"/api/workflows/{workflow}/execute"
        key = {"Idempotency-Key": "mine"}
        for _ in range(4):
            answer = await client.post(path, json={}, headers=key)
            assert answer.status_code == 202, answer.text
        for _ in range(2):
            assert (await client.post(path, json={})).status_code == 202
        refused = await client.post(path, json={})
        assert refusal(refused) == (429, "QUOTA_EXCEEDED", "maxExecutionsPerDay", 3, 3)
        assert 0 < int(refused.headers["retry-after"]) <= DAY_S
        assert (await client.post(path, json={}, headers=key)).status_code == 202
        shown = (await client.get("/api/usage")).json()["limits"]["maxExecutionsPerDay"]
        assert (shown["limit"], shown["used"]) == (3, 3)


async def test_a_retry_and_a_fork_count_as_well(house: House) -> None:
    async with limited(house, maxExecutionsPerDay=2) as (_, client):
        workflow = (await make(client)).json()["id"]
        ran = await client.post(f"/api/executions/{workflow}/execute", json={})
        forked = f"/api/runs/{ran.json()['id']}/fork"
        assert (await client.post(forked, json={"fromStep": "a"})).status_code == 201
        refused = await client.post(forked, json={"fromStep": "a"})
        assert refusal(refused)[:3] == (429, "QUOTA_EXCEEDED", "maxExecutionsPerDay")


async def test_executions_are_counted_over_restarts_and_replicas(house: House) -> None:
    """Some replicas end in peace, and others are killed: none begins what another has begun."""
    async with limited(house) as (tenant_id, _):
        most, begun = 60, 0
        for number in range(50):
            replica = Executions(house.api.parts.engine)
            took = [replica.take(tenant_id, most) for _ in range(3)]
            found = await asyncio.gather(*took, return_exceptions=True)
            begun += found.count(None)
            assert {getattr(each, "code", None) for each in found} <= {None, "QUOTA_EXCEEDED"}
            if number % 2:
                await replica.stop()
        assert most / 2 < begun <= most


async def test_the_next_day_begins_anew(house: House) -> None:
    async with limited(house) as (tenant_id, _):
        now = [datetime(2031, 5, 6, 23, 59, 50, tzinfo=UTC)]
        counts = Executions(house.api.parts.engine, lambda: now[0])
        await counts.take(tenant_id, 1)
        with pytest.raises(Problem, match="as many as it may") as refused:
            await counts.take(tenant_id, 1)
        assert refused.value.headers["Retry-After"] == "10"
        now[0] += timedelta(seconds=11)
        await counts.take(tenant_id, 1)


async def test_what_a_replica_has_not_used_is_there_for_others(house: House) -> None:
    async with limited(house) as (tenant_id, _):
        one, other = (Executions(house.api.parts.engine) for _ in range(2))
        most = 10 * BLOCK_MAX
        await one.take(tenant_id, most)
        await one.stop()
        for _ in range(most - 1):
            await other.take(tenant_id, most)
        with pytest.raises(Problem, match="as many as it may"):
            await other.take(tenant_id, most)


async def test_requests_of_a_minute_are_counted_and_told(house: House) -> None:
    async with limited(house, requestsPerMinute=5) as (tenant_id, client):
        answers = [await client.get("/api/workflows") for _ in range(6)]
        assert [each.status_code for each in answers] == [200] * 5 + [429]
        assert [each.headers["ratelimit-limit"] for each in answers] == ["5"] * 6
        assert [each.headers["ratelimit-remaining"] for each in answers[:3]] == ["4", "3", "2"]
        assert 0 < int(answers[-1].headers["ratelimit-reset"]) <= 60
        assert 0 < int(answers[-1].headers["retry-after"]) <= 12
        assert refusal(answers[-1]) == (429, "RATE_LIMITED", "requestsPerMinute", 5, 5)
        named = {"X-Tenant-Id": tenant_id}
        shown = await house.admin("GET", "/api/usage", headers=named)
        assert shown.json()["limits"]["requestsPerMinute"] == {"limit": 5, "used": 5}


async def test_a_changed_limit_holds_for_the_next_request(house: House) -> None:
    async with limited(house) as (tenant_id, client):
        assert "ratelimit-limit" in (await client.get("/api/workflows")).headers
        patch = {"config": {"limits": {"requestsPerMinute": 1}}}
        await house.admin("PATCH", f"/api/tenants/{tenant_id}", json=patch)
        answers = [(await client.get("/api/workflows")).status_code for _ in range(2)]
        assert answers == [200, 429]


async def test_payloads_and_definitions_have_the_tenants_sizes(house: House) -> None:
    async with limited(house, maxPayloadBytes=100, maxDefinitionBytes=700) as (_, client):
        big = chain(*(f"n{number}" for number in range(30)))
        refused = await client.post("/api/workflows", json={"definition": big})
        assert refusal(refused)[:4] == (413, "PAYLOAD_TOO_LARGE", "maxDefinitionBytes", 700)
        workflow = (await make(client)).json()["id"]
        path = f"/api/workflows/{workflow}/execute"
        refused = await client.post(path, json={"input": "x" * 99})
        assert refusal(refused) == (413, "PAYLOAD_TOO_LARGE", "maxPayloadBytes", 100, 101)
        assert refused.json()["details"][0]["pointer"] == "/input"
        assert (await client.post(path, json={"input": "x" * 98})).status_code == 202
        refused = await client.post("/api/variables", json={"name": "v", "value": "x" * 99})
        assert refusal(refused)[:3] == (413, "PAYLOAD_TOO_LARGE", "maxPayloadBytes")


async def test_a_key_of_a_run_that_is_kept_no_more_begins_no_other(
    house: House, api_urls: dict[str, str]
) -> None:
    async with limited(house) as (tenant_id, client):
        path = f"/api/executions/{(await make(client)).json()['id']}/execute"
        key = {"Idempotency-Key": "long ago"}
        ran = await client.post(path, json={}, headers=key)
        assert ran.json()["status"] == "succeeded"
        with psycopg.connect(api_urls["penstock_projector"], autocommit=True) as projector:
            past = "update penstock.runs set created_at = %s, finished_at = %s where id = %s"
            long_ago = datetime(2020, 1, 1, tzinfo=UTC)
            projector.execute(past, [long_ago, long_ago, ran.json()["id"]])
            gone = projector.execute("select penstock.expire_runs(%s, now(), 9)", [tenant_id])
            assert gone.fetchone() == (1,)
        again = await client.post(path, json={}, headers=key)
        assert (again.status_code, again.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
        assert (await client.get("/api/runs")).json()["items"] == []


async def test_runs_above_the_limit_wait_and_say_why(house: House) -> None:
    async with limited(house, maxConcurrentRuns=1) as (_, client):
        made = await client.post("/api/workflows", json={"definition": waiting()})
        path = f"/api/workflows/{made.json()['id']}/execute"
        first = (await client.post(path, json={})).json()["runId"]
        await shown_as(client, first, "waiting")
        second = (await client.post(path, json={})).json()["runId"]
        await shown_as(client, second, "queued")
        (wait,) = (await client.get(f"/api/runs/{second}/explain")).json()["waits"]
        assert (wait["cause"], wait["on"]) == ("gate", [first])
        assert "the tenant's limit of concurrent runs" in wait["detail"]
        usage = (await client.get("/api/usage")).json()
        assert usage["limits"]["maxConcurrentRuns"] == {"limit": 1, "used": 1}
        assert usage["waiting"]["runs"] == 1
        await client.post(f"/api/runs/{first}/cancel")
        await shown_as(client, second, "waiting")
        await client.post(f"/api/runs/{second}/cancel")


async def shown_as(client: AsyncClient, run_id: str, status: str) -> None:
    """Returns when the run has that status."""

    async def has_it() -> bool:
        return bool((await client.get(f"/api/runs/{run_id}")).json()["status"] == status)

    await until(has_it, within_s=10, what=f"a run that is {status}")


async def test_too_much_that_waits_is_refused_at_the_door(house: House) -> None:
    pressure = house.api.parts.pressure
    async with limited(house) as (tenant_id, client):
        workflow = (await make(client)).json()["id"]
        path = f"/api/workflows/{workflow}/execute"
        now = asyncio.get_running_loop().time()
        full = Load(instance="s", tenants={tenant_id: Steps(waiting=WAITING_STEPS_MAX + 1)})
        pressure._heard["s"] = Heard(now, full)
        refused = await client.post(path, json={})
        assert refusal(refused)[:3] == (429, "RATE_LIMITED", "waitingSteps")
        assert int(refused.headers["retry-after"]) > 0
        assert (await client.get("/api/usage")).json()["waiting"]["steps"] > WAITING_STEPS_MAX
        pressure._heard["s"] = Heard(now - 60, full)
        assert (await client.post(path, json={})).status_code == 202
        await pressure.stop()
        pressure.backlog = BACKLOG_MAX + 1
        refused = await client.post(path, json={})
        await pressure.start()
        assert refusal(refused)[:3] == (429, "RATE_LIMITED", "commands")
        await pressure.look()
        assert (await client.post(path, json={})).status_code == 202


async def test_usage_is_for_viewers_of_the_tenant_alone(house: House) -> None:
    async with limited(house, maxWorkflows=7) as (tenant_id, client):
        made = await client.post("/api/api-keys", json={"name": "v", "role": "viewer"})
        async with house.caller(made.json()["key"]) as viewer:
            answer = await viewer.get("/api/usage")
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["tenantId"] == tenant_id
        assert body["limits"]["maxWorkflows"] == {"limit": 7, "used": 0}
        assert body["limits"]["retentionDays"] == {"limit": 30}
        assert (await house.client.get("/api/usage")).status_code == 401
