"""Whose steps the executors are given: tenants take turns, and each queue has its own executors.

One executor of few hands, held up by calls that are not answered, makes everybody else wait.
"""

import os
import signal
from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx
import pytest

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from tests.chaos.receiver import Receiver
from tests.e2e.conftest import client
from tests.e2e.histories import Event, history, of_type
from tests.e2e.runs import Document, call, drawn, edge, ended, made, node, shown, started, step
from tests.e2e.waiting import until

HANDS = 8
WINDOW = 64
"""Of a queue whose executors are so few and so slow."""
HELD = 80
"""Calls that hold the executor up: more than it is given at once."""
BACKLOG = 2_000
NOISY_LIMITS = {"maxInFlightSteps": 40, "maxConcurrentRuns": 5, "requestsPerMinute": 20_000}
"""Fewer steps than its calls alone are."""
QUIET_LIMITS = {"maxInFlightSteps": 2, "maxConcurrentRuns": 2, "maxExecutionsPerDay": 20}
DRAINED_WITHIN_S = 60.0
SEEN_WITHIN_S = 30.0


class Crowd(NamedTuple):
    """A stack with one busy executor, its noisy tenant and its quiet one."""

    stack: Stack
    noisy: httpx.AsyncClient
    quiet: httpx.AsyncClient


@pytest.fixture(scope="module", params=["unlimited", "with quotas"])
async def crowd(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Crowd]:
    options = StackOptions(
        data_dir=tmp_path_factory.mktemp("crowded"),
        port=0,
        keep=False,
        queues="default,gpu",
        env={
            "PENSTOCK_EGRESS_ALLOW": "127.0.0.0/8",
            "PENSTOCK_EXECUTOR_CONCURRENCY": str(HANDS),
        },
    )
    async with Stack(options) as stack:
        async with client(stack.api_url, stack.admin_key) as admin:
            answered = await admin.post("/tenants", json={"name": "quiet"})
            if request.param == "with quotas":
                await limited(admin, stack.tenant_id, NOISY_LIMITS)
                await limited(admin, answered.json()["id"], QUIET_LIMITS)
        key = answered.json()["adminApiKey"]
        async with (
            client(stack.api_url, stack.api_key) as noisy,
            client(stack.api_url, key) as quiet,
        ):
            yield Crowd(stack, noisy, quiet)


async def limited(admin: httpx.AsyncClient, tenant_id: str, limits: Document) -> None:
    """Have a tenant live within limits from now on."""
    answered = await admin.patch(f"/tenants/{tenant_id}", json={"config": {"limits": limits}})
    assert answered.is_success, answered.text


async def crowded(crowd: Crowd, receiver: Receiver) -> str:
    """The noisy tenant's run: calls that nobody answers, and thousands of steps behind them."""
    url = f"{receiver.url}/held/{{{{ run.id }}}}/"
    nodes = [call(f"held-{number:03}", f"{url}held-{number:03}") for number in range(HELD)]
    nodes += [node(f"waits-{number:04}") for number in range(BACKLOG)]
    run_id = await started(crowd.noisy, await made(crowd.noisy, drawn("noisy", nodes)))

    async def is_held_up() -> bool:
        return len(receiver.keys) >= HANDS

    await until(is_held_up, within_s=SEEN_WITHIN_S, what="the executor is held up")
    return run_id


def sequence(event: Event) -> int:
    """Where in the log of all runs an event stands."""
    return int(event["position"].partition(".")[0])


async def test_a_backlog_of_one_tenant_does_not_delay_another(
    crowd: Crowd, receiver: Receiver
) -> None:
    noisy = await crowded(crowd, receiver)
    single = await started(crowd.quiet, await made(crowd.quiet, drawn("quiet", [node("only")])))
    receiver.let_go.set()
    assert (await ended(crowd.quiet, single, within_s=DRAINED_WITHIN_S))["status"] == "succeeded"
    assert (await ended(crowd.noisy, noisy, within_s=DRAINED_WITHIN_S))["status"] == "succeeded"
    events = await history(crowd.quiet, single)
    (begun,), (out,) = of_type(events, "RunStarted"), of_type(events, "StepDispatched")
    before = sum(
        sequence(begun) < sequence(event) < sequence(out)
        for event in of_type(await history(crowd.noisy, noisy), "StepDispatched")
    )
    assert before <= WINDOW


async def test_a_backlog_outlives_the_scheduler(crowd: Crowd, receiver: Receiver) -> None:
    noisy = await crowded(crowd, receiver)
    single = await started(crowd.quiet, await made(crowd.quiet, drawn("later", [node("only")])))
    os.kill(crowd.stack.pid("scheduler-0"), signal.SIGKILL)
    receiver.let_go.set()
    assert (await ended(crowd.quiet, single, within_s=DRAINED_WITHIN_S))["status"] == "succeeded"
    run = await ended(crowd.noisy, noisy, within_s=DRAINED_WITHIN_S)
    assert run["status"] == "succeeded"
    settled = of_type(await history(crowd.noisy, noisy), "StepSucceeded")
    assert len(settled) == HELD + BACKLOG


async def test_a_step_runs_at_the_executors_of_its_queue(crowd: Crowd) -> None:
    nodes = [node("here"), node("there", queue="gpu"), node("after")]
    definition = drawn("two queues", nodes, edge("here", "there"), edge("there", "after"))
    run_id = await started(crowd.quiet, await made(crowd.quiet, definition))
    assert (await ended(crowd.quiet, run_id))["status"] == "succeeded"
    out = of_type(await history(crowd.quiet, run_id), "StepDispatched")
    queues = {each["data"]["stepId"]: each["data"].get("queue", "default") for each in out}
    assert queues == {"here": "default", "there": "gpu", "after": "default"}


async def test_a_step_for_a_queue_that_is_not_there_waits_and_says_so(crowd: Crowd) -> None:
    nodes = [node("here"), node("nowhere", queue="tpu")]
    definition = drawn("lost queue", nodes, edge("here", "nowhere"))
    run_id = await started(crowd.quiet, await made(crowd.quiet, definition))

    async def waits() -> Document | None:
        answered = await crowd.quiet.get(f"/runs/{run_id}/explain")
        found = [each for each in answered.json()["waits"] if each["stepId"] == "nowhere"]
        return next((each for each in found if each["cause"] == "admission"), None)

    wait = await until(waits, within_s=SEEN_WITHIN_S, what="a step that waits for its queue")
    assert wait["on"] == ["tpu"]
    assert "no executor" in wait["detail"]
    assert step(await shown(crowd.quiet, run_id), "here")["status"] == "succeeded"
    assert not [
        each
        for each in of_type(await history(crowd.quiet, run_id), "StepDispatched")
        if each["data"]["stepId"] == "nowhere"
    ]
    answered = await crowd.quiet.post(f"/runs/{run_id}/cancel")
    assert answered.is_success, answered.text
    assert (await ended(crowd.quiet, run_id))["status"] == "cancelled"
