"""Schedulers as processes, the leases they hold, and somebody who gives them work."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from uuid_utils import uuid7

from penstock.dev.ports import free_port
from penstock.domain.payload import of_value
from penstock.domain.run.commands import CompleteStep, StartRun
from penstock.domain.workflow.model import from_wire
from penstock.infra.definitions import Definitions
from penstock.infra.nats import subjects
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.streams import EVENTS, LEASES
from penstock.infra.nats.subjects import PARTITIONS
from penstock.messages.envelope import (
    CommandMessage,
    Decision,
    Reports,
    RunReport,
    Task,
    Work,
    encode,
)

TENANT = "0190a000-0000-7000-8000-00000000acce"
KEY_ENCRYPTION_KEY = urlsafe_b64encode(bytes(32)).decode()
POLL_S = 0.02
ENDED_WITHIN_S = 20.0
DEFINITION = {"name": "one step", "nodes": [{"id": "only", "type": "noop"}], "edges": []}


class Ground(NamedTuple):
    """Where schedulers find their servers."""

    nats_url: str
    database_url: str


class Replicas:
    """Schedulers by name, and what they do as the broker tells it."""

    def __init__(self, ground: Ground, nc: Client) -> None:
        self._ground = ground
        self._nc = nc
        self._processes: dict[str, Process] = {}
        self._direct = Direct(nc)
        self.tenant = TENANT
        self.tasks: dict[str, Task] = {}

    async def listen(self) -> None:
        """Hear all work that is given out, as an executor would."""
        await self._direct.start()
        await self._nc.subscribe("penstock.work.>", cb=self._hear)

    async def _hear(self, message: Msg) -> None:
        for task in msgspec.json.decode(message.data, type=Work).tasks:
            self.tasks[task.run_id] = task

    # --- processes -------------------------------------------------------------------------------

    async def start(self, name: str) -> Process:
        """A scheduler that calls itself `name`."""
        values = {
            "NATS_URL": self._ground.nats_url,
            "DATABASE_URL": self._ground.database_url,
            "KEY_ENCRYPTION_KEY": KEY_ENCRYPTION_KEY,
            "INSTANCE": name,
            "METRICS_PORT": str(free_port()),
            "GRACEFUL_TIMEOUT_S": "4",
        }
        environment = dict(os.environ) | {f"PENSTOCK_{key}": text for key, text in values.items()}
        command = (sys.executable, "-P", "-m", "penstock.scheduler")
        self._processes[name] = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=DEVNULL, stderr=DEVNULL
        )
        return self._processes[name]

    async def end(self) -> None:
        """Kill those that still run."""
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
            await process.wait()

    # --- leases ----------------------------------------------------------------------------------

    async def holders(self) -> dict[int, str]:
        """Who holds each partition that has a lease; nobody is an empty text."""
        leases = await self._direct.read_subject(LEASES, subjects.ANY_LEASE, batch=10_000)
        named = {lease.subject.rpartition(".")[2]: lease.body for lease in leases}
        return {
            partition: msgspec.json.decode(named[str(partition)])["owner"]
            for partition in range(PARTITIONS)
            if str(partition) in named
        }

    async def until_shared(self, *names: str, within_s: float) -> None:
        """Wait until these and no others hold all partitions, each its fair share."""
        fair = {PARTITIONS // len(names), -(-PARTITIONS // len(names))}

        def is_shared(holders: dict[int, str]) -> bool:
            counts = {name: list(holders.values()).count(name) for name in names}
            return sum(counts.values()) == PARTITIONS and set(counts.values()) <= fair

        await self.until_held(is_shared, within_s=within_s)

    async def until_held(
        self, wanted: Callable[[dict[int, str]], bool], *, within_s: float
    ) -> None:
        """Wait until the leases are as wanted."""
        deadline = asyncio.get_running_loop().time() + within_s
        while not wanted(holders := await self.holders()):
            assert asyncio.get_running_loop().time() < deadline, f"held otherwise: {holders}"
            await asyncio.sleep(POLL_S)

    # --- runs ------------------------------------------------------------------------------------

    async def begin(self, runs: int) -> list[str]:
        """Runs of one step that are asked for, whether or not anybody hears it now."""
        definitions = Definitions(JetStreamBlobs(self._nc))
        definition = await definitions.put(self.tenant, from_wire(DEFINITION))
        run_ids = [str(uuid7()) for _ in range(runs)]
        for run_id in run_ids:
            start = StartRun(
                workflow_id="w",
                workflow_name="w",
                version=1,
                definition=definition,
                input=of_value(None),
                created_at=0,
            )
            message = CommandMessage(id=f"{run_id}/start", actor="test", at=0, command=start)
            subject = subjects.command(self.tenant, "run", run_id)
            await self._nc.jetstream().publish(subject, encode(message))
        return run_ids

    async def until_dispatched(self, runs: list[str], *, within_s: float = ENDED_WITHIN_S) -> None:
        """Wait until an executor could take every run's step."""
        deadline = asyncio.get_running_loop().time() + within_s
        while missing := [run_id for run_id in runs if run_id not in self.tasks]:
            if asyncio.get_running_loop().time() > deadline:
                told = {run_id: await self.history(run_id) for run_id in missing}
                raise AssertionError(f"not given out: {told}, held: {await self.holders()}")
            await asyncio.sleep(POLL_S)

    async def report(self, run_id: str) -> None:
        """Say, as an executor, that the run's step has succeeded."""
        done = CompleteStep(
            step_id="only",
            attempt=self.tasks[run_id].attempt,
            output=of_value(None),
            started_at=0,
            finished_at=0,
            executor_id="test",
        )
        report = RunReport(tenant=self.tenant, run_id=run_id, report=done)
        subject = subjects.reports("shared", subjects.partition_of(run_id))
        body = encode(Reports(executor_id="test", reports=(report,)))
        await self._nc.jetstream().publish(subject, body)

    async def history(self, run_id: str) -> list[str]:
        """The types of a run's events, in order."""
        stored = await self._direct.read_subject(EVENTS, subjects.run_events(self.tenant, run_id))
        decisions = [msgspec.json.decode(each.body, type=Decision) for each in stored]
        return [type(event).__name__ for decision in decisions for event in decision.events]

    async def until_ended(self, runs: list[str]) -> None:
        """Wait until each run has succeeded, its step once."""
        deadline = asyncio.get_running_loop().time() + ENDED_WITHIN_S
        for run_id in runs:
            while (told := await self.history(run_id))[-1:] != ["RunSucceeded"]:
                assert asyncio.get_running_loop().time() < deadline, f"{run_id}: {told}"
                await asyncio.sleep(POLL_S)
            assert told.count("RunStarted") == told.count("StepSucceeded") == 1
