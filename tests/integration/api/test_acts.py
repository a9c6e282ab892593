"""What is tried in vain, who logs in, who takes data out: each is an event that says who."""

import asyncio
from typing import Any
from uuid import uuid4

from httpx import AsyncClient

from penstock.domain.identity import PLATFORM_SCOPE
from tests.integration.api.houses import ADMIN_KEY, House
from tests.integration.api.people import PASSWORD, added, address, log_in, registered
from tests.unit.client.far_side import FarSide, says

AGENT = "acts/1.0"
POLLS = 700
"""As long as the longest window lasts, and what it takes to tell."""
POLL_S = 0.1
FLOOD = 1_000
AT_ONCE = 8
WINDOWS_MAX = 12
"""Half a second, doubled up to a minute: more do not fit into the time that a test has."""


async def acts(client: AsyncClient, type_: str, *, enough: int = 1) -> list[dict[str, Any]]:
    """The acts of one type, once so many have been counted."""
    found: list[dict[str, Any]] = []
    for _ in range(POLLS):
        answer = await client.get("/api/audit/events", params={"type": type_, "limit": 200})
        assert answer.status_code == 200, answer.text
        found = answer.json()["items"]
        if sum(each["data"]["count"] for each in found) >= enough:
            break
        await asyncio.sleep(POLL_S)
    return found


def of_route(found: list[dict[str, Any]], route: str) -> dict[str, Any]:
    """The one act at a route."""
    (one,) = [each for each in found if each["data"]["route"] == route]
    return one


async def test_who_may_not_is_told_by_name(house: House, tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/api-keys", json={"name": "v", "role": "viewer"})).json()
    async with house.caller(made["key"], **{"User-Agent": AGENT}) as viewer:
        headers = {"X-Request-Id": (request_id := uuid4().hex)}
        refused = await viewer.post("/api/workflows", json={"name": "x"}, headers=headers)
        assert refused.status_code == 403
        (event,) = await acts(tenant, "AccessDenied")
        assert (event["result"], event["correlationId"]) == ("denied", request_id)
        assert event["actor"] == event["data"]["presented"] == f"key:{made['id']}"
        assert event["origin"] == {"address": "127.0.0.1", "userAgent": AGENT}
        said = {name: event["data"][name] for name in ("method", "route", "status", "code")}
        assert said == {
            "method": "POST",
            "route": "/api/workflows",
            "status": 403,
            "code": "FORBIDDEN",
        }
        assert event["data"]["permission"] == "workflows:write"
        await tenant.delete(f"/api/api-keys/{made['id']}")
        for _ in range(POLLS):
            if (await viewer.get("/api/runs")).status_code == 401:
                break
            await asyncio.sleep(POLL_S)
    revoked = of_route(await acts(tenant, "AccessDenied", enough=2), "/api/runs")
    assert revoked["actor"] == "anonymous"
    assert revoked["data"]["presented"] == f"key:{made['id']}"


async def test_what_is_tried_by_nobody_is_told_to_the_platform(house: House) -> None:
    agent = {"User-Agent": uuid4().hex}
    assert (await house.client.get("/api/runs", headers=agent)).status_code == 401
    garbage = agent | {"Authorization": "Bearer garbage"}
    assert (await house.client.get("/api/usage", headers=garbage)).status_code == 401
    nobody = {"email": address(), "password": PASSWORD}
    answer = await house.client.post("/api/auth/login", json=nobody, headers=agent)
    assert answer.status_code == 401
    named = {"X-API-Key": ADMIN_KEY, "X-Tenant-Id": str(PLATFORM_SCOPE)}
    async with AsyncClient(base_url=house.url, headers=named, timeout=20) as admin:
        found: list[dict[str, Any]] = []
        for _ in range(POLLS):
            found = await everything(admin)
            found = [each for each in found if said_by(each) == agent["User-Agent"]]
            if len(found) >= 3:
                break
            await asyncio.sleep(POLL_S)
        told = {(each["type"], each["data"].get("presented"), each["actor"]) for each in found}
        assert told == {
            ("AccessDenied", "nothing", "anonymous"),
            ("AccessDenied", "unknown", "anonymous"),
            ("LoginFailed", None, "anonymous"),
        }
        verdict = (await admin.get("/api/audit/verify")).json()
        assert verdict["ok"]
        assert (await admin.get("/api/workflows")).status_code == 404


def said_by(event: dict[str, Any]) -> str:
    return str((event["origin"] or {}).get("userAgent", ""))


async def everything(client: AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        page = (await client.get("/api/audit/events?limit=200", params=after)).json()
        if not page["items"]:
            return found
        found += page["items"]
        after = {"after": page["nextCursor"]}


async def test_sessions_are_told_from_login_to_logout(house: House) -> None:
    owner = await registered(house)
    async with house.caller(owner["token"]) as admin:
        user = await added(admin, "viewer")
        actor = f"user:{user['id']}"
        assert (await log_in(house, user["email"], "a wrong password")).status_code == 401
        tokens = (await log_in(house, user["email"])).json()
        body = {"refreshToken": tokens["refreshToken"]}
        fresh = (await house.client.post("/api/auth/refresh", json=body)).json()
        assert (await house.client.post("/api/auth/refresh", json=body)).status_code == 401
        last = {"refreshToken": fresh["refreshToken"]}
        assert (await house.client.post("/api/auth/logout", json=last)).status_code == 204
        for type_, result, status in (
            ("LoginFailed", "denied", 401),
            ("LoggedIn", "done", 200),
            ("SessionRevoked", "done", 401),
            ("LoggedOut", "done", 204),
        ):
            (event,) = await acts(admin, type_)
            assert (event["actor"], event["result"]) == (actor, result)
            assert event["data"]["status"] == status
            assert event["origin"]["address"] == "127.0.0.1"


async def test_writes_that_are_refused_and_exports_are_told(tenant: AsyncClient) -> None:
    assert (await tenant.put("/api/variables/none", json={"value": 1})).status_code == 404
    assert (await tenant.post("/api/variables", json={"nope": 1})).status_code == 400
    assert (await tenant.get("/api/variables/none")).status_code == 404
    refused = await acts(tenant, "WriteRefused", enough=2)
    said = {(each["data"]["route"], each["data"]["status"]) for each in refused}
    assert said == {("/api/variables/{variable}", 404), ("/api/variables", 400)}
    assert {each["result"] for each in refused} == {"refused"}
    assert {each["actor"].partition(":")[0] for each in refused} == {"key"}
    await tenant.get("/api/audit/export")
    (exported,) = await acts(tenant, "DataExported")
    assert exported["data"]["route"] == "/api/audit/export"


async def test_a_flood_of_denials_is_a_few_events_that_add_up(
    house: House, tenant: AsyncClient
) -> None:
    made = (await tenant.post("/api/api-keys", json={"name": "v", "role": "viewer"})).json()
    at_once = asyncio.Semaphore(AT_ONCE)
    async with house.caller(made["key"]) as viewer:

        async def denied() -> int:
            async with at_once:
                return (await viewer.get("/api/users")).status_code

        answers = await asyncio.gather(*(denied() for _ in range(FLOOD)))
    assert set(answers) == {403}
    found = await acts(tenant, "AccessDenied", enough=FLOOD)
    assert sum(each["data"]["count"] for each in found) == FLOOD
    assert len(found) <= WINDOWS_MAX


async def test_no_flood_of_denials_hides_a_login_and_an_export(house: House) -> None:
    owner = await registered(house)
    async with house.caller(owner["token"]) as admin:
        user = await added(admin, "viewer")
        made = (await admin.post("/api/api-keys", json={"name": "v", "role": "viewer"})).json()
        at_once = asyncio.Semaphore(AT_ONCE)
        async with house.caller(made["key"]) as viewer:

            async def denied() -> int:
                agent = {"User-Agent": uuid4().hex}
                async with at_once:
                    return (await viewer.get("/api/users", headers=agent)).status_code

            async def flood() -> set[int]:
                return set(await asyncio.gather(*(denied() for _ in range(FLOOD // 2))))

            assert await flood() == {403}
            assert (await log_in(house, user["email"])).status_code == 200
            other = {"User-Agent": AGENT}
            assert (await admin.get("/api/audit/export", headers=other)).status_code == 200
            assert await flood() == {403}
        (login,) = await acts(admin, "LoggedIn")
        assert login["actor"] == f"user:{user['id']}"
        (export,) = await acts(admin, "DataExported")
        assert export["origin"]["userAgent"] == AGENT
        found = await acts(admin, "AccessDenied", enough=FLOOD)
        assert sum(each["data"]["count"] for each in found) == FLOOD
        assert len(found) <= WINDOWS_MAX
        assert {each["actor"] for each in found} == {f"key:{made['id']}"}
        assert not await acts(admin, "ActsUnrecorded", enough=0)


# --- secrets -------------------------------------------------------------------------------------


async def test_what_steps_were_given_is_told_by_id(house: House, tenant: AsyncClient) -> None:
    me = (await tenant.get("/api/auth/me")).json()["tenant"]["id"]
    allowed = {"config": {"egressAllow": ["127.0.0.0/8"]}}
    assert (await house.admin("PATCH", f"/api/tenants/{me}", json=allowed)).status_code == 200
    token = await tenant.post("/api/secrets", json={"name": "token", "value": "a-secret-value"})
    shop = {"name": "shop", "type": "bearer", "config": {"token": "a-long-token"}}
    made = await tenant.post("/api/connections", json=shop)
    with FarSide(says({}), says({})) as far:
        config = {"url": far.url, "connection": "shop", "headers": {"x": "{{ secrets.token }}"}}
        nowhere = {**config, "url": "http://10.255.255.1:1/"}
        await ran(tenant, {"id": "tells", "type": "http_request", "config": config})
        await ran(tenant, {"id": "fails", "type": "http_request", "config": nowhere})
    await ran(tenant, {"id": "nothing", "type": "noop"})
    answer = await tenant.get("/api/audit/events?type=SecretUsed")
    found = {each["data"]["stepId"]: each for each in answer.json()["items"]}
    assert set(found) == {"tells", "fails"}
    for event in found.values():
        ids = [f"secret:{token.json()['id']}", f"connection:{made.json()['id']}"]
        assert event["data"]["used"] == ids
        assert event["actor"].startswith("executor:")
        assert event["subject"]["kind"] == "run"
        assert "token" not in str(event["data"])


async def ran(tenant: AsyncClient, node: dict[str, Any]) -> None:
    """A run of one step, to its end."""
    drawn = {"definition": {"name": node["id"], "nodes": [node], "edges": []}}
    made = (await tenant.post("/api/workflows", json=drawn)).json()
    answer = await tenant.post(f"/api/workflows/{made['id']}/execute?mode=sync", json={})
    assert answer.status_code == 200, answer.text
