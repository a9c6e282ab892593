"""One trace id, from the HTTP request to the header of a step's outgoing call."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
from nats.aio.msg import Msg

from penstock.dev.stack import Stack
from tests.chaos.receiver import Receiver
from tests.e2e.histories import history
from tests.e2e.runs import QUICK_RETRY, Document, call, drawn, edge, ended, made, node

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
CALLED = ("first", "last")
HOPS = {"cmd", "work", "rep"}


def workflow(receiver: Receiver) -> Document:
    """Calls at both ends, the first one retried; in between a wait, which a timer ends."""
    flaky, ok = (f"{receiver.url}/{kind}/{{{{ run.id }}}}" for kind in ("flaky", "ok"))
    return drawn(
        "traced",
        [
            call("first", f"{flaky}/first", retry=QUICK_RETRY),
            node("pause", "delay", config={"durationMs": 100}),
            node("pass"),
            call("last", f"{ok}/last"),
        ],
        edge("first", "pause"),
        edge("pause", "pass"),
        edge("pass", "last"),
    )


@asynccontextmanager
async def listening(stack: Stack, heard: list[tuple[str, Any]]) -> AsyncIterator[None]:
    """Hear every command, every piece of work and every report."""
    connection = await nats.connect(stack.nats_url)

    async def hear(message: Msg) -> None:
        heard.append((message.subject.split(".")[1], json.loads(message.data)))

    for family in HOPS:
        await connection.subscribe(f"penstock.{family}.>", cb=hear)
    await connection.flush()
    try:
        yield
    finally:
        await connection.drain()


def traces_of(heard: list[tuple[str, Any]], run_id: str) -> dict[str, set[str]]:
    """By hop, the trace ids that a run's messages carried."""
    found: dict[str, set[str]] = {hop: set() for hop in HOPS}
    for hop, body in heard:
        if hop == "cmd":
            parts = [body] if body["id"].startswith(run_id) else []
        else:
            parts = [p for p in body.get("tasks", body.get("reports")) if p["runId"] == run_id]
        found[hop] |= {trace_id(part.get("traceparent", "")) for part in parts}
    return found


def trace_id(traceparent: str) -> str:
    """The trace of a `traceparent`."""
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", traceparent), traceparent
    return traceparent.split("-")[1]


@pytest.mark.parametrize("incoming", [f"00-{TRACE_ID}-{PARENT_ID}-01", None, "no traceparent"])
async def test_every_hop_tells_the_trace_of_the_request(
    stack: Stack, api: httpx.AsyncClient, receiver: Receiver, incoming: str | None
) -> None:
    workflow_id = await made(api, workflow(receiver))
    headers = {} if incoming is None else {"traceparent": incoming}
    heard: list[tuple[str, Any]] = []
    async with listening(stack, heard):
        answered = await api.post(
            f"/workflows/{workflow_id}/execute?mode=async", json={}, headers=headers
        )
        run_id = answered.json()["runId"]
        run = await ended(api, run_id)
    assert run["status"] == "succeeded", run

    events = await history(api, run_id)
    traces = {trace_id(event["traceparent"]) for event in events}
    assert len(traces) == 1, [(e["type"], e["traceparent"]) for e in events]
    (trace,) = traces
    assert {event["correlationId"] for event in events} == {answered.headers["X-Request-Id"]}
    assert (trace == TRACE_ID) is (incoming is not None and TRACE_ID in incoming)
    assert traces_of(heard, run_id) == {hop: {trace} for hop in HOPS}
    assert {step: receiver.traces[run_id, step] for step in CALLED} == {
        step: {trace} for step in CALLED
    }
    request, failure = logged(stack.data_dir / "log", answered.headers["X-Request-Id"], run_id)
    assert request["traceId"] == trace
    assert failure["traceId"] == trace


def logged(logs: Path, request_id: str, run_id: str) -> tuple[Document, Document]:
    """The API's line about a request, and the executor's about the step that failed at first."""
    (request,) = [x for x in lines(logs / "api-0.log") if x.get("requestId") == request_id]
    (failure,) = [x for x in lines(logs / "executor-0.log") if x.get("run_id") == run_id]
    return request, failure


def lines(log: Path) -> list[Document]:
    """A service's log, line by line; each is JSON."""
    return [json.loads(line) for line in log.read_text().splitlines()]


async def test_a_problem_names_the_trace_of_its_request(api: httpx.AsyncClient) -> None:
    headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
    answered = await api.get("/runs/unknown", headers=headers)
    assert answered.status_code == httpx.codes.NOT_FOUND
    assert answered.json()["traceId"] == TRACE_ID
