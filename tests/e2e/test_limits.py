"""What a tenant may have at once, on a whole stack: steps and runs above it wait, others do not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from penstock.dev.stack import Stack
from tests.chaos.receiver import Receiver
from tests.e2e.command import penstock
from tests.e2e.conftest import client
from tests.e2e.histories import Event, history
from tests.e2e.runs import Document, call, drawn, ended, made, node, started
from tests.e2e.waiting import until

STEPS = 6
MOST = 2
SEEN_WITHIN_S = 30.0
MEASURED_WITHIN_S = 60.0
"""A projector measures a little after its start, and then every hour."""


@asynccontextmanager
async def limited(stack: Stack, **limits: int) -> AsyncIterator[httpx.AsyncClient]:
    """A new tenant's admin."""
    async with client(stack.api_url, stack.admin_key) as admin:
        asked = {"name": "limited", "config": {"limits": limits}}
        key = (await admin.post("/tenants", json=asked)).json()["adminApiKey"]
    async with client(stack.api_url, key) as connected:
        yield connected


def most_at_once(events: list[Event]) -> int:
    """How many steps were with executors at the same time, as the history has it."""
    out, most = set[str](), 0
    for event in events:
        if event["type"] == "StepDispatched":
            out.add(event["data"]["stepId"])
        elif event["type"] == "StepSucceeded":
            out.discard(event["data"]["stepId"])
        most = max(most, len(out))
    return most


async def usage(api: httpx.AsyncClient) -> Document:
    """What the tenant uses now."""
    found: Document = (await api.get("/usage")).json()
    return found


async def test_steps_above_the_ceiling_wait_and_are_told(stack: Stack, receiver: Receiver) -> None:
    url = f"{receiver.url}/held/{{{{ run.id }}}}/"
    nodes = [call(f"n{number}", f"{url}n{number}") for number in range(STEPS)]
    async with limited(stack, maxInFlightSteps=MOST) as api:
        run_id = await started(api, await made(api, drawn("many calls", nodes)))

        async def told() -> bool:
            found = await usage(api)
            used = found["limits"]["maxInFlightSteps"]["used"]
            return (used, found["waiting"]["steps"]) == (MOST, STEPS - MOST)

        await until(told, within_s=SEEN_WITHIN_S, what="usage that tells what is out and waits")
        assert len(receiver.keys) <= MOST
        waits = (await api.get(f"/runs/{run_id}/explain")).json()["waits"]
        assert [each["cause"] for each in waits].count("admission") == STEPS - MOST
        async with client(stack.api_url, stack.api_key) as other:
            single = await started(other, await made(other, drawn("another's", [node("only")])))
            assert (await ended(other, single))["status"] == "succeeded"
        receiver.let_go.set()
        assert (await ended(api, run_id))["status"] == "succeeded"
        assert most_at_once(await history(api, run_id)) == MOST


async def test_runs_above_the_limit_begin_when_others_have_ended(
    stack: Stack, receiver: Receiver
) -> None:
    url = f"{receiver.url}/held/{{{{ run.id }}}}/only"
    async with limited(stack, maxConcurrentRuns=MOST) as api:
        workflow = await made(api, drawn("one call", [call("only", url)]))
        runs = [await started(api, workflow) for _ in range(MOST + 2)]

        async def told() -> bool:
            found = await usage(api)
            used = found["limits"]["maxConcurrentRuns"]["used"]
            return (used, found["waiting"]["runs"]) == (MOST, 2)

        await until(told, within_s=SEEN_WITHIN_S, what="usage that tells what runs and waits")
        receiver.let_go.set()
        assert {(await ended(api, run_id))["status"] for run_id in runs} == {"succeeded"}


async def test_the_command_shows_what_is_used(stack: Stack) -> None:
    shown = await penstock(stack, "usage", "--json")
    assert shown.code == 0, shown.err
    limits = shown.document()["limits"]
    assert limits["maxWorkflows"]["limit"] is None
    assert limits["retentionDays"]["limit"] == 30
    table = (await penstock(stack, "usage")).out.splitlines()
    assert [line.split()[0] for line in table[1:9]] == list(limits)


async def test_what_is_stored_is_measured_now_and_then(
    stack: Stack, api: httpx.AsyncClient
) -> None:
    await ended(api, await started(api, await made(api, drawn("kept", [node("n")]))))

    async def measured() -> bool:
        return bool((await usage(api))["storedBytes"])

    await until(measured, within_s=MEASURED_WITHIN_S, what="the first measuring")
    assert (await usage(api))["storedBytesAt"].endswith("Z")
