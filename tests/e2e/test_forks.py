"""Retry, fork and explain, through the HTTP door: the old run stays, the new one says whence."""

from typing import Any

import httpx

from tests.e2e.histories import history, of_type
from tests.e2e.runs import drawn, edge, ended, made, node, shown, started
from tests.e2e.waiting import until


def order() -> dict[str, Any]:
    """`first` feeds `strict`, which fails where `n` is missing; `last` comes behind both."""
    strict = node("strict", "transform", config={"output": {"n": "{{ run.input.n }}"}})
    return drawn(
        "fork-me",
        [node("first"), strict, node("side"), node("last")],
        edge("first", "strict"),
        edge("first", "side"),
        edge("strict", "last"),
        edge("side", "last"),
    )


async def test_a_failed_run_is_retried_from_what_failed(api: httpx.AsyncClient) -> None:
    workflow = await made(api, order())
    run_id = await started(api, workflow, {"m": 1})
    failed = await ended(api, run_id)
    assert failed["status"] == "failed"
    plan = (await api.post(f"/runs/{run_id}/retry?dryRun=true")).json()
    assert "first" in plan["kept"]
    assert "strict" in plan["runsAgain"]
    answered = await api.post(f"/runs/{run_id}/retry", headers={"Idempotency-Key": "again-1"})
    assert answered.status_code == httpx.codes.CREATED, answered.text
    again = answered.json()
    assert again["forkedFrom"]["runId"] == run_id
    twice = await api.post(f"/runs/{run_id}/retry", headers={"Idempotency-Key": "again-1"})
    assert twice.json()["id"] == again["id"]
    assert twice.headers["Idempotent-Replayed"] == "true"
    assert (await ended(api, again["id"]))["status"] == "failed", "its input is still the same"
    readied = [e["data"]["stepId"] for e in of_type(await history(api, again["id"]), "StepReady")]
    assert "first" not in readied
    assert (await shown(api, run_id))["status"] == "failed", "a terminal run is never reopened"


async def test_a_fork_with_another_input_mends_what_failed(api: httpx.AsyncClient) -> None:
    run_id = await started(api, await made(api, order()), {"m": 1})
    await ended(api, run_id)
    answered = await api.post(
        f"/runs/{run_id}/fork", json={"fromStep": "strict", "input": {"n": 7}}
    )
    assert answered.status_code == httpx.codes.CREATED, answered.text
    forked = await ended(api, answered.json()["id"])
    assert forked["status"] == "succeeded"
    assert forked["input"] == {"n": 7}
    kept = next(step for step in forked["steps"] if step["id"] == "first")
    assert kept["status"] == "succeeded"
    changed = order()
    changed["nodes"][1]["config"] = {"output": {"n": 0}}
    drawn_anew = await api.post(f"/runs/{run_id}/fork", json={"definition": changed})
    assert drawn_anew.status_code == httpx.codes.CREATED, drawn_anew.text
    assert (await ended(api, drawn_anew.json()["id"]))["status"] == "succeeded"


async def test_a_fork_at_each_position_comes_to_the_same_end(api: httpx.AsyncClient) -> None:
    run_id = await started(api, await made(api, order()), {"n": 3})
    told = await ended(api, run_id)
    assert told["status"] == "succeeded"
    *before, last = await history(api, run_id)
    over = await api.post(f"/runs/{run_id}/fork", json={"at": last["position"]})
    assert (over.status_code, over.json()["code"]) == (409, "RUN_FINISHED")
    for event in before[::3]:
        answered = await api.post(f"/runs/{run_id}/fork", json={"at": event["position"]})
        assert answered.status_code == httpx.codes.CREATED, answered.text
        forked = await ended(api, answered.json()["id"])
        assert forked["status"] == "succeeded"
        assert forked["output"] == told["output"]


async def test_what_cannot_be_retried_or_forked_says_why(api: httpx.AsyncClient) -> None:
    run_id = await started(api, await made(api, order()), {"n": 3})
    await ended(api, run_id)
    retried = await api.post(f"/runs/{run_id}/retry")
    assert (retried.status_code, retried.json()["code"]) == (409, "RUN_SUCCEEDED")
    waits = await started(
        api, await made(api, drawn("w", [node("d", "delay", config={"durationMs": 60_000})]))
    )
    early = await api.post(f"/runs/{waits}/retry")
    assert (early.status_code, early.json()["code"]) == (409, "RUN_NOT_FINISHED")
    both = await api.post(f"/runs/{run_id}/fork", json={"fromStep": "first", "at": "1.0"})
    assert both.status_code == httpx.codes.BAD_REQUEST
    nowhere = await api.post(f"/runs/{run_id}/fork", json={"fromStep": "nobody"})
    assert nowhere.status_code == httpx.codes.NOT_FOUND
    await api.post(f"/runs/{waits}/cancel")


async def test_all_that_failed_is_retried_once_under_one_key(api: httpx.AsyncClient) -> None:
    workflow = await made(api, {**order(), "name": "fork-many"})
    failed = [await started(api, workflow, {"m": 1}) for _ in range(3)]
    for run_id in failed:
        await ended(api, run_id)
    asked = {"filter": {"workflowId": workflow, "status": "failed"}, "action": "retry"}
    for _ in range(2):
        answered = await api.post("/runs/bulk", json=asked, headers={"Idempotency-Key": "all-1"})
        assert answered.status_code == httpx.codes.ACCEPTED, answered.text
        assert answered.json() == {"matched": 3, "skipped": 0}
    listed = (await api.get(f"/runs?workflowId={workflow}&trigger=retry")).json()["items"]
    assert sorted(run["forkedFrom"]["runId"] for run in listed) == sorted(failed)


async def test_an_explanation_names_the_cause_and_leaves_no_gap(api: httpx.AsyncClient) -> None:
    definition = drawn(
        "explained",
        [node("wait", "wait_for_signal", config={"name": "go"}), node("after")],
        edge("wait", "after"),
    )
    run_id = await started(api, await made(api, definition))

    async def told() -> dict[str, Any]:
        answered = await api.get(f"/runs/{run_id}/explain")
        assert answered.status_code == httpx.codes.OK, answered.text
        found: dict[str, Any] = answered.json()
        return found

    async def waits() -> dict[str, Any] | None:
        causes = {each["stepId"]: each for each in (await told())["waits"]}
        return causes if causes.get("wait", {}).get("cause") == "signal" else None

    causes = await until(waits, within_s=10, what="the wait for a signal")
    assert causes["wait"]["on"] == ["go"]
    assert (causes["after"]["cause"], causes["after"]["on"]) == ("dependency", ["wait"])
    await api.post(f"/runs/{run_id}/signals/go", json={"payload": 1})
    await ended(api, run_id)
    found = await told()
    assert found["waits"] == []
    assert sum(each["ms"] for each in found["totals"]) == found["totalMs"]
    spans = found["timeline"]
    assert [s["from"] for s in spans] == [found["from"], *(s["to"] for s in spans)][:-1]
    assert any(each["cause"] == "signal" for each in found["totals"])


async def test_a_retry_goes_on_with_a_loop_where_it_failed(api: httpx.AsyncClient) -> None:
    body = {"nodes": [node("t", "transform", config={"output": "{{ item.n }}"})], "edges": []}
    items = [{"n": 1}, {"n": 2}, {"m": 3}]
    loop = node("l", "loop", config={"items": items, "mode": "sequential", "body": body})
    run_id = await started(api, await made(api, drawn("loop-again", [loop])))
    assert (await ended(api, run_id))["status"] == "failed"
    plan = (await api.post(f"/runs/{run_id}/retry?dryRun=true")).json()
    assert (plan["runsAgain"], plan["goesOn"]) == (["l"], ["l"])
    answered = await api.post(f"/runs/{run_id}/retry")
    assert answered.status_code == httpx.codes.CREATED, answered.text
    again = answered.json()["id"]
    assert (await ended(api, again))["status"] == "failed", "its third item is still the same"
    readied = [e["data"]["stepId"] for e in of_type(await history(api, again), "StepReady")]
    assert readied == ["l.2.t"]
