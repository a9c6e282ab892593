"""The workloads W1 to W4 of the performance design, and a loop, and how each is measured."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import nats
from nats.aio.client import Client

from penstock.dev.stack import Stack
from penstock.infra.nats.publish import Publisher
from tests.benchmarks.drawings import LAYERS, WIDTH, chain, fan, layers, loop
from tests.benchmarks.load import (
    Commands,
    Ends,
    Through,
    WrongResult,
    caught_up,
    recorded,
    stored_bytes,
    windowed,
)
from tests.benchmarks.measure import Sample, cpu_by_process

CHAIN = 10
FAN = 100
ITEMS = 10_000
ITEMS_TOGETHER = 512
PROCESSES = ("nats", "postgres", "api-0", "scheduler-0", "executor-0", "projector-0")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """runs: in one repetition. window: how many are under way at once. http: started through it.

    warm_up: runs before the first repetition.
    """

    name: str
    what: str
    definition: dict[str, Any]
    runs: int
    window: int
    http: bool
    warm_up: int

    @property
    def is_chain(self) -> bool:
        """Whether its steps come one after the other."""
        return len(self.definition["edges"]) == CHAIN - 1

    @property
    def steps(self) -> int:
        """Steps of one run, those of a loop's iterations included."""
        nodes = self.definition["nodes"]
        return len(nodes) + sum(len(node.get("config", {}).get("items", ())) for node in nodes)


WORKLOADS = (
    Workload(
        name="W1",
        what="3,000 chains of 10 steps, 200 at a time",
        definition=chain(CHAIN),
        runs=3000,
        window=200,
        http=False,
        warm_up=500,
    ),
    Workload(
        name="W2",
        what="100 runs of 1 - 100 - 1 steps",
        definition=fan(FAN),
        runs=100,
        window=100,
        http=False,
        warm_up=20,
    ),
    Workload(
        name="W3",
        what="one chain of 10 steps at a time, 50 times, through HTTP",
        definition=chain(CHAIN),
        runs=50,
        window=1,
        http=True,
        warm_up=5,
    ),
    Workload(
        name="W4",
        what=f"one graph of {LAYERS} layers of {WIDTH} steps, through HTTP",
        definition=layers(),
        runs=1,
        window=1,
        http=True,
        warm_up=1,
    ),
    Workload(
        name="loop",
        what=f"one loop over {ITEMS:,} items, {ITEMS_TOGETHER} at a time, through HTTP",
        definition=loop(ITEMS, ITEMS_TOGETHER),
        runs=1,
        window=1,
        http=True,
        warm_up=1,
    ),
)


class Bench:
    """Runs workloads on one stack."""

    def __init__(self, stack: Stack, nc: Client, publisher: Publisher, ends: Ends) -> None:
        self._stack = stack
        self._nc = nc
        self._publisher = publisher
        self._ends = ends
        self._through = Through(stack.api_url, stack.api_key)
        self._pids = {name: stack.pid(name) for name in PROCESSES}

    @classmethod
    async def on(cls, stack: Stack) -> "Bench":
        """A bench on a stack that is up."""
        nc = await nats.connect(stack.nats_url)
        publisher, ends = Publisher(nc), Ends()
        await publisher.start()
        await ends.listen(nc, stack.tenant_id)
        return cls(stack, nc, publisher, ends)

    async def close(self) -> None:
        """Leave the stack."""
        await self._through.close()
        await self._publisher.stop()
        await self._nc.close()

    async def measure(self, workload: Workload, repetitions: int) -> list[Sample]:
        """One warm-up, then the repetitions."""
        workflow = await self._through.create(workload.definition)
        run = await self._runner(workload, workflow)
        await run(workload.warm_up)
        return [await self._sample(workload, run) for _ in range(repetitions)]

    async def _runner(
        self, workload: Workload, workflow: dict[str, Any]
    ) -> Callable[[int], Awaitable[list[float]]]:
        """What starts a number of runs and answers how long each took, ms."""
        if workload.http:

            async def one_by_one(runs: int) -> list[float]:
                return [await self._timed(workflow["id"]) for _ in range(runs)]

            return one_by_one
        version = await self._through.version(workflow["id"], workflow["version"])
        started = {**workflow, "contentHash": version["contentHash"]}
        commands = Commands(self._publisher, self._stack.tenant_id, started)

        async def many_at_once(runs: int) -> list[float]:
            return await windowed(commands.start, self._ends, runs=runs, window=workload.window)

        return many_at_once

    async def _timed(self, workflow_id: str) -> float:
        begun = time.perf_counter()
        await self._through.run(workflow_id)
        took = (time.perf_counter() - begun) * 1000
        await self._ends.next()
        return took

    async def _sample(
        self, workload: Workload, run: Callable[[int], Awaitable[list[float]]]
    ) -> Sample:
        url = self._stack.database_url
        await caught_up(self._nc, url)
        before, stored = await recorded(url), await stored_bytes(self._nc, url)
        self._ends.gaps_ms = []
        cpu, begun = cpu_by_process(self._pids), time.perf_counter()
        took = await run(workload.runs)
        await caught_up(self._nc, url)
        wall_s = time.perf_counter() - begun
        spent = {name: at - cpu[name] for name, at in cpu_by_process(self._pids).items()}
        after, steps = await recorded(url), workload.runs * workload.steps
        if (after[0] - before[0], after[1] - before[1]) != (workload.runs, steps) or after[2]:
            raise WrongResult(f"{workload.name}: rows before {before}, after {after}")
        return Sample(
            steps=steps,
            wall_s=wall_s,
            cpu_s=spent,
            stored_bytes=await stored_bytes(self._nc, url) - stored,
            run_ms=tuple(took),
            step_ms=tuple(self._ends.gaps_ms) if workload.is_chain else (),
        )
