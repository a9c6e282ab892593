"""Open connections of people: what ends their right to listen ends the connection, nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from penstock.api import histories, standing
from penstock.api.identity import tokens
from tests.integration.api.houses import House, waiting
from tests.integration.api.people import added, log_in, registered
from tests.integration.api.test_live import Watcher, begun
from tests.integration.api.test_runs import drawn

SOON = 0.2


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "CHECK_S", SOON)


@pytest.fixture
async def admin(house: House) -> AsyncIterator[AsyncClient]:
    """A tenant's first user."""
    async with house.caller((await registered(house))["token"]) as client:
        yield client


async def logged_in(house: House, admin: AsyncClient, role: str) -> dict[str, Any]:
    """A new user with a session of theirs."""
    user = await added(admin, role)
    session: dict[str, Any] = (await log_in(house, user["email"])).json()
    return {**user, **session}


def socket(house: House, token: str, *, path: str = "/ws", in_header: bool = False) -> connect:
    url = f"{house.url.replace('http', 'ws', 1)}{path}"
    headers = {"Authorization": f"Bearer {token}"} if in_header else {}
    return connect(url if in_header else f"{url}?token={token}", additional_headers=headers)


async def refused(connection: ClientConnection) -> tuple[str, int]:
    """The code that the last frame says, and the one that closes."""
    said = await Watcher(connection).error()
    with pytest.raises(ConnectionClosed) as closed:
        await asyncio.wait_for(connection.recv(), 15)
    assert closed.value.rcvd is not None
    return said["code"], closed.value.rcvd.code


@pytest.mark.parametrize("path", ["/ws", "/api/ws"])
@pytest.mark.parametrize("in_header", [False, True])
async def test_a_token_opens_a_socket(
    house: House, admin: AsyncClient, path: str, in_header: bool
) -> None:
    viewer = await logged_in(house, admin, "viewer")
    workflow = await drawn(admin, waiting(100))
    async with socket(house, viewer["token"], path=path, in_header=in_header) as connection:
        watcher = Watcher(connection)
        await watcher.subscribe()
        await begun(admin, workflow)
        assert (await watcher.events("RunSucceeded"))[0]["type"] == "RunStarted"


async def test_a_foreign_run_is_told_like_one_that_nobody_has(
    house: House, admin: AsyncClient
) -> None:
    workflow = await drawn(admin, waiting(100))
    theirs = {"runId": await begun(admin, workflow), "workflowId": workflow}
    stranger = await registered(house)
    async with socket(house, stranger["token"]) as connection:
        watcher, found = Watcher(connection), []
        for name, foreign in theirs.items():
            for asked in (foreign, str(uuid4())):
                await watcher.say({"subscribe": {name: asked}})
                found.append(json.dumps(await watcher.error()).replace(asked, "@"))
    assert found[0] == found[1]
    assert found[2] == found[3]


async def test_a_token_that_expires_closes_and_the_next_one_goes_on(
    house: House, admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = await logged_in(house, admin, "viewer")
    async with socket(house, viewer["token"]) as connection:
        start = await Watcher(connection).subscribe()
        monkeypatch.setattr(tokens, "SKEW_S", -2 * tokens.LIFE_S)
        assert await refused(connection) == ("UNAUTHORIZED", 1008)
    monkeypatch.undo()
    monkeypatch.setattr(standing, "CHECK_S", SOON)
    run_id = await begun(admin, await drawn(admin, waiting(100)))
    body = {"refreshToken": viewer["refreshToken"]}
    again = (await house.client.post("/api/auth/refresh", json=body)).json()
    async with socket(house, again["token"]) as connection:
        watcher = Watcher(connection)
        await watcher.subscribe(after=start)
        events = await watcher.events("RunSucceeded")
    assert {event["subject"]["id"] for event in events} == {run_id}
    assert events[0]["type"] == "RunStarted"


@pytest.mark.parametrize("how", ["logout", "removed"])
async def test_who_is_out_hears_no_more(house: House, admin: AsyncClient, how: str) -> None:
    viewer = await logged_in(house, admin, "viewer")
    async with socket(house, viewer["token"]) as connection:
        await Watcher(connection).subscribe()
        if how == "logout":
            body = {"refreshToken": viewer["refreshToken"]}
            await house.client.post("/api/auth/logout", json=body)
        else:
            assert (await admin.delete(f"/api/users/{viewer['id']}")).status_code == 204
        assert await refused(connection) == ("UNAUTHORIZED", 1008)


async def limit(house: House, tenant_id: str, per_minute: int | None) -> None:
    body = {"config": {"limits": {"requestsPerMinute": per_minute}}}
    await house.admin("PATCH", f"/api/tenants/{tenant_id}", json=body)


async def test_another_role_and_many_requests_close_nothing(
    house: House, admin: AsyncClient
) -> None:
    """Whoever may read goes on reading; what the tenant may ask is not asked by listening."""
    editor = await logged_in(house, admin, "editor")
    workflow = await drawn(admin, waiting(100))
    async with socket(house, editor["token"]) as connection:
        watcher = Watcher(connection)
        await watcher.subscribe()
        changed = await admin.patch(f"/api/users/{editor['id']}", json={"role": "viewer"})
        assert changed.status_code == 200
        tenant_id = (await admin.get("/api/auth/me")).json()["tenant"]["id"]
        await limit(house, tenant_id, 3)
        statuses = [(await admin.get("/api/workflows")).status_code for _ in range(5)]
        assert statuses[-1] == 429
        await asyncio.sleep(3 * SOON)
        await limit(house, tenant_id, None)
        await begun(admin, workflow)
        assert await watcher.events("RunSucceeded")


async def test_a_stream_ends_when_its_reader_is_out(
    house: House, admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "IDLE_S", SOON)
    monkeypatch.setattr(histories.Histories.follow, "__kwdefaults__", {"idle_s": SOON})
    viewer = await logged_in(house, admin, "viewer")
    run_id = await begun(admin, await drawn(admin, waiting()))
    async with (
        house.caller(viewer["token"]) as client,
        client.stream("GET", f"/api/runs/{run_id}/stream") as answer,
    ):
        lines = answer.aiter_lines()
        while await anext(lines) != "event: RunStarted":
            pass
        await admin.delete(f"/api/users/{viewer['id']}")
        rest = [line async for line in lines]
    assert "event: end" not in rest
    await admin.post(f"/api/runs/{run_id}/cancel")
