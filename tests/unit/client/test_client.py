"""Both clients over a real connection to a far side that misbehaves by script."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from penstock.client.async_client import AsyncClient
from penstock.client.client import Client
from penstock.client.errors import (
    BadAnswer,
    Invalid,
    NotConfigured,
    NotFound,
    RunUnsuccessful,
    Unreachable,
    WaitTimeout,
)
from penstock.client.models import ProblemDetail, RunStatus
from penstock.client.retry import NEVER, Retries
from penstock.client.runs import list_runs
from tests.unit.client.far_side import END, GONE, Act, FarSide, frame, refuses, says, streams

QUICK = Retries(tries_max=3, pause_s=0.001)
ACCEPTED = says({"runId": "r-1", "status": "queued", "links": {"run": "/api/runs/r-1"}}, 202)


def run(status: str = "succeeded", **members: Any) -> Act:
    told = {"id": "r-1", "tenantId": "t", "workflowId": "w", "status": status}
    return says(told | members)


def client(far: FarSide, retries: Retries = QUICK) -> Client:
    return Client(far.url, "psk_1_x", retries=retries)


def test_an_execute_carries_key_input_and_idempotency() -> None:
    with FarSide(ACCEPTED) as far, client(far) as penstock:
        accepted = penstock.runs.start("my flow", {"n": 1}, tags=["a"], priority=5)
        seen = far.seen[0]
    assert accepted.run_id == "r-1"
    assert (seen.method, seen.path) == ("POST", "/api/workflows/my%20flow/execute?mode=async")
    assert json.loads(seen.body) == {"input": {"n": 1}, "tags": ["a"], "priority": 5}
    assert seen.headers["authorization"] == "Bearer psk_1_x"
    assert len(seen.headers["idempotency-key"]) == 32


def test_an_input_that_is_null_is_not_an_input_left_out() -> None:
    with FarSide(ACCEPTED, ACCEPTED) as far, client(far) as penstock:
        penstock.runs.start("w", None)
        penstock.runs.start("w")
        assert [json.loads(seen.body) for seen in far.seen] == [{"input": None}, {}]


def test_every_try_of_an_execute_has_the_same_key() -> None:
    busy = refuses(503, "UNAVAILABLE", Retry_After="0")
    with FarSide(GONE, busy, ACCEPTED) as far, client(far) as penstock:
        penstock.runs.start("w")
        assert len({seen.headers["idempotency-key"] for seen in far.seen}) == 1
        assert len(far.seen) == 3


def test_a_refusal_brings_all_its_problems() -> None:
    details = [{"pointer": f"/nodes/{n}", "code": "CYCLE", "message": "round"} for n in (1, 2)]
    with (
        FarSide(refuses(400, "VALIDATION_ERROR", *details)) as far,
        client(far) as penstock,
        pytest.raises(Invalid) as caught,
    ):
        penstock.workflows.create(definition={"nodes": []})
    error = caught.value
    assert (error.status, error.code, error.trace_id) == (400, "VALIDATION_ERROR", "t-1")
    assert error.problems == tuple(msgspec.convert(each, ProblemDetail) for each in details)


def test_somebody_else_is_not_penstock() -> None:
    with FarSide(Act(404, b"<html>"), says({"x": 1})) as far, client(far, NEVER) as penstock:
        with pytest.raises(BadAnswer, match="status 404"):
            penstock.runs.get("r-1")
        with pytest.raises(BadAnswer, match="cannot be read"):
            penstock.runs.get("r-1")


def test_nobody_there_is_unreachable() -> None:
    with FarSide() as far:
        url = far.url
    with Client(url, "k", retries=QUICK) as penstock, pytest.raises(Unreachable, match=url):
        penstock.runs.get("r-1")


def test_an_unknown_member_of_a_newer_server_is_no_error() -> None:
    newer = run(moon="full", progress={"total": 3, "dreaming": 1})
    with FarSide(newer) as far, client(far) as penstock:
        assert penstock.runs.get("r-1").progress.total == 3


def test_pages_follow_the_cursor_to_the_end() -> None:
    each = {"id": "r", "tenantId": "t", "workflowId": "w", "status": "running"}
    first = says({"items": [{**each, "id": "a"}, {**each, "id": "b"}], "nextCursor": "c-1"})
    last = says({"items": [{**each, "id": "c"}], "nextCursor": None})
    with FarSide(first, last) as far, client(far) as penstock:
        assert [found.id for found in penstock.pages(list_runs(tag="x"))] == ["a", "b", "c"]
        assert [seen.path for seen in far.seen] == [
            "/api/runs?limit=200&tag=x",
            "/api/runs?limit=200&tag=x&cursor=c-1",
        ]


def test_a_broken_stream_goes_on_where_it_broke() -> None:
    torn = streams(frame("1.0", "RunStarted"), frame("1.1"), frame("2.0")[:40], breaks=True)
    rest = streams(": ping\n\n", frame("2.0"), frame("2.1", "RunSucceeded"), END)
    busy = refuses(503, "UNAVAILABLE")
    with FarSide(torn, busy, rest) as far, client(far) as penstock:
        positions = [event.position for event in penstock.runs.stream("r-1")]
        resumed = [seen.headers.get("last-event-id") for seen in far.seen]
    assert positions == ["1.0", "1.1", "2.0", "2.1"]
    assert resumed == [None, "1.1", "1.1"]


def test_a_stream_that_ends_too_early_is_opened_again_but_not_for_ever() -> None:
    empty = streams()
    with FarSide(empty, empty, empty, empty) as far, client(far) as penstock:
        with pytest.raises(Unreachable, match="ended before the run"):
            list(penstock.runs.stream("r-1"))
        assert len(far.seen) == QUICK.tries_max


def test_a_stream_of_an_unknown_run_is_not_tried_again() -> None:
    with (
        FarSide(refuses(404, "NOT_FOUND")) as far,
        client(far) as penstock,
        pytest.raises(NotFound),
    ):
        list(penstock.runs.stream("r-9"))


def test_a_stream_that_is_not_events_is_said_to_be_none() -> None:
    with (
        FarSide(streams("id: 1\ndata: {]\n\n")) as far,
        client(far) as penstock,
        pytest.raises(BadAnswer, match="stream of run r-1"),
    ):
        list(penstock.runs.stream("r-1"))


def test_a_result_is_the_run_after_its_end() -> None:
    late = refuses(503, "UNAVAILABLE", Retry_After="0")
    with FarSide(streams(frame("1.7"), END), late, run(output=42)) as far, client(far) as penstock:
        assert penstock.runs.result("r-1").output == 42
        assert [seen.headers.get("x-read-after") for seen in far.seen] == [None, "1.7", "1.7"]


@pytest.mark.parametrize("status", ["failed", "cancelled", "timed_out"])
def test_a_result_without_success_is_an_error_that_holds_the_run(status: str) -> None:
    told = run(status, error={"code": "BAD", "message": "no luck", "stepId": "price"})
    with (
        FarSide(streams(END), told) as far,
        client(far) as penstock,
        pytest.raises(RunUnsuccessful, match="no luck") as caught,
    ):
        penstock.runs.result("r-1")
    assert caught.value.run.status is RunStatus(status)


def test_a_result_is_waited_for_no_longer_than_asked() -> None:
    with (
        FarSide(streams(frame("1.0"), END)) as far,
        client(far) as penstock,
        pytest.raises(WaitTimeout),
    ):
        penstock.runs.result("r-1", timeout_s=0)


def test_a_workflow_has_the_etag_of_its_answer() -> None:
    told = {"id": "w-1", "key": "w", "name": "W", "version": 1}
    with FarSide(says(told, ETag='"7"'), says(told)) as far, client(far) as penstock:
        workflow = penstock.workflows.get("w")
        penstock.workflows.update("w", name="V", if_match=workflow.etag)
        assert far.seen[1].headers["if-match"] == '"7"'


def test_an_admin_speaks_for_a_tenant() -> None:
    with FarSide(run()) as far, Client(far.url, "k", tenant="t-1") as penstock:
        penstock.runs.get("r-1")
        assert far.seen[0].headers["x-tenant-id"] == "t-1"


def test_url_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_API_KEY", raising=False)
    monkeypatch.setenv("PENSTOCK_URL", "http://127.0.0.1:1")
    with pytest.raises(NotConfigured, match="PENSTOCK_API_KEY"):
        Client()
    with FarSide(run()) as far:
        monkeypatch.setenv("PENSTOCK_API_KEY", "from-environment")
        with Client(far.url) as penstock:
            penstock.runs.get("r-1")
        assert far.seen[0].headers["authorization"] == "Bearer from-environment"


def test_the_methods_say_what_their_functions_say() -> None:
    with FarSide() as far, client(far) as penstock:
        assert "idempotency_key" in (penstock.runs.start.__doc__ or "")


async def test_the_async_client_does_the_same() -> None:
    torn = streams(frame("1.0"), breaks=True)
    rest = streams(frame("1.1", "RunSucceeded"), END)
    busy = refuses(429, "RATE_LIMITED", Retry_After="0")
    page: dict[str, Any] = {"items": [], "nextCursor": None}
    with FarSide(busy, ACCEPTED, torn, rest, rest, run(output=1), says(page), says({})) as far:
        async with AsyncClient(far.url, "k", retries=QUICK) as penstock:
            accepted = await penstock.runs.start("w", {"n": 1})
            told = [event.position async for event in penstock.runs.stream(accepted.run_id)]
            result = await penstock.runs.result(accepted.run_id)
            pages = [found async for found in penstock.pages(list_runs())]
            health = await penstock.health()
        assert far.seen[3].headers["last-event-id"] == "1.0"
    assert (told, result.output, pages, health) == (["1.0", "1.1"], 1, [], {})


async def test_many_calls_at_once_share_one_async_client() -> None:
    with FarSide(*[ACCEPTED] * 20) as far:
        async with AsyncClient(far.url, "k", retries=QUICK) as penstock:
            await asyncio.gather(*(penstock.runs.start("w", n) for n in range(20)))
        assert len({seen.headers["idempotency-key"] for seen in far.seen}) == 20
