"""Execute in its three forms, runs, steps, cancel, through the whole engine."""

import asyncio
import hashlib
from typing import Any
from uuid import uuid4

from httpx import AsyncClient

from tests.integration.api.houses import House, chain, waiting


async def drawn(client: AsyncClient, definition: dict[str, Any]) -> str:
    """The id of a new workflow."""
    made = await client.post("/api/workflows", json={"definition": definition})
    assert made.status_code == 201, made.text
    found: str = made.json()["id"]
    return found


async def ended(client: AsyncClient, run_id: str) -> dict[str, Any]:
    """The run once it has ended."""
    async with asyncio.timeout(20):
        while True:
            run: dict[str, Any] = (await client.get(f"/api/runs/{run_id}")).json()
            if run["status"] not in {"queued", "running", "waiting"}:
                return run
            await asyncio.sleep(0.05)


async def only_step(client: AsyncClient, run_id: str, status: str) -> dict[str, Any]:
    """The run's one step, once it stands there."""
    async with asyncio.timeout(20):
        while True:
            (step,) = (await client.get(f"/api/runs/{run_id}")).json()["steps"]
            if step["status"] == status:
                found: dict[str, Any] = step
                return found
            await asyncio.sleep(0.05)


async def test_a_run_is_accepted_and_read_at_once(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, chain("a", "b"))
    asked = {"input": {"n": 1}, "tags": ["x", "y"], "priority": 3}
    answer = await tenant.post(f"/api/workflows/{workflow}/execute", json=asked)
    run_id = answer.json()["runId"]
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert answer.headers["location"] == answer.json()["links"]["self"] == f"/api/runs/{run_id}"
    assert "." in answer.headers["x-log-position"]
    assert (await tenant.get(f"/api/runs/{run_id}")).status_code == 200
    run = await ended(tenant, run_id)
    assert (run["status"], run["output"], run["tags"]) == ("succeeded", {"n": 1}, ["x", "y"])
    assert (run["priority"], run["trigger"]) == (3, "api")
    assert run["progress"] == {
        "total": 2, "succeeded": 2, "failed": 0, "skipped": 0, "running": 0
    }  # fmt: skip
    assert (await tenant.get(f"/api/executions/{run_id}")).json() == run


async def test_the_three_forms_of_execute_are_one(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, chain("a", name="forms"))
    bodies = (
        ("/api/workflows/forms/execute?mode=sync", {"input": [1]}),
        (f"/api/executions/{workflow}/execute", [1]),
        ("/api/executions/run", {"workflowId": "forms", "input": [1]}),
    )
    for path, body in bodies:
        answer = await tenant.post(path, json=body)
        assert (answer.status_code, answer.json().get("output")) == (200, [1]), answer.text
        assert answer.json()["steps"][0]["status"] == "succeeded"
    for path, body in bodies[1:]:
        answer = await tenant.post(f"{path}?mode=async", json=body)
        assert answer.status_code == 202
    logs = (await tenant.get(f"/api/executions/{workflow}/logs?limit=3")).json()
    assert len(logs) == 3
    assert "steps" not in logs[0]


async def test_a_wait_that_is_over_leaves_the_run_alone(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, waiting())
    answer = await tenant.post(f"/api/executions/{workflow}/execute?timeoutMs=300", json=None)
    assert answer.status_code == 202
    run = (await tenant.get(f"/api/runs/{answer.json()['runId']}")).json()
    assert run["status"] in {"running", "waiting"}
    assert (await tenant.post(f"/api/runs/{run['id']}/cancel")).status_code == 202


async def test_a_step_shows_what_it_worked_on(tenant: AsyncClient) -> None:
    definition = {
        "name": "diamond",
        "nodes": [
            {"id": "top", "type": "noop"},
            {"id": "left", "type": "transform", "config": {"output": {"l": "{{ input.n }}"}}},
            {"id": "right", "type": "condition", "config": {"expression": "input.n > 5"}},
            {"id": "never", "type": "noop"},
            {"id": "join", "type": "noop"},
        ],
        "edges": [
            {"from": "top", "to": "left"},
            {"from": "top", "to": "right"},
            {"from": "right", "to": "never", "condition": {"type": "BRANCH", "branch": "true"}},
            {"from": "left", "to": "join"},
            {"from": "right", "to": "join"},
        ],
    }
    workflow = await drawn(tenant, definition)
    answer = await tenant.post(f"/api/executions/{workflow}/execute", json={"n": 2})
    steps = {each["id"]: each for each in answer.json()["steps"]}
    assert [*steps] == ["top", "left", "right", "never", "join"]
    assert steps["top"]["input"] == steps["left"]["input"] == {"n": 2}
    assert steps["left"]["output"] == {"l": 2}
    assert (steps["right"]["branch"], steps["never"]["status"]) == ("false", "skipped")
    assert steps["join"]["input"] == {"left": {"l": 2}, "right": {"n": 2}}
    assert steps["never"]["input"] is None
    run_id = answer.json()["id"]
    expected = hashlib.sha256(f"{run_id}:join".encode()).hexdigest()
    assert steps["join"]["idempotencyKey"] == expected
    assert steps["join"]["attempts"][0]["attempt"] == 1
    assert answer.json()["output"] == {"join": steps["join"]["output"]} or (
        answer.json()["output"] == steps["join"]["output"]
    )
    first = (await tenant.get(f"/api/runs/{run_id}/steps?limit=3")).json()
    rest = (
        await tenant.get(f"/api/runs/{run_id}/steps?limit=3&cursor={first['nextCursor']}")
    ).json()
    assert first["items"] + rest["items"] == answer.json()["steps"]
    assert rest["nextCursor"] is None


async def test_a_step_shows_what_its_own_template_came_to(tenant: AsyncClient) -> None:
    def drawing(config: dict[str, Any], kind: str) -> dict[str, Any]:
        own = {"id": "b", "type": kind, "input": {"mine": "{{ input.n }}"}, "config": config}
        made = chain("a", "b", name=f"its own {kind}")
        return {**made, "nodes": [made["nodes"][0], own]}

    failing = await drawn(tenant, drawing({"output": "{{ input.nope }}"}, "transform"))
    run = (await tenant.post(f"/api/executions/{failing}/execute", json={"n": 1})).json()
    assert (run["steps"][1]["status"], run["steps"][1]["input"]) == ("failed", {"mine": 1})

    resting = await drawn(tenant, drawing({"durationMs": 60_000}, "delay"))
    path = f"/api/executions/{resting}/execute?timeoutMs=500"
    run_id = (await tenant.post(path, json={"n": 1})).json()["runId"]
    run = (await tenant.get(f"/api/runs/{run_id}")).json()
    assert (run["steps"][1]["status"], run["steps"][1]["input"]) == ("waiting", {"mine": 1})
    assert run["status"] == "waiting"
    await tenant.post(f"/api/runs/{run_id}/cancel")


async def test_the_first_of_several_is_what_a_step_worked_on(tenant: AsyncClient) -> None:
    definition = {
        "name": "first come",
        "nodes": [
            {"id": "fast", "type": "noop"},
            {"id": "slow", "type": "delay", "config": {"durationMs": 500}},
            {"id": "first", "type": "noop", "join": "any"},
        ],
        "edges": [{"from": "fast", "to": "first"}, {"from": "slow", "to": "first"}],
    }
    workflow = await drawn(tenant, definition)
    run = (await tenant.post(f"/api/executions/{workflow}/execute", json={"n": 1})).json()
    assert [each["status"] for each in run["steps"]] == ["succeeded"] * 3
    assert run["steps"][2]["input"] == run["output"] == {"fast": {"n": 1}}


async def test_a_failed_step_says_why_and_how_often(tenant: AsyncClient) -> None:
    definition = chain("a", name="failing")
    definition["nodes"][0] = {
        "id": "a",
        "type": "http_request",
        "config": {"method": "GET", "url": "http://127.0.0.1:9/"},
    }
    workflow = await drawn(tenant, definition)
    run = (await tenant.post(f"/api/executions/{workflow}/execute", json={})).json()
    (step,) = run["steps"]
    assert (run["status"], step["status"]) == ("failed", "failed")
    assert (step["error"]["code"], step["error"]["retryable"]) == ("EGRESS_REFUSED", False)
    assert run["error"]["stepId"] == "a"
    assert step["attempts"][-1]["error"] == step["error"]


async def test_a_step_that_rests_before_its_next_attempt_says_why(tenant: AsyncClient) -> None:
    definition = chain("a", name="retrying", retry={"maxAttempts": 2, "backoffMs": 60_000})
    url = "http://no-such-host.invalid/"
    definition["nodes"][0] = {"id": "a", "type": "http_request", "config": {"url": url}}
    workflow = await drawn(tenant, definition)
    run_id = (await tenant.post(f"/api/workflows/{workflow}/execute", json={})).json()["runId"]
    step = await only_step(tenant, run_id, "retrying")
    (attempt,) = step["attempts"]
    assert (attempt["attempt"], attempt["status"]) == (1, "failed")
    assert attempt["error"]["code"] == "CONNECTION_ERROR"
    assert attempt["finishedAt"] is not None
    await tenant.post(f"/api/runs/{run_id}/cancel")
    assert (await only_step(tenant, run_id, "cancelled"))["attempts"] == [attempt]


async def test_a_step_that_was_cancelled_while_it_waited_has_no_output(
    tenant: AsyncClient,
) -> None:
    workflow = await drawn(tenant, waiting())
    path = f"/api/workflows/{workflow}/execute"
    run_id = (await tenant.post(path, json={"input": {"n": 1}})).json()["runId"]
    step = await only_step(tenant, run_id, "waiting")
    assert (step["input"], step["output"]) == ({"n": 1}, None)
    await tenant.post(f"/api/runs/{run_id}/cancel")
    assert (await only_step(tenant, run_id, "cancelled"))["output"] is None


async def test_an_input_is_checked_before_the_run_is_accepted(tenant: AsyncClient) -> None:
    schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}
    workflow = await drawn(tenant, chain("a", inputSchema=schema))
    for path, body, pointer in (
        (f"/api/workflows/{workflow}/execute", {"input": {"id": "x"}}, "/input/id"),
        (f"/api/workflows/{workflow}/execute", {"input": {}}, "/input/id"),
        (f"/api/executions/{workflow}/execute", {"id": "x"}, "/id"),
    ):
        refused = await tenant.post(path, json=body)
        assert refused.status_code == 400
        assert [each["pointer"] for each in refused.json()["details"]] == [pointer]
    assert (await tenant.get("/api/runs")).json()["items"] == []


async def test_one_key_is_one_run(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, chain("a"))
    path, headers = f"/api/workflows/{workflow}/execute", {"Idempotency-Key": "k-1"}
    answers = await asyncio.gather(
        *(tenant.post(path, json={"input": 1}, headers=headers) for _ in range(8))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    again = await tenant.post(path, json={"input": 1}, headers=headers)
    assert (again.status_code, again.text) == (202, answers[0].text)
    assert again.headers["idempotent-replayed"] == "true"
    other = await tenant.post(path, json={"input": 2}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert len((await tenant.get("/api/runs")).json()["items"]) == 1
    await tenant.delete(f"/api/workflows/{workflow}")
    late = await tenant.post(path, json={"input": 1}, headers=headers)
    assert (late.status_code, late.text) == (202, answers[0].text)


async def test_a_key_belongs_to_its_route_and_tenant(house: House, tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, chain("a"))
    headers = {"Idempotency-Key": "shared"}
    one = await tenant.post(f"/api/workflows/{workflow}/execute", json={}, headers=headers)
    two = await tenant.post(f"/api/executions/{workflow}/execute", json={}, headers=headers)
    assert one.json()["runId"] != two.json()["id"]
    made = (await house.admin("POST", "/api/tenants", json={"name": "third"})).json()
    async with house.caller(made["adminApiKey"]) as third:
        theirs = await drawn(third, chain("a"))
        answer = await third.post(f"/api/workflows/{theirs}/execute", json={}, headers=headers)
        assert answer.json()["runId"] not in {one.json()["runId"], two.json()["id"]}


async def test_a_bad_idempotency_key_is_refused(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, chain("a"))
    refused = await tenant.post(
        f"/api/workflows/{workflow}/execute", headers={"Idempotency-Key": "x" * 256}
    )
    assert refused.status_code == 400


async def test_a_cancel_ends_a_run_once(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, waiting())
    run_id = (await tenant.post(f"/api/workflows/{workflow}/execute")).json()["runId"]
    path = f"/api/runs/{run_id}/cancel"
    answer = await tenant.post(path, json={"reason": "no longer wanted"})
    assert (answer.status_code, answer.json()["runId"]) == (202, run_id)
    run = await ended(tenant, run_id)
    assert run["status"] == "cancelled"
    assert run["error"]["message"] == "no longer wanted"
    refused = await tenant.post(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "RUN_FINISHED")


async def test_unknown_runs_are_404(tenant: AsyncClient) -> None:
    for run_id in (str(uuid4()), "nonsense", "0"):
        for method, path in (
            ("GET", f"/api/runs/{run_id}"),
            ("GET", f"/api/runs/{run_id}/steps"),
            ("GET", f"/api/runs/{run_id}/events"),
            ("GET", f"/api/runs/{run_id}/stream"),
            ("POST", f"/api/runs/{run_id}/cancel"),
        ):
            answer = await tenant.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


async def test_runs_are_found_by_what_they_are(tenant: AsyncClient) -> None:
    one, two = await drawn(tenant, chain("a", name="one")), await drawn(tenant, waiting())
    ids = {}
    for name, workflow, tags in (("p", one, ["red"]), ("q", one, ["blue"]), ("r", two, ["red"])):
        asked = {"tags": tags}
        answer = await tenant.post(f"/api/workflows/{workflow}/execute", json=asked)
        ids[name] = answer.json()["runId"]
    await ended(tenant, ids["q"])
    await ended(tenant, ids["p"])

    async def listed(query: str) -> list[str]:
        page = (await tenant.get(f"/api/runs?{query}")).json()
        return [
            name for each in page["items"] for name, found in ids.items() if found == each["id"]
        ]

    assert await listed("") == ["r", "q", "p"]
    assert await listed("tag=red") == ["r", "p"]
    assert await listed("workflowId=one") == ["q", "p"]
    assert await listed(f"workflowId={two}&tag=red") == ["r"]
    assert await listed("status=succeeded") == ["q", "p"]
    assert await listed("trigger=api&limit=1") == ["r"]
    assert await listed("trigger=schedule") == []
    assert await listed("workflowId=unknown") == []
    assert await listed("from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z") == []
    assert await listed("from=2020-01-01T00:00:00Z") == ["r", "q", "p"]
    pages: list[str] = []
    query: dict[str, Any] | None = {"limit": 1}
    while query is not None:
        page = (await tenant.get("/api/runs", params=query)).json()
        pages += [each["id"] for each in page["items"]]
        cursor = page["nextCursor"]
        query = {"limit": 1, "cursor": cursor} if cursor else None
    assert pages == [ids["r"], ids["q"], ids["p"]]
    tagged = (await tenant.get("/api/runs?tag=red&limit=1")).json()
    second = (await tenant.get(f"/api/runs?tag=red&limit=1&cursor={tagged['nextCursor']}")).json()
    assert [each["id"] for each in second["items"]] == [ids["p"]]
    await tenant.post(f"/api/runs/{ids['r']}/cancel")


async def test_a_large_payload_travels_as_any_other(tenant: AsyncClient) -> None:
    workflow = await drawn(tenant, chain("a", "b"))
    large = {"text": "x" * 200_000}
    run = (await tenant.post(f"/api/executions/{workflow}/execute", json=large)).json()
    assert run["input"] == run["output"] == run["steps"][1]["input"] == large
    listed = (await tenant.get("/api/runs")).json()["items"][0]
    assert listed["input"] == listed["output"] == large
