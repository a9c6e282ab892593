"""Who did what: in one order, without gaps while it grows, with hashes that anybody can check."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from httpx import AsyncClient

from tests.integration.api.houses import House, chain

WRITES = 30
NO_HASH = "0" * 64
FAMILIES = {False: "evt", True: "reg"}


async def paged(client: AsyncClient, *, limit: int, **filters: Any) -> list[dict[str, Any]]:
    """All events, page by page."""
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        answer = await client.get("/api/audit/events", params={"limit": limit, **filters, **after})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if not page["items"] and page["nextCursor"] == after.get("after"):
            return found
        after = {"after": page["nextCursor"]}


async def furnished(tenant: AsyncClient) -> str:
    """A workflow that has run; the run's id."""
    drawn = {"definition": chain("a", "b")}
    made = (await tenant.post("/api/workflows", json=drawn)).json()
    path = f"/api/workflows/{made['id']}/execute?mode=sync"
    run = await tenant.post(path, json={"input": {"name": "Ada"}})
    assert run.status_code == 200, run.text
    await tenant.post("/api/variables", json={"name": "v", "value": 1})
    return str(run.json()["id"])


async def test_events_of_both_logs_stand_in_one_order(tenant: AsyncClient) -> None:
    run_id = await furnished(tenant)
    events = await paged(tenant, limit=200)
    types = [each["type"] for each in events]
    for first, then in (
        ("TenantCreated", "ApiKeyCreated"),
        ("ApiKeyCreated", "WorkflowCreated"),
        ("WorkflowCreated", "RunStarted"),
        ("RunStarted", "RunSucceeded"),
        ("RunSucceeded", "VariableCreated"),
    ):
        assert types.index(first) < types.index(then), types
    started = next(each for each in events if each["type"] == "RunStarted")
    assert started["subject"] == {"kind": "run", "id": run_id}
    assert started["data"]["input"]["inline"] == {"name": "Ada"}
    assert started["actor"].startswith("key:")
    assert started["correlationId"]
    assert started["result"] == "done"
    assert len({each["position"] for each in events}) == len(events)


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_pages_of_any_size_tell_the_same(tenant: AsyncClient, limit: int) -> None:
    await furnished(tenant)
    whole = await paged(tenant, limit=200)
    assert await paged(tenant, limit=limit) == whole
    for index in range(len(whole)):
        after = {"after": whole[index]["position"], "limit": 200}
        rest = (await tenant.get("/api/audit/events", params=after)).json()
        assert rest["items"] == whole[index + 1 :]


async def test_a_reader_passes_over_nothing_while_both_logs_grow(tenant: AsyncClient) -> None:
    drawn = {"definition": chain("a", "b", "c")}
    made = (await tenant.post("/api/workflows", json=drawn)).json()
    execute = f"/api/workflows/{made['id']}/execute"

    async def run(index: int) -> None:
        await tenant.post(f"{execute}?mode=sync", json={"input": index})

    async def set_variable(index: int) -> None:
        await tenant.post("/api/variables", json={"name": f"v{index}", "value": index})

    async def write() -> None:
        for index in range(WRITES):
            await asyncio.gather(run(index), set_variable(index))

    writing = asyncio.create_task(write())
    read: list[str] = []
    after: dict[str, str] = {}
    while True:
        is_over = writing.done()
        answer = await tenant.get("/api/audit/events", params={"limit": 3, **after})
        page = answer.json()
        read += [each["position"] for each in page["items"]]
        if not page["items"] and is_over:
            break
        after = {"after": page["nextCursor"]}
    await writing
    whole = [each["position"] for each in await paged(tenant, limit=200)]
    assert read == whole
    assert sum(position.startswith("r") for position in whole) >= WRITES


async def test_events_are_found_by_type_and_by_actor(tenant: AsyncClient) -> None:
    await furnished(tenant)
    whole = await paged(tenant, limit=200)
    wanted = {"type": ["RunStarted", "VariableCreated"]}
    found = await paged(tenant, limit=1, **wanted)
    assert [each["type"] for each in found] == ["RunStarted", "VariableCreated"]
    for actor in {each["actor"] for each in whole}:
        of_actor = [each for each in whole if each["actor"] == actor]
        assert await paged(tenant, limit=5, actor=actor) == of_actor
    assert await paged(tenant, limit=5, actor="user:nobody") == []
    misspelled = await tenant.get("/api/audit/events?type=RunStarte")
    assert misspelled.status_code == 400


async def test_one_tenants_events_are_nobody_elses(house: House, tenant: AsyncClient) -> None:
    await furnished(tenant)
    own = {each["tenantId"] for each in await paged(tenant, limit=200)}
    assert len(own) == 1
    other = (await house.admin("POST", "/api/tenants", json={"name": "other"})).json()
    async with house.caller(other["adminApiKey"]) as stranger:
        theirs = await paged(stranger, limit=200)
    assert {each["tenantId"] for each in theirs} == {other["id"]}
    named = {"X-Tenant-Id": other["id"]}
    seen = await house.admin("GET", "/api/audit/events?limit=200", headers=named)
    assert seen.json()["items"] == theirs


# --- proof ---------------------------------------------------------------------------------------


def broken(text: str) -> Iterator[str]:
    """What an outside reader finds wrong with an export, by docs/how-to/audit-a-tenant.md."""
    subjects: dict[str, str] = {}
    links = {False: bytes(32), True: bytes(32)}
    previous: dict[str, Any] = {}
    for line in text.splitlines():
        event = json.loads(line)
        position = event["position"]
        is_registry = position.startswith("r")
        if "body" not in event:
            if event["hash"] != previous.get("hash"):
                yield f"{position} is of no decision"
            continue
        previous = event
        body = base64.b64decode(event["body"])
        subject = "penstock.{}.{}.{}.{}".format(
            FAMILIES[is_registry],
            event["tenantId"],
            event["subject"]["kind"],
            event["subject"]["id"],
        )
        if event["previousHash"] != subjects.get(subject, NO_HASH):
            yield f"{position} does not follow"
        own = hashlib.sha256(event["previousHash"].encode() + body).hexdigest()
        if body and own != event["hash"]:
            yield f"{position} has other bytes"
        elif body and event["type"] not in {each["type"] for each in json.loads(body)["events"]}:
            yield f"{position} says something else"
        subjects[subject] = event["hash"]
        seq = int(position.lstrip("r").partition(".")[0])
        linked = links[is_registry] + seq.to_bytes(8, "big")
        linked += bytes.fromhex(event["hash"]) + subject.encode()
        if hashlib.sha256(linked).hexdigest() != event["tenantHash"]:
            yield f"{position} is no link"
        links[is_registry] = bytes.fromhex(event["tenantHash"])


async def test_an_export_proves_itself_to_whoever_has_nothing_else(tenant: AsyncClient) -> None:
    await furnished(tenant)
    await furnished(tenant)
    answer = await tenant.get("/api/audit/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert list(broken(answer.text)) == []
    events = [json.loads(line) for line in answer.text.splitlines()]
    listed = await paged(tenant, limit=200)
    assert [{k: v for k, v in each.items() if k != "body"} for each in events][: len(listed)] == (
        listed[: len(events)]
    )
    head = (await tenant.get("/api/audit/verify")).json()["head"]
    last = {each["position"].startswith("r"): each["tenantHash"] for each in events}
    assert head["events"]["hash"] == last[False]
    lines = answer.text.splitlines(keepends=True)
    whole = [index for index, each in enumerate(events) if "body" in each]
    for index in (whole[0], whole[2], whole[-2]):
        assert list(broken("".join(lines[:index] + lines[index + 1 :])))
    first = lines[whole[1]].replace('"body":"', '"body":"e30=', 1)
    assert list(broken("".join([*lines[: whole[1]], first, *lines[whole[1] + 1 :]])))


async def verified(client: AsyncClient) -> dict[str, Any]:
    answer = await client.get("/api/audit/verify")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize(
    "planted",
    [
        "update {rows} set body = body || ' '::bytea",
        "update {rows} set hash = decode(repeat('ab', 32), 'hex')",
        "update {rows} set previous_hash = decode(repeat('ab', 32), 'hex')",
        "update {rows} set tenant_hash = decode(repeat('ab', 32), 'hex')",
        "update {rows} set subject_id = gen_random_uuid()::text",
        "delete from {rows}",
    ],
)
@pytest.mark.parametrize("log", ["events", "registry"])
async def test_whatever_is_changed_in_the_archive_is_told(
    tenant: AsyncClient, api_urls: dict[str, str], planted: str, log: str
) -> None:
    await furnished(tenant)
    before = await verified(tenant)
    assert (before["ok"], before["complete"], before["through"]) == (True, True, None)
    events = await paged(tenant, limit=200)
    assert before["events"] <= len(events)
    tenant_id = events[0]["tenantId"]
    with psycopg.connect(api_urls["penstock_owner"], autocommit=True) as owner:
        seq = owner.execute(
            "select seq from penstock.event_archive where tenant_id = %s and log = %s "
            "order by seq offset 1 limit 1",
            [tenant_id, log],
        ).fetchone()
        assert seq is not None
        which = f"where tenant_id = '{tenant_id}' and log = '{log}' and seq = {seq[0]}"
        statement = f"{planted.format(rows='penstock.event_archive')} {which}"
        assert owner.execute(statement.encode()).rowcount == 1
    after = await verified(tenant)
    assert after["ok"] is False
    assert after["problems"]


async def test_a_message_that_is_kept_no_more_breaks_nothing(
    tenant: AsyncClient, api_urls: dict[str, str]
) -> None:
    run_id = await furnished(tenant)
    with psycopg.connect(api_urls["penstock_owner"], autocommit=True) as owner:
        sql = "update penstock.event_archive set body = '' where subject_id = %s"
        assert owner.execute(sql, [run_id]).rowcount >= 1
    assert (await verified(tenant))["ok"] is True
    events = await paged(tenant, limit=200)
    assert "(expired)" in {each["type"] for each in events}
    assert list(broken((await tenant.get("/api/audit/export")).text)) == []
