"""Following what happens: streams that can be resumed, reads that wait, pages that miss nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx

from tests.chaos.receiver import Receiver
from tests.e2e.histories import Event, history
from tests.e2e.runs import call, drawn, edge, ended, made, node, started

HEARD_WITHIN_S = 15.0
RUNS = 230
"""More than one page, however large that is."""
PAGE = 60
BESIDE = 40


class Frame(NamedTuple):
    """One server-sent event."""

    id: str
    event: str
    data: Any


@asynccontextmanager
async def following(
    api: httpx.AsyncClient, run_id: str, **headers: str
) -> AsyncIterator[AsyncIterator[Frame]]:
    """The frames of a run's stream, as they come."""
    async with api.stream("GET", f"/runs/{run_id}/stream", headers=headers) as answered:
        assert answered.status_code == httpx.codes.OK
        assert answered.headers["content-type"].startswith("text/event-stream")
        yield frames(answered)


async def frames(answered: httpx.Response) -> AsyncIterator[Frame]:
    """Frames that say something; comments and the client's instructions are left out."""
    members: dict[str, str] = {}
    async for line in answered.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            members[name] = value
        elif "event" in members:
            yield Frame(members.get("id", ""), members["event"], json.loads(members["data"]))
        if not line:
            members = {}


async def test_a_stream_tells_history_then_what_comes_and_can_be_resumed(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    held = call("held", f"{receiver.url}/held/{{{{ run.id }}}}/held")
    nodes = [node("before"), held, node("after")]
    definition = drawn("followed", nodes, edge("before", "held"), edge("held", "after"))
    run_id = await started(api, await made(api, definition))
    heard: list[Frame] = []
    async with asyncio.timeout(HEARD_WITHIN_S), following(api, run_id) as told:
        async for frame in told:
            heard.append(frame)
            if frame.event == "StepStarted":
                # So far it was history or is live; from here on it can only be live.
                receiver.let_go.set()
    assert heard[-1] == Frame("", "end", {})
    events = await history(api, run_id)
    assert [frame.data for frame in heard[:-1]] == events
    assert [(frame.id, frame.event) for frame in heard[:-1]] == [
        (event["position"], event["type"]) for event in events
    ]
    for number, event in enumerate(events):
        headers = {"Last-Event-ID": event["position"]}
        async with asyncio.timeout(HEARD_WITHIN_S), following(api, run_id, **headers) as told:
            rest = [frame async for frame in told]
        assert [frame.data for frame in rest] == [*events[number + 1 :], {}]
        assert rest[-1].event == "end"


async def test_a_stream_from_behind_the_last_event_ends_at_once(api: httpx.AsyncClient) -> None:
    run_id = await started(api, await made(api, drawn("behind", [node("only")])))
    await ended(api, run_id)
    behind = {"Last-Event-ID": "99999999.0"}
    async with asyncio.timeout(HEARD_WITHIN_S), following(api, run_id, **behind) as told:
        assert [frame async for frame in told] == [Frame("", "end", {})]


async def test_many_may_follow_one_run(api: httpx.AsyncClient, receiver: Receiver) -> None:
    held = call("held", f"{receiver.url}/held/{{{{ run.id }}}}/held")
    run_id = await started(api, await made(api, drawn("popular", [held])))

    async def whole(*, release: bool) -> list[Event]:
        told = []
        async with asyncio.timeout(HEARD_WITHIN_S), following(api, run_id) as coming:
            async for frame in coming:
                told.append(frame.data)
                if release and frame.event == "StepStarted":
                    receiver.let_go.set()
        return told

    heard = await asyncio.gather(*(whole(release=number == 0) for number in range(10)))
    expected = [*(await history(api, run_id)), {}]
    assert all(told == expected for told in heard)


async def test_a_read_after_a_write_sees_it(api: httpx.AsyncClient) -> None:
    definition = drawn("seen", [node("only")])
    answered = await api.post("/workflows", json={"definition": definition})
    after = {"X-Read-After": answered.headers["X-Log-Position"]}
    workflow_id = answered.json()["id"]
    read = await api.get(f"/workflows/{workflow_id}", headers=after)
    assert (read.status_code, read.json()["version"]) == (httpx.codes.OK, 1)
    for number in range(20):
        executed = await api.post(
            f"/workflows/{workflow_id}/execute?mode=async", json={"input": number}
        )
        after = {"X-Read-After": executed.headers["X-Log-Position"]}
        newest = await api.get(f"/workflows/{workflow_id}/runs?limit=1", headers=after)
        assert newest.json()["items"][0]["id"] == executed.json()["runId"]


async def test_pages_miss_nothing_while_runs_go_on_starting(api: httpx.AsyncClient) -> None:
    workflow_id = await made(api, drawn("many", [node("only")]))
    there = [await started(api, workflow_id, number) for number in range(RUNS)]

    async def go_on() -> list[str]:
        return [await started(api, workflow_id, number) for number in range(BESIDE)]

    starting = asyncio.create_task(go_on())
    seen: list[str] = []
    query: dict[str, str] | None = {"limit": str(PAGE)}
    while query is not None:
        page = (await api.get(f"/workflows/{workflow_id}/runs", params=query)).json()
        seen += [run["id"] for run in page["items"]]
        cursor = page["nextCursor"]
        query = {"limit": str(PAGE), "cursor": cursor} if cursor else None
    added = await starting
    assert len(seen) == len(set(seen)), "a run came twice"
    assert [run_id for run_id in seen if run_id in set(there)] == there[::-1]
    assert set(seen) <= {*there, *added}
    for run_id in added:
        await ended(api, run_id)
