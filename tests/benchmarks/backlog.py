"""W8: one tenant has a hundred thousand waiting steps; how long does another's single one wait?

And two tenants that both have more than can be done: how many steps does each get for its weight?
"""

import asyncio
import time
from collections import Counter
from typing import Any

import httpx
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from penstock.dev.stack import Stack
from penstock.domain.run.events import StepDispatched, StepSucceeded
from penstock.infra.nats import subjects
from penstock.infra.nats.publish import Publisher
from penstock.messages.codec import decode_run_decision
from tests.benchmarks.drawings import drawn
from tests.benchmarks.load import Commands, Ends, Through, WrongResult
from tests.benchmarks.measure import percentile

BACKLOG = "W8"
BURST = 100
"""Steps of a run, all of them ready at its start."""
RUNS = 1_000
EVERY_S = 1.0
SECONDS = 60
FILLED_WITHIN_S = 120.0
WEIGHT = 3
CONTEST_S = 10.0
CONTEST_RUNS = 1_500
"""Of each tenant: more than both together get done in `CONTEST_S`."""


class Tenant:
    """A tenant that starts runs of one definition, and what is heard of its steps."""

    def __init__(self, id: str, key: str) -> None:  # noqa: A002
        self.id = id
        self.key = key
        self.dispatched = 0
        self.started_at: dict[str, int] = {}

    async def listen(self, nc: Client) -> None:
        """Hear of every decision about its runs."""
        subject = subjects.live(f"penstock.evt.{subjects.token(self.id)}.run.*")
        await nc.subscribe(subject, cb=self._hear, pending_msgs_limit=-1, pending_bytes_limit=-1)

    async def _hear(self, message: Msg) -> None:
        said = Counter(type(event) for event in decode_run_decision(message.data).events)
        self.dispatched += said[StepDispatched]
        if said[StepSucceeded]:
            run_id = message.subject.rpartition(".")[2]
            for event in decode_run_decision(message.data).events:
                if isinstance(event, StepSucceeded) and event.started_at is not None:
                    self.started_at[run_id] = event.started_at


class Backlog:
    """The measurement, on a stack that is up."""

    def __init__(self, stack: Stack, nc: Client, publisher: Publisher) -> None:
        self._stack = stack
        self._nc = nc
        self._publisher = publisher

    async def wait_ms(self) -> dict[str, float]:
        """Figures of how long single steps waited, from request to start, beside the backlog."""
        noisy = Tenant(self._stack.tenant_id, self._stack.api_key)
        quiet = await self._tenant("quiet", 1)
        await quiet.listen(self._nc)
        through = Through(self._stack.api_url, quiet.key)
        workflow = await through.create(drawn("single", ["only"], []))
        warm_up = (await through.run(workflow["id"]))["id"]
        ends = Ends()
        await ends.listen(self._nc, noisy.id)
        feeding = asyncio.create_task(self._fed(noisy, ends))
        await self._filled()
        asked, waiting = {}, []
        for _ in range(SECONDS):
            begun, at = time.perf_counter(), time.time_ns() / 1e6
            asked[await through.accepted(workflow["id"])] = at
            waiting.append(await self._waiting())
            await asyncio.sleep(max(0.0, EVERY_S - (time.perf_counter() - begun)))
        await asyncio.sleep(EVERY_S)
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await through.close()
        missing = {*asked, warm_up} - quiet.started_at.keys()
        if missing:
            raise WrongResult(f"{len(missing)} single steps have not run")
        waits = [max(0.0, quiet.started_at[run] - at) for run, at in asked.items()]
        return {
            "p50_ms": round(percentile(waits, 0.5), 1),
            "p99_ms": round(percentile(waits, 0.99), 1),
            "steps": len(waits),
            "waiting_min": min(waiting),
        }

    async def shares(self) -> dict[str, float]:
        """How many times as many steps a tenant of weight 3 gets as one of weight 1."""
        heavy, light = await self._tenant("heavy", WEIGHT), await self._tenant("light", 1)
        for tenant in (heavy, light):
            commands = await self._commands(tenant)
            await asyncio.gather(*(commands.start() for _ in range(CONTEST_RUNS)))
        await asyncio.sleep(EVERY_S)
        for tenant in (heavy, light):
            await tenant.listen(self._nc)
        await asyncio.sleep(CONTEST_S)
        return {
            "weights": WEIGHT,
            "shares": round(heavy.dispatched / max(1, light.dispatched), 3),
            "steps_per_s": round((heavy.dispatched + light.dispatched) / CONTEST_S),
        }

    async def _tenant(self, name: str, weight: int) -> Tenant:
        headers = {"Authorization": f"Bearer {self._stack.admin_key}"}
        async with httpx.AsyncClient(headers=headers, trust_env=False) as admin:
            asked = {"name": name, "config": {"weight": weight}}
            answered = await admin.post(f"{self._stack.api_url}/api/tenants", json=asked)
            answered.raise_for_status()
            made: dict[str, Any] = answered.json()
        return Tenant(made["id"], made["adminApiKey"])

    async def _commands(self, tenant: Tenant) -> Commands:
        """What starts the tenant's runs of many steps at once."""
        through = Through(self._stack.api_url, tenant.key)
        ids = [f"n{number}" for number in range(BURST)]
        workflow = await through.create(drawn("burst", ids, []))
        version = await through.version(workflow["id"], workflow["version"])
        await through.close()
        started = {**workflow, "contentHash": version["contentHash"]}
        return Commands(self._publisher, tenant.id, started)

    async def _fed(self, tenant: Tenant, ends: Ends) -> None:
        """Keep so many runs under way, until cancelled."""
        commands = await self._commands(tenant)
        await asyncio.gather(*(commands.start() for _ in range(RUNS)))
        while True:
            await ends.next()
            await commands.start()

    async def _filled(self) -> None:
        """Wait until nearly all steps of the first runs wait, as many as the runs ask for."""
        deadline = time.perf_counter() + FILLED_WITHIN_S
        while await self._waiting() < RUNS * BURST * 0.9:
            if time.perf_counter() > deadline:
                raise WrongResult("the backlog did not fill")
            await asyncio.sleep(0.25)

    async def _waiting(self) -> float:
        """How many steps wait for room, as the scheduler says every other second."""
        async with httpx.AsyncClient(trust_env=False) as client:
            told = (await client.get(self._stack.metrics_urls["scheduler-0"])).text
        lines = [line for line in told.splitlines() if line.startswith(WAITING)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)


WAITING = "penstock_scheduler_waiting_steps{"


async def backlog(stack: Stack) -> dict[str, float]:
    """The figures of W8."""
    nc = await nats.connect(stack.nats_url)
    publisher = Publisher(nc)
    await publisher.start()
    measured = Backlog(stack, nc, publisher)
    found = {**await measured.wait_ms(), **await measured.shares()}
    await publisher.stop()
    await nc.close()
    return found
