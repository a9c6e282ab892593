"""A storm: runs are started while processes are killed, and afterwards everything must be right."""

import asyncio
import hashlib
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from penstock.dev.errors import StackError
from penstock.dev.stack import Stack
from tests.chaos.graphs import graph
from tests.chaos.receiver import Receiver
from tests.e2e.histories import Event, history

WORKFLOWS = 12
ENDS = frozenset({"succeeded", "failed", "cancelled", "timed_out"})
OUTCOMES = frozenset(
    {"StepSucceeded", "StepFailed", "StepTimedOut", "StepSkipped", "StepCancelled", "StepAbandoned"}
)
RUN_ENDS = frozenset({"RunSucceeded", "RunFailed", "RunCancelled", "RunTimedOut"})
REQUEST_TIMEOUT_S = 10.0
TRIES_MAX = 200
PAUSE_S = 0.25


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How hard it blows. kills of `targets` fall on a process chosen at random, each time."""

    seed: int
    runs: int
    kills: int
    targets: tuple[str, ...]
    pause_s: tuple[float, float]
    settle_s: float


@dataclass
class Log:
    """What the client saw: the ids it got a 2xx for, and what was killed when."""

    accepted: list[str] = field(default_factory=list)
    killed: Counter[str] = field(default_factory=Counter)


class Storm:
    """One storm over one stack."""

    def __init__(self, stack: Stack, receiver: Receiver, plan: Plan) -> None:
        self.stack = stack
        self.receiver = receiver
        self.plan = plan
        self.log = Log()
        self._drawn_by = random.Random(plan.seed)
        self._api = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {stack.api_key}"},
            timeout=REQUEST_TIMEOUT_S,
            trust_env=False,
        )

    async def blow(self) -> None:
        """Start all runs while the killing goes on, then wait until every run has ended."""
        workflows = [await self._workflow(number) for number in range(WORKFLOWS)]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._kill())
            tasks.create_task(self._start(workflows))
        await self._all_ended()

    async def close(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def _workflow(self, number: int) -> str:
        definition = graph(self._drawn_by, f"storm-{number}", self.receiver.url)
        made = await self._call("POST", "/workflows", json={"definition": definition})
        workflow_id: str = made.json()["id"]
        return workflow_id

    async def _start(self, workflows: list[str]) -> None:
        """Start the runs, spread over the time that the killing takes."""
        low, high = self.plan.pause_s
        pause_s = self.plan.kills * (low + high) / 2 / self.plan.runs
        for number in range(self.plan.runs):
            answered = await self._call(
                "POST",
                f"/workflows/{workflows[number % len(workflows)]}/execute?mode=async",
                json={"input": {"even": number % 2 == 0}},
                headers={"Idempotency-Key": f"storm-{self.plan.seed}-{number}"},
            )
            self.log.accepted.append(answered.json()["runId"])
            await asyncio.sleep(pause_s)

    async def _kill(self) -> None:
        for _ in range(self.plan.kills):
            await asyncio.sleep(self._drawn_by.uniform(*self.plan.pause_s))
            name = self._drawn_by.choice(self.plan.targets)
            try:
                os.kill(self.stack.pid(name), signal.SIGKILL)
            except (ProcessLookupError, StackError):
                continue  # it is being started again at this very moment
            self.log.killed[name] += 1

    async def _call(self, method: str, path: str, **asked: Any) -> httpx.Response:
        """The first 2xx answer; everything else is tried again, as a client would."""
        said = ""
        for attempt in range(TRIES_MAX):
            url = self.stack.api_urls[attempt % len(self.stack.api_urls)] + "/api" + path
            try:
                answered = await self._api.request(method, url, **asked)
            except httpx.HTTPError as error:
                said = repr(error)
            else:
                if answered.is_success:
                    return answered
                said = f"{answered.status_code} {answered.text[:300]}"
                assert answered.status_code in {409, 429, 503}, said
            await asyncio.sleep(PAUSE_S)
        raise AssertionError(f"{method} {path} never succeeded: {said}")

    async def _all_ended(self) -> None:
        deadline = time.monotonic() + self.plan.settle_s
        waiting = list(self.log.accepted)
        while waiting:
            statuses = {run: await self._status(run) for run in waiting}
            waiting = [run for run, status in statuses.items() if status not in ENDS]
            if waiting and time.monotonic() > deadline:
                raise AssertionError(f"{len(waiting)} runs have not ended: {waiting[:5]}")
            await asyncio.sleep(PAUSE_S)

    async def _status(self, run_id: str) -> str:
        status: str = (await self._call("GET", f"/runs/{run_id}")).json()["status"]
        return status

    # --- what must be true afterwards ------------------------------------------------------------

    async def check(self) -> None:
        """Every promise, by the event log and by what the outside world saw."""
        api = httpx.AsyncClient(
            base_url=f"{self.stack.api_url}/api",
            headers={"Authorization": f"Bearer {self.stack.api_key}"},
            timeout=REQUEST_TIMEOUT_S,
            trust_env=False,
        )
        async with api:
            for run_id in self.log.accepted:
                check_history(run_id, await history(api, run_id))
        for (run_id, step_id), keys in self.receiver.keys.items():
            expected = hashlib.sha256(f"{run_id}:{step_id}".encode()).hexdigest()
            assert set(keys) == {expected}, f"{run_id} {step_id} was called with {set(keys)}"
        await self._nobody_is_forgotten()

    async def _nobody_is_forgotten(self) -> None:
        deadline = time.monotonic() + self.plan.settle_s
        while time.monotonic() < deadline:
            if await self._unowned() == 0:
                return
            await asyncio.sleep(PAUSE_S)
        raise AssertionError("runs without an owner are left")

    async def _unowned(self) -> float:
        """The metric of unowned runs, over all schedulers."""
        total = 0.0
        for name, url in self.stack.metrics_urls.items():
            if name.startswith("scheduler"):
                text = (await self._api.get(url)).text
                total += sum(
                    float(line.split()[-1])
                    for line in text.splitlines()
                    if line.startswith("penstock_scheduler_unowned_runs ")
                )
        return total


def check_history(run_id: str, events: list[Event]) -> None:
    """One end and nothing after it; each step one outcome; every step has one."""
    ends = [event["type"] for event in events if event["type"] in RUN_ENDS]
    assert len(ends) == 1, f"{run_id} ended {ends}"
    assert events[-1]["type"] in RUN_ENDS, f"{run_id} goes on after its end"
    outcomes = Counter(e["data"]["stepId"] for e in events if e["type"] in OUTCOMES)
    assert all(count == 1 for count in outcomes.values()), f"{run_id}: {outcomes}"
    ready = {e["data"]["stepId"] for e in events if e["type"] == "StepReady"}
    assert ready <= outcomes.keys(), f"{run_id}: {ready - outcomes.keys()} have no outcome"
