"""After a tenant is deleted nothing that it said can be read anywhere, and nobody else notices.

What it said is searched for as it is and in every form: in the files of NATS (which the object
store is in), in a logical dump of every table of every schema, in all logs and metrics, and in what
every route answers to the platform admin and to credentials that the tenant had.
"""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import httpx
import nats
import psycopg
import pytest

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from penstock.infra.nats.streams import DEAD_LETTERS
from penstock.projector.audit.command import verify
from tests.chaos.receiver import Receiver
from tests.e2e.canaries import dumped, files, found
from tests.e2e.conftest import client, nats_log
from tests.e2e.runs import Document, drawn, ended, executed, made, node, shown, started, step
from tests.e2e.waiting import until

ERASED_WITHIN_S = 90.0
BEGUN_WITHIN_S = 30.0
SETTLED_S = 2.0
"""For the last log lines to be written."""
LARGE = 200_000
HOUR_MS = 3_600_000
CANARIES = {
    what: f"{what}{secrets.token_hex(12)}"
    for what in (
        *("input", "output", "large", "definition", "description", "secret", "variable"),
        *("connection", "public", "mail", "password", "signal", "comment", "error", "child"),
        *("emitted", "held", "tenant", "workflow", "apikey", "about", "tag", "reason", "gatekey"),
        "host",
    )
}
ROUTES = (
    *("/workflows", "/runs", "/users", "/api-keys", "/secrets", "/connections", "/variables"),
    "/usage",
)
KILLED = ("projector-0", "scheduler-0", "executor-0")
"""Right after the deletion: whoever is started anew has to go on with it."""
GONE = {httpx.codes.NOT_FOUND}
REFUSED = {httpx.codes.UNAUTHORIZED}


@pytest.fixture(scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack whose every byte may be looked at."""
    env = {"PENSTOCK_EGRESS_ALLOW": "127.0.0.0/8", "PENSTOCK_LOG_LEVEL": "debug"}
    folder = tmp_path_factory.mktemp("deletion")
    async with Stack(StackOptions(data_dir=folder, port=0, keep=False, env=env)) as running:
        yield running
    refused = [line for line in nats_log(running).splitlines() if "Violation" in line]
    assert refused == [], "a service asked the broker for what it may not do"


@pytest.fixture(scope="module")
async def admin(own: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """The platform admin."""
    async with client(own.api_url, own.admin_key) as connected:
        yield connected


@pytest.fixture(scope="module")
async def other(own: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """The admin of another tenant."""
    async with client(own.api_url, own.api_key) as connected:
        yield connected


def told() -> Document:
    """A workflow that says much, in its drawing and when it runs."""
    nodes = [
        node("say", "transform", config={"output": f"{CANARIES['output']} {{{{ input.word }}}}"}),
        node("large", "transform", config={"output": "{{ run.input.large }}"}),
        node("vars", "transform", config={"output": "{{ vars.kept }}"}),
        node("emit", "emit_event", config={"type": "said", "data": CANARIES["emitted"]}),
        node(
            "wrong",
            "http_request",
            config={"url": f"http://127.0.0.1:1/{CANARIES['error']}"},
            retry={"maxAttempts": 1},
            continueOnError=True,
        ),
    ]
    about = CANARIES["description"]
    return drawn(CANARIES["workflow"], nodes, id="told", description=about)


def living(receiver: Receiver, child: str) -> Document:
    """A workflow that goes on for an hour in every way there is."""
    held = {"url": f"{receiver.url}/held/r/s", "method": "POST", "body": {"w": CANARIES["held"]}}
    nodes = [
        node("rest", "delay", config={"durationMs": HOUR_MS}),
        node("call", "http_request", config=held, timeoutMs=HOUR_MS),
        node("child", "sub_workflow", config={"workflowId": child}, input=CANARIES["child"]),
        node("wait", "wait_for_signal", config={"name": "go"}),
        node("ask", "approval", config={"message": CANARIES["definition"]}),
    ]
    return drawn("living", nodes)


async def everything_set(gone: httpx.AsyncClient) -> None:
    """What a tenant keeps."""
    config = {"username": CANARIES["public"], "password": CANARIES["connection"]}
    for path, body in (
        ("/secrets", {"name": "s", "value": CANARIES["secret"]}),
        (
            "/variables",
            {
                "name": "kept",
                "value": CANARIES["variable"],
                "description": CANARIES["about"],
            },
        ),
        ("/api-keys", {"name": CANARIES["apikey"], "role": "viewer"}),
        ("/connections", {"name": "c", "type": "http_basic", "config": config}),
        (
            "/users",
            {
                "email": f"{CANARIES['mail']}@example.com",
                "role": "editor",
                "password": CANARIES["password"],
            },
        ),
    ):
        answered = await gone.post(path, json=body)
        assert answered.status_code == httpx.codes.CREATED, answered.text


async def begun(gone: httpx.AsyncClient, receiver: Receiver) -> list[str]:
    """Runs that live: one in every way, with a child; two at a gate, of which one is queued."""
    rest = node("rest", "delay", config={"durationMs": HOUR_MS})
    child = await made(gone, drawn("child", [rest]))
    key = {"key": "{{ input.key }}", "max": 1}
    gated = await made(gone, drawn("gated", [rest], concurrency=key))
    run = await started(gone, await made(gone, living(receiver, child)))
    at_gate = [await started(gone, gated, {"key": CANARIES["gatekey"]}) for _ in range(2)]
    stopped = await gone.post(
        f"/workflows/{child}/execute?mode=async", json={"tags": [CANARIES["tag"]]}
    )
    cancelled = stopped.json()["runId"]
    said = await gone.post(f"/runs/{cancelled}/cancel", json={"reason": CANARIES["reason"]})
    assert said.status_code == httpx.codes.ACCEPTED, said.text

    async def is_held() -> bool:
        return bool(receiver.keys["r", "s"])

    await until(is_held, within_s=BEGUN_WITHIN_S, what="the call")
    for path, body in (
        ("signals/other", {"payload": CANARIES["signal"]}),
        ("approvals/ask", {"decision": "approve", "comment": CANARIES["comment"]}),
    ):
        answered = await gone.post(f"/runs/{run}/{path}", json=body)
        assert answered.status_code == httpx.codes.ACCEPTED, answered.text
    assert {(await shown(gone, each))["status"] for each in at_gate} == {"waiting", "queued"}
    return [run, *at_gate, cancelled]


@asynccontextmanager
async def working(other: httpx.AsyncClient) -> AsyncIterator[None]:
    """Another tenant goes on all the while."""
    stop = asyncio.Event()
    tick = node("tick", "transform", config={"output": "{{ input }}"})
    workflow = await made(other, drawn("ticking", [tick]))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(worked(other, workflow, stop))
        yield
        stop.set()
    assert task.result() > 0


async def worked(other: httpx.AsyncClient, workflow: str, until_set: asyncio.Event) -> int:
    """How many of its runs succeeded."""
    runs = 0
    while not until_set.is_set():
        run = await ended(other, await started(other, workflow, runs))
        assert (run["status"], step(run, "tick")["output"]) == ("succeeded", runs)
        runs += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(until_set.wait(), 0.5)
    return runs


def everywhere(stack: Stack) -> Iterator[tuple[str, bytes]]:
    """Every place where something is kept or told."""
    for folder in ("nats", "log"):
        yield from ((f"{folder}/{name}", said) for name, said in files(stack.data_dir / folder))
    yield from dumped(stack.database_url)
    for name, url in stack.metrics_urls.items():
        yield f"metrics/{name}", httpx.get(url, trust_env=False).content


async def answers(
    own: Stack, admin: httpx.AsyncClient, tenant: str, keys: list[str], runs: list[str]
) -> list[bytes]:
    """What is answered about a tenant to the platform admin, and to those who were its people."""
    below = [f"/runs/{run}{path}" for run in runs for path in ("", "/steps", "/events", "/state")]
    said = []
    for path in (*ROUTES, *below):
        answered = await admin.get(path, headers={"X-Tenant-Id": tenant})
        assert answered.status_code in GONE, (path, answered.text)
        said.append(answered.content)
        for key in keys:
            async with client(own.api_url, key) as former:
                answered = await former.get(path)
            assert answered.status_code in REFUSED, (path, answered.text)
            said.append(answered.content)
    named = ("/tenants", f"/tenants/{tenant}", f"/tenants/{tenant}/deletion")
    said += [(await admin.get(path)).content for path in named]
    begin = await admin.post(
        f"/workflows/{uuid4()}/execute", json={}, headers={"X-Tenant-Id": tenant}
    )
    assert begin.status_code in GONE
    return said


async def dead_letters(own: Stack) -> int:
    """How many messages nobody could handle."""
    nc = await nats.connect(own.nats_url)
    count = (await nc.jetstream().stream_info(DEAD_LETTERS)).state.messages
    await nc.close()
    return count


def statuses(own: Stack, tenant: str) -> list[str]:
    """How the runs of a tenant stand in the tables."""
    query = "select status from penstock.runs where tenant_id = %s"
    with psycopg.connect(own.database_url) as owner:
        return [status for (status,) in owner.execute(query, [tenant])]


async def test_nothing_of_a_deleted_tenant_is_found_anywhere(
    own: Stack, admin: httpx.AsyncClient, other: httpx.AsyncClient, receiver: Receiver
) -> None:
    config = {"egressAllow": [f"{CANARIES['host']}.internal"]}
    asked = {"name": CANARIES["tenant"], "config": config}
    tenant = (await admin.post("/tenants", json=asked)).json()
    async with client(own.api_url, tenant["adminApiKey"]) as gone:
        await everything_set(gone)
        given = {"word": CANARIES["input"], "large": CANARIES["large"] + "." * LARGE}
        run = await executed(gone, told(), given)
        assert run["status"] == "succeeded", run
        assert step(run, "vars")["output"] == CANARIES["variable"]
        runs = [run["id"], *await begun(gone, receiver)]
        login = {"email": f"{CANARIES['mail']}@example.com", "password": CANARIES["password"]}
        token = (await gone.post("/auth/login", json=login)).json()["token"]
    planted = {line.split(" as ")[0] for line in found(CANARIES, everywhere(own))}
    assert "description" in planted, "the search can find something"

    async with working(other):
        deleted = await admin.delete(f"/tenants/{tenant['id']}")
        assert deleted.status_code == httpx.codes.NO_CONTENT, deleted.text
        for name in KILLED:
            os.kill(own.pid(name), signal.SIGKILL)
        proof = await until(
            lambda: erased(admin, tenant["id"]), within_s=ERASED_WITHIN_S, what="the proof"
        )
    assert proof["rows"]["penstock.runs"] == len(runs) + 1
    assert proof["objects"] >= 5
    assert proof["dataKeys"] == 1
    assert statuses(own, tenant["id"]) == []
    await asyncio.sleep(SETTLED_S)
    left = found(CANARIES, everywhere(own))
    assert left == [], "\n".join(left)
    said = await answers(own, admin, tenant["id"], [tenant["adminApiKey"], token], runs)
    assert found(CANARIES, (("api", each) for each in said)) == []
    assert await dead_letters(own) == 0
    report = await verify(own.database_url, own.nats_url)
    assert report.problems == []
    assert report.deleted > 0


async def erased(admin: httpx.AsyncClient, tenant: str) -> Document | None:
    """The proof, once there is one."""
    answered = await admin.get(f"/tenants/{tenant}/deletion")
    assert answered.status_code == httpx.codes.OK, answered.text
    proof: Document = answered.json()
    return proof if proof["erasedAt"] is not None else None
