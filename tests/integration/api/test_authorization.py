"""The matrix: every route by every role, in its own and a foreign tenant, and by nobody."""

import asyncio
from itertools import product
from typing import Any

import pytest
from httpx import AsyncClient, Response

from penstock.api.auth import Guard
from penstock.domain.identity import NEEDED, Permission, Role
from tests.integration.api.houses import ADMIN_KEY, House, chain
from tests.integration.api.least_roles import LEAST, PUBLIC, SELF
from tests.integration.api.matrix import (
    BODILESS,
    FOREIGN,
    OWN,
    Asker,
    Door,
    doors,
    expected,
    is_as_expected,
)
from tests.integration.api.people import ROLES, added, log_in, registered

NOBODYS: tuple[tuple[str, dict[str, str]], ...] = (
    ("absent", {}),
    ("empty", {"Authorization": "Bearer"}),
    ("garbage", {"Authorization": "Bearer garbage"}),
    ("garbage like a key", {"X-API-Key": f"psk_{'0' * 32}_{'A' * 43}"}),
    ("garbage like a token", {"Authorization": "Bearer a.b.c"}),
    ("another scheme", {"Authorization": "Basic YTpi"}),
)
AT_ONCE = 8
"""Requests under way; an answer that nobody has is waited for, now and then."""


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture(scope="module")
async def askers(house: House) -> tuple[list[Asker], dict[str, str]]:
    """Users and keys of every role, the platform admin, and nobody; the tenants to be named."""
    mine, theirs = await registered(house), await registered(house)
    found = [Asker(name, headers, None) for name, headers in NOBODYS]
    found.append(Asker("platform admin", bearer(ADMIN_KEY), Role.PLATFORM_ADMIN))
    async with house.caller(mine["token"]) as admin:
        for role in ROLES:
            email = (await added(admin, role))["email"]
            token = (await log_in(house, email)).json()["token"]
            found.append(Asker(f"user {role}", bearer(token), Role(role)))
            made = await admin.post("/api/api-keys", json={"name": role, "role": role})
            found.append(Asker(f"key {role}", {"X-API-Key": made.json()["key"]}, Role(role)))
    return found, {OWN: mine["tenant"]["id"], FOREIGN: theirs["tenant"]["id"]}


async def asked(client: AsyncClient, door: Door, headers: dict[str, str]) -> tuple[int, str]:
    """Status and code of an answer to a request that asks for nothing there is."""
    body: dict[str, Any] = {} if door.method in BODILESS else {"json": {}}
    answer = await client.request(door.method, door.at(), headers=headers, **body)
    return answer.status_code, code_of(answer)


def code_of(answer: Response) -> str:
    if "problem+json" not in answer.headers.get("content-type", ""):
        return ""
    code: str = answer.json()["code"]
    return code


@pytest.mark.parametrize("named", [None, OWN, FOREIGN])
async def test_every_route_lets_in_whom_it_says_and_nobody_else(
    house: House, askers: tuple[list[Asker], dict[str, str]], named: str | None
) -> None:
    everybody, tenants = askers
    at_once = asyncio.Semaphore(AT_ONCE)

    async def wrong(door: Door, asker: Asker) -> tuple[str, str, str, int, str] | None:
        headers = dict(asker.headers)
        if named is not None:
            headers["X-Tenant-Id"] = tenants[named]
        async with at_once:
            status, code = await asked(house.client, door, headers)
        if is_as_expected(expected(door, asker, named), status, code):
            return None
        return door.method, door.path, asker.name, status, code

    asking = [wrong(door, asker) for door, asker in product(doors(), everybody)]
    assert len(asking) == len(list(doors())) * len(everybody)
    assert [each for each in await asyncio.gather(*asking) if each is not None] == []


def test_every_route_has_its_line_in_the_table_and_every_line_a_route() -> None:
    assert {(door.method, door.path) for door in doors()} == set(LEAST)


def test_what_the_routes_state_is_what_the_table_says() -> None:
    """Without asking anybody, so that it says which route is wrong, and how."""

    def stated(guard: Guard) -> str:
        if guard.permission is None:
            return PUBLIC
        if guard.permission is Permission.SELF_READ:
            return SELF
        return NEEDED[guard.permission]

    wrong = {
        (door.method, door.path): (stated(door.guard), LEAST[door.method, door.path])
        for door in doors()
        if stated(door.guard) != LEAST[door.method, door.path]
    }
    assert wrong == {}


async def test_who_may_only_run_forks_with_no_definition_of_their_own(
    house: House, tenant: AsyncClient
) -> None:
    run = (await tenant.post("/api/workflows", json={"definition": chain("a")})).json()
    run = (await tenant.post(f"/api/workflows/{run['id']}/execute", json={})).json()
    path = f"/api/runs/{run['runId']}/fork?dryRun=true"
    found = {}
    for role in ("member", "editor"):
        made = await tenant.post("/api/api-keys", json={"name": role, "role": role})
        async with house.caller(made.json()["key"]) as client:
            for body in ({}, {"definition": chain("a", "b")}):
                found[role, len(body)] = (await client.post(path, json=body)).status_code
    assert found.pop(("member", 1)) == 403
    assert 403 not in found.values()


def test_every_permission_is_asked_for_somewhere_and_given_to_somebody() -> None:
    stated = {door.guard.permission for door in doors()} - {None}
    assert stated <= set(Permission)
    assert set(NEEDED) == set(Permission)
