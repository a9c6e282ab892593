"""Probes across tenants: what belongs to another tenant is answered like what nobody has.

Each probe is sent twice, with an id of the other tenant and with one that nobody has; status, body
and the headers of ours must be the same once the id itself is taken out.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from itertools import product
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response

from penstock.api.app import routes
from penstock.api.auth import Access, guard_of
from tests.integration.api.houses import House, chain
from tests.integration.api.matrix import BODILESS, Door, doors, doors_of
from tests.integration.api.people import address, registered

PROBES_MIN = 500
READING_AT_ONCE = 8
REQUEST_ID = {"X-Request-Id": "a-probe"}

NAMED = {
    "connection": "connection",
    "key_id": "key",
    "run_id": "run",
    "secret": "secret",
    "tenant_id": "tenant",
    "user_id": "user",
    "variable": "variable",
    "workflow_id": "workflow",
}
"""By parameter of a path, which thing it names."""
COMMON = {"step_id": "first", "name": "signal", "version": "1"}
"""What looks the same with everybody. A parameter in neither fails here until it is in one."""

Things = dict[str, str]
"""Names and ids of what a tenant has, by what they are."""


class Probe(NamedTuple):
    """A request; `@` stands wherever the id goes. about: which thing it is to name, if any."""

    method: str
    path: str
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    about: str = ""

    def with_id(self, text: str) -> dict[str, Any]:
        """The arguments of the request that names `text`."""
        sent: dict[str, Any] = {
            "method": self.method,
            "url": self.path.replace("@", text),
            "headers": REQUEST_ID
            | {name: value.replace("@", text) for name, value in self.headers},
        }
        if self.body is not None:
            sent["content"] = json.dumps(self.body).replace("@", text)
            sent["headers"]["Content-Type"] = "application/json"
        return sent


async def furnished(admin: AsyncClient, tenant_id: str) -> Things:
    """One of everything that a tenant can have."""
    drawn = chain("first", "last", name=f"private {uuid4().hex[:6]}")
    workflow = (await admin.post("/api/workflows", json={"definition": drawn})).json()
    path = f"/api/workflows/{workflow['id']}"
    version = (await admin.get(f"{path}/versions")).json()["items"][0]
    run = (await admin.post(f"{path}/execute?mode=sync", json={"input": {}})).json()
    name = f"v{uuid4().hex[:8]}"
    variable = (await admin.post("/api/variables", json={"name": name, "value": 1})).json()
    key = (await admin.post("/api/api-keys", json={"name": "k", "role": "viewer"})).json()
    user = (await admin.post("/api/users", json={"email": address(), "role": "viewer"})).json()
    secret = (await admin.post("/api/secrets", json={"name": name, "value": "a value"})).json()
    bearer = {"name": name, "type": "bearer", "config": {"token": "a long token"}}
    connection = (await admin.post("/api/connections", json=bearer)).json()
    return {
        "tenant": tenant_id,
        "workflow": workflow["id"],
        "workflow key": workflow["key"],
        "version": version["id"],
        "run": run["id"],
        "variable": variable["id"],
        "secret": secret["id"],
        "connection": connection["id"],
        "name": name,
        "key": key["id"],
        "user": user["id"],
    }


@pytest.fixture(scope="module")
async def neighbours(house: House) -> AsyncIterator[tuple[AsyncClient, Things, Things]]:
    """An admin, what is theirs, and what is another tenant's."""
    mine, theirs = await registered(house), await registered(house)
    async with house.caller(theirs["token"]) as other:
        foreign = await furnished(other, theirs["tenant"]["id"])
    async with house.caller(mine["token"]) as admin:
        yield admin, await furnished(admin, mine["tenant"]["id"]), foreign


def nobodys(text: str) -> str:
    """An id, or a name, of the same shape that nobody has."""
    return str(uuid4()) if len(text) == 36 else f"{text[:-1]}{'y' if text[-1] != 'y' else 'z'}"


def probes(own: Things) -> Iterator[Probe]:
    """Ids in paths, by themselves and beneath what is one's own; in queries, bodies, headers."""
    for door in doors():
        yield from in_path(door, own)
    yield from in_query(own)
    yield from in_body(own)
    yield Probe("GET", "/api/workflows", headers=(("X-Tenant-Id", "@"),))
    yield Probe("GET", "/api/auth/me", headers=(("X-Tenant-Id", "@"),))
    yield Probe("GET", "/api/workflows", headers=(("If-None-Match", '"@"'),))


def in_path(door: Door, own: Things) -> Iterator[Probe]:
    """The id at each parameter, with what is one's own at all the others."""
    bodies: tuple[Any, ...] = (None,) if door.method in BODILESS else ({}, {"name": "x"})
    others = named_by(door, own)
    for name, body in product(door.parameters(), bodies):
        about = NAMED.get(name, "version")
        yield Probe(door.method, door.at(**{**others, name: "@"}), body, about=about)


def is_apt(probe: Probe, kind: str) -> bool:
    """Whether a probe is sent with such a thing.

    Reads are, with everything. Writes go one after the other, and each that is refused is
    recorded: they are with what they are about, with a name and with an id of another kind.
    """
    return probe.method == "GET" or not probe.about or kind in {probe.about, "name", "run"}


def named_by(door: Door, own: Things) -> dict[str, str]:
    """One's own thing at each parameter of a path."""
    return {name: COMMON.get(name) or own[NAMED[name]] for name in door.parameters()}


def in_query(own: Things) -> Iterator[Probe]:
    """The id as whatever a query may say: filters, places to go on from, versions."""
    for route in routes():
        if "GET" not in (route.methods or ()) or not isinstance(guard_of(route), Access):
            continue
        (door,) = doors_of(route)
        path = door.at(**named_by(door, own))
        for parameter in route.dependant.query_params:
            yield Probe("GET", f"{path}?{parameter.alias}=@")


def in_body(own: Things) -> Iterator[Probe]:
    """The id as what a request is about."""
    execute = f"/api/workflows/{own['workflow']}/execute"
    yield Probe("POST", "/api/executions/run", {"workflowId": "@", "input": {}})
    yield Probe("POST", execute, {"version": "@"})
    yield Probe("POST", "/api/runs/bulk", {"filter": {"workflowId": "@"}, "action": "cancel"})
    yield Probe("POST", "/api/auth/accept", {"token": "@", "password": "long enough"})
    yield Probe("POST", "/api/auth/logout", {"refreshToken": "@"})
    child = {"id": "c", "type": "sub_workflow", "config": {"workflow": "@"}}
    drawn = {"name": "x", "nodes": [child], "edges": []}
    yield Probe("POST", "/api/workflows/validate", {"definition": drawn})


def told(answer: Response, text: str) -> tuple[int, Any, Any]:
    """What an answer tells: status, body and headers of ours, without the id that was asked for."""
    body = answer.text.replace(text, "@")
    if "json" in answer.headers.get("content-type", ""):
        found = json.loads(body)
        if isinstance(found, dict):
            found.pop("traceId", None)
        body = json.dumps(found, sort_keys=True)
    ours = {name: value for name, value in answer.headers.items() if name.startswith("x-")}
    return answer.status_code, body, ours


async def test_no_probe_tells_another_tenants_things_from_what_nobody_has(
    neighbours: tuple[AsyncClient, Things, Things],
) -> None:
    admin, own, foreign = neighbours
    reading = asyncio.Semaphore(READING_AT_ONCE)

    async def leak(probe: Probe, kind: str, theirs: str) -> tuple[Any, ...] | None:
        ours = nobodys(theirs)
        async with reading:
            first = told(await admin.request(**probe.with_id(theirs)), theirs)
            second = told(await admin.request(**probe.with_id(ours)), ours)
        return None if first == second and first[0] < 500 else (probe, kind, first, second)

    sent = [
        (probe, kind, theirs)
        for probe, (kind, theirs) in product(probes(own), foreign.items())
        if is_apt(probe, kind)
    ]
    assert len(sent) >= PROBES_MIN
    reads = [leak(*each) for each in sent if each[0].method == "GET"]
    found = await asyncio.gather(*reads)
    # What writes may change what the next one is told of one's own: one after the other.
    found += [await leak(*each) for each in sent if each[0].method != "GET"]
    assert [each for each in found if each is not None] == []


async def test_a_cursor_of_another_tenant_is_no_cursor(house: House) -> None:
    found = [await registered(house) for _ in range(2)]
    cursors = []
    for each in found:
        async with house.caller(each["token"]) as admin:
            for name in ("one", "two"):
                await admin.post("/api/workflows", json={"name": name})
            cursors.append((await admin.get("/api/workflows?limit=1")).json()["nextCursor"])
    async with house.caller(found[0]["token"]) as admin:
        assert (await admin.get(f"/api/workflows?cursor={cursors[0]}")).status_code == 200
        foreign = await admin.get(f"/api/workflows?cursor={cursors[1]}")
        broken = await admin.get("/api/workflows?cursor=AAAA")
    assert foreign.status_code == broken.status_code == 400
    assert {**foreign.json(), "traceId": ""} == {**broken.json(), "traceId": ""}


async def test_an_idempotency_key_of_another_tenant_is_as_good_as_new(house: House) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    ids = set()
    for _ in range(2):
        found = await registered(house)
        async with house.caller(found["token"]) as admin:
            made = await admin.post("/api/workflows", json={"name": "same"}, headers=key)
            assert "idempotent-replayed" not in made.headers
            ids.add(made.json()["id"])
    assert len(ids) == 2


async def test_what_is_another_tenants_is_still_there_after_all_probes(
    house: House, neighbours: tuple[AsyncClient, Things, Things]
) -> None:
    _, _, foreign = neighbours
    named = {"X-Tenant-Id": foreign["tenant"]}
    for path, kind in (
        ("workflows", "workflow"),
        ("runs", "run"),
        ("variables", "variable"),
        ("users", "user"),
        ("secrets", "secret"),
        ("connections", "connection"),
    ):
        answer = await house.admin("GET", f"/api/{path}/{foreign[kind]}", headers=named)
        assert answer.status_code == 200, (path, answer.text)
    keys = (await house.admin("GET", "/api/api-keys", headers=named)).json()["items"]
    assert foreign["key"] in {each["id"] for each in keys}
