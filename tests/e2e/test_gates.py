"""Runs that have to wait for others: one at a time, by key, by rate; what becomes of the rest."""

import os
import signal
from typing import Any

import httpx

from penstock.dev.stack import Stack
from tests.chaos.receiver import Receiver
from tests.e2e.command import penstock
from tests.e2e.histories import history, of_type
from tests.e2e.runs import Document, call, drawn, ended, made, node, shown, started
from tests.e2e.waiting import until

NOTICED_WITHIN_S = 15.0
MENDED_WITHIN_S = 60.0
PAGES_MAX = 20


def waiting(name: str, **members: Any) -> Document:
    """A workflow whose one step waits for a signal, so that a test says when it ends."""
    return drawn(name, [node("hear", "wait_for_signal", config={"name": "go"})], **members)


async def asked(
    api: httpx.AsyncClient, workflow_id: str, given: Any = None, priority: int = 0
) -> str:
    """The id of a run that was accepted, with a priority."""
    answered = await api.post(
        f"/workflows/{workflow_id}/execute?mode=async",
        json={"input": given, "priority": priority},
    )
    assert answered.status_code == httpx.codes.ACCEPTED, answered.text
    assert answered.json()["status"] == "queued"
    run_id: str = answered.json()["runId"]
    return run_id


async def until_in(api: httpx.AsyncClient, run_id: str, *statuses: str) -> Document:
    """The run, once it stands in one of some ways."""

    async def found() -> Document | None:
        answered = await api.get(f"/runs/{run_id}")
        run: Document = answered.json()
        return run if run.get("status") in statuses else None

    return await until(found, within_s=MENDED_WITHIN_S, what=f"{run_id} is {statuses}")


async def explained(api: httpx.AsyncClient, run_id: str) -> Document:
    """The one thing that a queued run waits for."""
    answered = await api.get(f"/runs/{run_id}/explain")
    assert answered.status_code == httpx.codes.OK, answered.text
    (wait,) = answered.json()["waits"]
    found: Document = wait
    return found


async def let_go(api: httpx.AsyncClient, run_id: str) -> None:
    """Have a run end that waits for its signal."""
    answered = await api.post(f"/runs/{run_id}/signals/go", json={})
    assert answered.status_code == httpx.codes.ACCEPTED, answered.text


# --- concurrency ---------------------------------------------------------------------------------


async def test_runs_go_one_after_the_other_the_most_urgent_first(api: httpx.AsyncClient) -> None:
    workflow_id = await made(api, waiting("one at a time", concurrency={"max": 1}))
    first = await asked(api, workflow_id)
    await until_in(api, first, "waiting")
    second = await asked(api, workflow_id)
    urgent = await asked(api, workflow_id, priority=5)
    for run_id in (second, urgent):
        run = await until_in(api, run_id, "queued")
        assert run["startedAt"] is None
    listed = (await api.get(f"/runs?status=queued&workflowId={workflow_id}")).json()["items"]
    assert {each["id"] for each in listed} == {second, urgent}
    for run_id in (first, urgent, second):
        await until_in(api, run_id, "waiting")
        await let_go(api, run_id)
        assert (await ended(api, run_id))["status"] == "succeeded"
    events = [each["type"] for each in await history(api, second)]
    assert events[:3] == ["RunQueued", "RunAdmitted", "RunStarted"]
    began = [(await shown(api, run_id))["startedAt"] for run_id in (first, urgent, second)]
    assert began == sorted(began)


async def test_a_queued_run_is_explained_by_the_holder_of_its_key(api: httpx.AsyncClient) -> None:
    concurrency = {"max": 1, "key": "{{ input.customer }}"}
    workflow_id = await made(api, waiting("by customer", concurrency=concurrency))
    holder = await asked(api, workflow_id, {"customer": "c-7"})
    other = await asked(api, workflow_id, {"customer": "c-8"})
    await until_in(api, holder, "waiting")
    await until_in(api, other, "waiting")
    line = [await asked(api, workflow_id, {"customer": "c-7"}) for _ in range(2)]

    async def both_in_line() -> bool:
        said = " ".join([(await explained(api, run_id))["detail"] for run_id in line])
        return "number 1 of 2" in said and "number 2 of 2" in said

    await until(both_in_line, within_s=NOTICED_WITHIN_S, what="two stand in line")
    for run_id in line:
        wait = await explained(api, run_id)
        assert wait["cause"] == "gate"
        assert wait["on"] == [holder]
        assert "c-7" in wait["detail"], wait
        assert holder in wait["detail"], wait
    for run_id in (holder, other, *line):
        await let_go(api, run_id)
        assert (await ended(api, run_id))["status"] == "succeeded"


async def test_a_key_that_comes_to_nothing_is_refused_with_its_path(api: httpx.AsyncClient) -> None:
    concurrency = {"max": 1, "key": "{{ input.customer }}"}
    workflow_id = await made(api, waiting("keyless", concurrency=concurrency))
    answered = await api.post(f"/workflows/{workflow_id}/execute?mode=async", json={"input": {}})
    assert answered.status_code == httpx.codes.BAD_REQUEST, answered.text
    (fault,) = answered.json()["details"]
    assert fault["code"] == "PATH_MISSING"
    assert "input.customer" in fault["message"]


async def test_skip_does_not_run_who_finds_the_place_taken(api: httpx.AsyncClient) -> None:
    concurrency = {"max": 1, "strategy": "skip"}
    workflow_id = await made(api, waiting("skips", concurrency=concurrency))
    first = await asked(api, workflow_id)
    await until_in(api, first, "waiting")
    skipped = await ended(api, await asked(api, workflow_id))
    assert skipped["status"] == "cancelled"
    assert skipped["error"]["code"] == "CONCURRENCY_SKIPPED"
    assert first in skipped["error"]["message"]
    await let_go(api, first)
    await ended(api, first)

    async def passes() -> bool:
        run = await until_in(api, await asked(api, workflow_id), "waiting", "cancelled")
        return bool(run["status"] == "waiting")

    await until(passes, within_s=NOTICED_WITHIN_S, what="the place is free again")


async def test_the_newest_run_takes_the_place_of_the_one_that_runs(api: httpx.AsyncClient) -> None:
    concurrency = {"max": 1, "strategy": "cancel_running"}
    workflow_id = await made(api, waiting("newest wins", concurrency=concurrency))
    first = await asked(api, workflow_id)
    await until_in(api, first, "waiting")
    second = await asked(api, workflow_id)
    run = await ended(api, first)
    assert (run["status"], run["error"]["code"]) == ("cancelled", "CONCURRENCY_CANCELLED")
    assert second in run["error"]["message"]
    await until_in(api, second, "waiting")
    await let_go(api, second)
    assert (await ended(api, second))["status"] == "succeeded"


# --- rates ---------------------------------------------------------------------------------------


async def test_a_rate_holds_back_whoever_is_one_too_many(api: httpx.AsyncClient) -> None:
    workflow_id = await made(api, drawn("one a minute", [node("a")], rateLimit={"perMinute": 1}))
    first = await ended(api, await asked(api, workflow_id))
    assert first["status"] == "succeeded"
    second = await asked(api, workflow_id)
    await until_in(api, second, "queued")

    async def dated() -> Document | None:
        wait = await explained(api, second)
        return wait if wait["until"] else None

    wait = await until(dated, within_s=NOTICED_WITHIN_S, what="it is told when the gate opens")
    assert wait["until"] > first["startedAt"]
    assert [each["type"] for each in await history(api, second)] == ["RunQueued"]
    for command in ("retry", "fork"):
        refused = await api.post(f"/runs/{second}/{command}", json={})
        assert (refused.status_code, refused.json()["code"]) == (409, "RUN_QUEUED"), refused.text
    answered = await api.post(f"/runs/{second}/cancel", json={"reason": "enough"})
    assert answered.status_code == httpx.codes.ACCEPTED, answered.text
    assert (await ended(api, second))["error"]["code"] == "CANCELLED"


async def test_no_more_runs_are_live_than_the_rate_limit_says(api: httpx.AsyncClient) -> None:
    workflow_id = await made(api, waiting("two live", rateLimit={"maxConcurrent": 2}))
    left = {await asked(api, workflow_id) for _ in range(5)}

    async def live() -> set[str] | None:
        listed = (await api.get(f"/runs?status=waiting&workflowId={workflow_id}")).json()
        found = {each["id"] for each in listed["items"]} & left
        return found if len(found) == min(2, len(left)) else None

    while left:
        for run_id in await until(live, within_s=NOTICED_WITHIN_S, what="two are live"):
            await let_go(api, run_id)
            assert (await ended(api, run_id))["status"] == "succeeded"
            left.discard(run_id)


async def test_a_run_that_waits_too_long_for_its_start_times_out(api: httpx.AsyncClient) -> None:
    definition = waiting("impatient", concurrency={"max": 1}, queuedTimeoutMs=300)
    workflow_id = await made(api, definition)
    first = await asked(api, workflow_id)
    await until_in(api, first, "waiting")
    late = await ended(api, await asked(api, workflow_id))
    assert (late["status"], late["error"]["code"]) == ("timed_out", "QUEUE_TIMEOUT")
    assert late["startedAt"] is None
    await let_go(api, first)
    assert (await ended(api, first))["status"] == "succeeded"


# --- children ------------------------------------------------------------------------------------


async def test_children_pass_the_gates_of_their_workflow(api: httpx.AsyncClient) -> None:
    inner = await made(api, drawn("narrow", [node("a")], concurrency={"max": 1}))
    loop = node("each", "loop", config={"items": [1, 2, 3], "body": {"workflowId": inner}})
    run = await ended(api, await started(api, await made(api, drawn("wide", [loop]))))
    assert run["status"] == "succeeded", run["error"]
    children = (await api.get(f"/workflows/{inner}/runs")).json()["items"]
    for each in children:
        events = [event["type"] for event in await history(api, each["id"])]
        assert events[:3] == ["RunQueued", "RunAdmitted", "RunStarted"]


async def test_a_workflow_that_begins_itself_too_often_is_stopped(api: httpx.AsyncClient) -> None:
    """Twelve children, each with twelve of its own, are more than a minute's share together."""
    again = {"workflowId": "begins-itself"}
    nodes = [node(f"again-{n}", "sub_workflow", config=again) for n in range(12)]
    await made(api, drawn("begins itself", nodes) | {"id": "begins-itself"})
    run = await ended(api, await started(api, "begins-itself"), within_s=MENDED_WITHIN_S)
    assert run["status"] == "failed"
    cancelled: list[Document] = []
    asked_for: dict[str, str | int] = {
        "status": "cancelled",
        "workflowId": "begins-itself",
        "limit": 200,
    }
    for _ in range(PAGES_MAX):
        page = (await api.get("/runs", params=asked_for)).json()
        cancelled += page["items"]
        if page["nextCursor"] is None:
            break
        asked_for["cursor"] = page["nextCursor"]
    assert "RECURSION_RATE_EXCEEDED" in {each["error"]["code"] for each in cancelled}


# --- retries -------------------------------------------------------------------------------------


async def test_a_retry_passes_the_gates_again(api: httpx.AsyncClient, receiver: Receiver) -> None:
    url = f"{receiver.url}/400/{{{{ run.id }}}}/fail"
    workflow_id = await made(api, drawn("fails", [call("fail", url)], concurrency={"max": 1}))
    failed = await ended(api, await asked(api, workflow_id))
    assert failed["status"] == "failed"
    answered = await api.post(f"/runs/{failed['id']}/retry", json={})
    assert answered.status_code == httpx.codes.CREATED, answered.text
    again = await ended(api, answered.json()["id"])
    events = [each["type"] for each in await history(api, again["id"])]
    assert events[:4] == ["RunQueued", "RunAdmitted", "RunStarted", "RunForked"]


# --- faults --------------------------------------------------------------------------------------


async def test_no_place_is_lost_when_the_scheduler_is_killed(
    api: httpx.AsyncClient, stack: Stack
) -> None:
    workflow_id = await made(
        api,
        drawn("outlives", [node("a", "delay", config={"durationMs": 50})], concurrency={"max": 2}),
    )
    runs = [await asked(api, workflow_id) for _ in range(30)]
    for _ in range(2):
        os.kill(stack.pid("scheduler-0"), signal.SIGKILL)
        runs += [await asked(api, workflow_id) for _ in range(5)]
    for run_id in runs:
        run = await until_in(api, run_id, "succeeded", "failed", "cancelled", "timed_out")
        assert run["status"] == "succeeded", run["error"]
    last = await until_in(api, await asked(api, workflow_id), "succeeded")
    assert of_type(await history(api, last["id"]), "RunAdmitted")


async def test_what_the_rows_say_of_gates_and_queued_runs_is_what_the_log_has(
    api: httpx.AsyncClient, stack: Stack
) -> None:
    workflow_id = await made(api, waiting("audited", concurrency={"max": 1}))
    runs = [await asked(api, workflow_id) for _ in range(2)]
    await until_in(api, runs[0], "waiting")
    await until_in(api, runs[1], "queued")
    verified = await penstock(stack, "audit", "verify", "--json")
    assert verified.code == 0, verified.out + verified.err
    for run_id in runs:
        await until_in(api, run_id, "waiting")
        await let_go(api, run_id)
        await ended(api, run_id)
