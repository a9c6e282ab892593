"""The `penstock` command against a whole stack, found by its data folder."""

import json
from pathlib import Path

import pytest

from penstock.client.async_client import AsyncClient
from penstock.client.errors import Conflict, Invalid, NotFound, RunUnsuccessful
from penstock.client.models import RunStatus
from penstock.client.runs import events
from penstock.dev.stack import Stack
from tests.e2e.command import EXAMPLES, penstock
from tests.e2e.waiting import until

UNKNOWN = "01a1fe93-2d07-77b6-91cd-d7af50063796"


async def test_progress_is_told_line_by_line(stack: Stack) -> None:
    done = await penstock(stack, "run", str(EXAMPLES / "fan-out-in.yaml"), "--wait")
    told = [line.split()[1:3] for line in done.out.splitlines()]
    assert done.code == 0
    assert ["split", "succeeded"] in told
    assert ["pause", "waiting"] in told
    assert ["gather", "succeeded"] in told


async def test_apply_shows_the_difference_and_keeps_what_is_the_same(
    stack: Stack, tmp_path: Path
) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("name: Applied flow\nnodes: [{id: a, type: noop}]\n")
    created = (await penstock(stack, "apply", str(file), "--json")).document()
    assert (created["change"], created["key"]) == ("created", "applied-flow")
    file.write_text("name: Applied flow\nnodes:\n  - {type: NOOP, id: a}\nedges: []\n")
    assert (await penstock(stack, "apply", str(file), "--dry-run")).code == 0
    file.write_text("name: Applied flow\nnodes: [{id: b, type: noop}]\n")
    differs = await penstock(stack, "apply", str(file), "--dry-run")
    assert (differs.code, "-- id: a" in differs.out, "+- id: b" in differs.out) == (1, True, True)
    updated = (await penstock(stack, "apply", str(file), "--json")).document()
    assert (updated["change"], updated["workflow"]["version"]) == ("updated", 2)


async def test_all_problems_of_a_definition_have_places(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "name: bad\nnodes:\n  - id: a\n    type: nope\n  - id: b\n    type: condition\n"
        "    config: {}\nedges:\n  - {from: a, to: c}\n"
    )
    for words in (["run"], ["validate"], ["apply", "--dry-run"]):
        done = await penstock(stack, *words, str(file))
        assert done.code == 1
        lines = done.err.splitlines()[1:]
        places = sorted(line.split()[0].removeprefix(f"{file}") for line in lines)
        assert places == [":4:11", ":7:13", ":9:19"], done.err


async def test_a_run_is_listed_shown_told_and_watched(stack: Stack) -> None:
    file = str(EXAMPLES / "hello.yaml")
    started = (await penstock(stack, "run", file, "-i", "name=Bo", "--json")).document()
    run_id = started["runId"]
    watched = await penstock(stack, "runs", "watch", run_id, "--json")
    told = [json.loads(line) for line in watched.out.splitlines()]
    assert [watched.code, told[0]["type"], told[-1]["type"]] == [0, "RunStarted", "RunSucceeded"]
    history = await penstock(stack, "events", run_id, "--json")
    assert [json.loads(line) for line in history.out.splitlines()] == told
    shown = (await penstock(stack, "runs", "get", run_id, "--json")).document()
    assert [step["status"] for step in shown["steps"]] == ["succeeded"]
    listed = (await penstock(stack, "runs", "list", "--workflow", "hello", "--json")).document()
    assert run_id in [run["id"] for run in listed["items"]]
    for words in (["runs", "list"], ["runs", "get", run_id], ["events", run_id]):
        done = await penstock(stack, *words)
        assert (done.code, run_id in done.out or "RunStarted" in done.out) == (0, True)


async def test_a_run_is_cancelled_once(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "slow.yaml"
    file.write_text(
        "id: slow\nname: slow\nnodes: [{id: a, type: delay, config: {durationMs: 600000}}]\n"
    )
    run_id = (await penstock(stack, "run", str(file), "--json")).document()["runId"]
    cancelled = await penstock(stack, "runs", "cancel", run_id, "--wait", "--json")
    assert (cancelled.code, cancelled.document()["status"]) == (0, "cancelled")
    again = await penstock(stack, "runs", "cancel", run_id)
    assert again.code == 1


async def test_a_run_explains_itself(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "ask.yaml"
    file.write_text(
        "id: ask-me\nname: ask me\nnodes:\n"
        "  - {id: ask, type: approval, config: {message: 'So many?', approvers: [ada]}}\n"
        "  - {id: after, type: noop}\n"
        "edges: [{from: ask, to: after}]\n"
    )
    run_id = (await penstock(stack, "run", str(file), "--json")).document()["runId"]

    async def asked() -> bool:
        told = (await penstock(stack, "explain", run_id, "--json")).document()
        return [each["cause"] for each in told["waits"]] == ["approval", "dependency"]

    await until(asked, within_s=30, what="the wait for an approval")
    listed = (await penstock(stack, "runs", "list", "--status", "waiting", "--json")).document()
    assert run_id in [run["id"] for run in listed["items"]]
    told = await penstock(stack, "explain", run_id)
    assert told.code == 0, told.err
    assert 'waits for ada to approve or reject: "So many?"' in told.out
    assert "went" in told.out
    assert (await penstock(stack, "runs", "approve", run_id, "ask")).code == 0
    assert (await penstock(stack, "runs", "watch", run_id)).code == 0
    over = await penstock(stack, "runs", "explain", run_id)
    assert (over.code, "nothing: it has ended" in over.out) == (0, True)
    assert "approval" in over.out


async def test_what_failed_is_retried_and_forked(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "divide.yaml"
    file.write_text(
        "id: divide\nname: divide\nnodes:\n"
        "  - {id: first, type: noop}\n"
        "  - {id: divide, type: transform, config: {output: '{{ 6.0 / run.input.n }}'}}\n"
        "edges: [{from: first, to: divide}]\n"
    )
    failed = []
    for _ in range(2):
        done = await penstock(stack, "run", str(file), "-i", "n=x", "--wait", "--json")
        assert done.code == 1
        failed.append(done.document()["id"])
    plan = await penstock(stack, "runs", "retry", failed[0], "--dry-run")
    assert (plan.code, "keeps           first" in plan.out) == (0, True)
    fork = await penstock(stack, "runs", "fork", failed[0], "-i", "n=3", "--wait", "--json")
    assert (fork.code, fork.document()["output"]) == (0, 2.0)
    words = ("runs", "retry-all", "--status", "failed", "--workflow", "divide", "--json")
    assert (await penstock(stack, *words)).document() == {"matched": 2, "skipped": 0}

    async def retried() -> bool:
        runs = (await penstock(stack, "runs", "list", "--workflow", "divide", "--json")).document()
        again = [run for run in runs["items"] if run["trigger"] == "retry"]
        assert {run["forkedFrom"]["runId"] for run in again} <= set(failed)
        return [run["status"] for run in again] == ["failed"] * 2

    await until(retried, within_s=30, what="the end of both retries")


async def test_what_does_not_exist_is_said(stack: Stack) -> None:
    for words in (["run", "no-such-key"], ["runs", "get", UNKNOWN], ["events", UNKNOWN]):
        done = await penstock(stack, *words, "--json")
        assert done.code == 1
        assert json.loads(done.err)["error"]["code"] == "NOT_FOUND"


async def test_an_admin_speaks_for_another_tenant(stack: Stack) -> None:
    async with AsyncClient(stack.api_url, stack.admin_key) as admin:
        tenant = await admin.tenants.create("Beside")
    file = str(EXAMPLES / "hello.yaml")
    done = await penstock(
        stack, "run", file, "-i", "name=X", "--wait", "--json", "--tenant", tenant.id
    )
    assert (done.code, done.document()["tenantId"]) == (0, tenant.id)
    elsewhere = await penstock(stack, "runs", "get", done.document()["id"])
    assert elsewhere.code == 1


async def test_the_sdk_does_what_it_says(stack: Stack) -> None:
    definition = {
        "id": "sdk-flow",
        "name": "SDK",
        "inputSchema": {"required": ["n"]},
        "nodes": [{"id": "a", "type": "transform", "config": {"output": "{{ 10.0 / input.n }}"}}],
    }
    async with AsyncClient(stack.api_url, stack.api_key) as client:
        workflow = await client.workflows.create(definition=definition)
        assert workflow.etag is not None
        with pytest.raises(Conflict):
            await client.workflows.create(definition=definition)
        first = await client.runs.start("sdk-flow", {"n": 4}, idempotency_key="once")
        again = await client.runs.start("sdk-flow", {"n": 4}, idempotency_key="once")
        assert first.run_id == again.run_id
        with pytest.raises(Conflict):
            await client.runs.start("sdk-flow", {"n": 5}, idempotency_key="once")
        assert (await client.runs.result(first.run_id)).output == 2.5
        streamed = [event async for event in client.runs.stream(first.run_id)]
        assert streamed == [event async for event in client.pages(events(first.run_id))]
        rest = [
            event async for event in client.runs.stream(first.run_id, after=streamed[2].position)
        ]
        assert rest == streamed[3:]
        with pytest.raises(Invalid) as invalid:
            await client.runs.start("sdk-flow", {})
        assert invalid.value.problems
        bad = await client.runs.start("sdk-flow", {"n": "x"})
        with pytest.raises(RunUnsuccessful) as unsuccessful:
            await client.runs.result(bad.run_id, timeout_s=30)
        assert unsuccessful.value.run.status is RunStatus.FAILED
        key = await client.api_keys.create("reader", role="viewer")
        async with AsyncClient(stack.api_url, key.key) as reader:
            assert (await reader.runs.get(first.run_id)).id == first.run_id
        await client.workflows.delete("sdk-flow")
        with pytest.raises(NotFound):
            await client.runs.start("sdk-flow", {"n": 1})
        assert (await client.health())["ok"] is True
