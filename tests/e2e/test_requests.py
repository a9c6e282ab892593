"""Requests that must not do what they ask for, or only once."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from penstock.dev.stack import Stack
from tests.e2e.conftest import client
from tests.e2e.runs import drawn, ended, made, node, started
from tests.unit.domain.workflow.malformed import MALFORMED, Malformed

PARALLEL = 20
BODY_MAX_BYTES = 1024 * 1024
UNKNOWN = "01900000-0000-7000-8000-000000000001"
NOOP = [node("only")]


@pytest.fixture(scope="module")
async def stranger(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """The admin of another tenant."""
    async with client(stack.api_url, stack.admin_key) as admin:
        answered = await admin.post("/tenants", json={"name": "strangers"})
        assert answered.status_code == httpx.codes.CREATED, answered.text
    async with client(stack.api_url, answered.json()["adminApiKey"]) as theirs:
        yield theirs


def is_problem(answered: httpx.Response, status: int, code: str) -> bool:
    """Whether the answer is this problem, told as every problem is."""
    assert answered.status_code == status, answered.text
    assert answered.headers["content-type"] == "application/problem+json"
    told = answered.json()
    assert (told["status"], told["code"]) == (status, code)
    assert told["message"] == told["detail"]
    assert told["traceId"]
    return True


# --- once ----------------------------------------------------------------------------------------


async def test_one_key_is_one_run_however_many_ask_at_once(api: httpx.AsyncClient) -> None:
    workflow_id = await made(api, drawn("once", NOOP))
    path, key = (
        f"/workflows/{workflow_id}/execute?mode=async",
        {"Idempotency-Key": "asked in parallel"},
    )
    answers = await asyncio.gather(
        *(api.post(path, json={"input": 1}, headers=key) for _ in range(PARALLEL))
    )
    assert {answered.status_code for answered in answers} == {httpx.codes.ACCEPTED}
    assert len({answered.content for answered in answers}) == 1
    run_id = answers[0].json()["runId"]
    assert (await ended(api, run_id))["status"] == "succeeded"
    listed = (await api.get(f"/workflows/{workflow_id}/runs")).json()["items"]
    assert [run["id"] for run in listed] == [run_id]

    again = await api.post(path, json={"input": 1}, headers=key)
    assert (again.content, again.headers["Idempotent-Replayed"]) == (answers[0].content, "true")
    other = await api.post(path, json={"input": 2}, headers=key)
    assert is_problem(other, 409, "IDEMPOTENCY_CONFLICT")


async def test_a_workflow_without_a_version_cannot_run(api: httpx.AsyncClient) -> None:
    answered = await api.post("/workflows", json={"name": "nothing yet"})
    assert answered.status_code == httpx.codes.CREATED, answered.text
    refused = await api.post(f"/workflows/{answered.json()['id']}/execute", json={})
    assert is_problem(refused, 409, "NO_VERSION")


# --- nobody's ------------------------------------------------------------------------------------


def asked_about(workflow_id: str, run_id: str) -> list[tuple[str, str]]:
    """Every way to ask for a workflow or a run by its id."""
    return [
        ("GET", f"/workflows/{workflow_id}"),
        ("PUT", f"/workflows/{workflow_id}"),
        ("DELETE", f"/workflows/{workflow_id}"),
        ("GET", f"/workflows/{workflow_id}/versions"),
        ("POST", f"/workflows/{workflow_id}/versions"),
        ("GET", f"/workflows/{workflow_id}/runs"),
        ("POST", f"/workflows/{workflow_id}/execute"),
        ("POST", f"/executions/{workflow_id}/execute"),
        ("GET", f"/executions/{workflow_id}/logs"),
        ("GET", f"/runs/{run_id}"),
        ("GET", f"/executions/{run_id}"),
        ("GET", f"/runs/{run_id}/steps"),
        ("GET", f"/runs/{run_id}/events"),
        ("GET", f"/runs/{run_id}/stream"),
        ("POST", f"/runs/{run_id}/cancel"),
    ]


async def test_what_is_anothers_is_as_unknown_as_what_is_not(
    api: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    workflow_id = await made(api, drawn("mine", NOOP))
    run_id = await started(api, workflow_id)
    await ended(api, run_id)
    pairs = [(workflow_id, run_id), (UNKNOWN, UNKNOWN), ("no-such", "no-such")]
    for method, path in [ask for pair in pairs for ask in asked_about(*pair)]:
        # A body that is no JSON, so that nobody looks at it first.
        answered = await stranger.request(method, path, content=b"{")
        assert is_problem(answered, 404, "NOT_FOUND"), path
    listed = await stranger.get("/runs")
    assert listed.json() == {"items": [], "nextCursor": None}
    assert (await api.get(f"/runs/{run_id}")).status_code == httpx.codes.OK


@pytest.mark.parametrize("path", ["/nothing", "/runs/x/y/z", "/", "/workflows/a/b/c/d"])
async def test_an_unknown_path_is_a_problem_too(api: httpx.AsyncClient, path: str) -> None:
    assert is_problem(await api.get(path), 404, "NOT_FOUND")


# --- too much, and malformed ---------------------------------------------------------------------


async def test_a_body_over_the_limit_is_refused(api: httpx.AsyncClient) -> None:
    workflow_id = await made(api, drawn("small", NOOP))
    body = json.dumps({"input": "x" * BODY_MAX_BYTES}).encode()

    async def in_parts() -> AsyncIterator[bytes]:
        for first in range(0, len(body), 64 * 1024):
            yield body[first : first + 64 * 1024]

    headers = {"Content-Type": "application/json"}
    for path in (f"/workflows/{workflow_id}/execute", "/workflows", "/workflows/validate"):
        for content in (body, in_parts()):
            answered = await api.post(path, content=content, headers=headers)
            assert is_problem(answered, 413, "PAYLOAD_TOO_LARGE")


AT_THE_DOOR = {"a number that JSON lacks", "a value nested too deep"}
"""What no body may hold, whatever it is about."""
JUDGED = [case for case in MALFORMED if case.name not in AT_THE_DOOR and case.document is not None]


async def answers(api: httpx.AsyncClient, case: Malformed) -> tuple[httpx.Response, httpx.Response]:
    """What is said about a definition: when it is to be judged, and when to become a workflow."""
    body = json.dumps({"definition": case.document}).encode()
    headers = {"Content-Type": "application/json"}
    judged = await api.post("/workflows/validate", content=body, headers=headers)
    return judged, await api.post("/workflows", content=body, headers=headers)


@pytest.mark.parametrize("case", JUDGED, ids=lambda case: case.name)
async def test_a_malformed_definition_has_all_its_problems(
    api: httpx.AsyncClient, case: Malformed
) -> None:
    judged, refused = await answers(api, case)
    assert judged.status_code == httpx.codes.OK, judged.text
    assert judged.json()["valid"] is False
    problems = judged.json()["problems"]
    assert sorted((each["pointer"], each["code"]) for each in problems) == sorted(case.problems)
    assert all(each["message"] for each in problems)
    assert is_problem(refused, 400, "VALIDATION_ERROR")
    details = [(each["pointer"], each["code"]) for each in refused.json()["details"]]
    assert sorted(details) == sorted((f"/definition{at}", code) for at, code in case.problems)


@pytest.mark.parametrize("name", sorted(AT_THE_DOOR))
async def test_what_no_body_may_hold_is_refused_at_the_door(
    api: httpx.AsyncClient, name: str
) -> None:
    (case,) = [case for case in MALFORMED if case.name == name]
    for answered in await answers(api, case):
        assert is_problem(answered, 400, "VALIDATION_ERROR")
