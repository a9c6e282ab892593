"""The driver: starts runs, sees each of them end, and checks what came of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import psycopg
from nats.aio.client import Client
from uuid_utils import uuid7

from penstock.domain import payload
from penstock.domain.run.commands import StartRun
from penstock.infra.nats import subjects
from penstock.infra.nats.publish import Publisher
from penstock.infra.nats.reader import Frame
from penstock.infra.nats.wire import wire_of
from penstock.messages.envelope import CommandMessage, encode

INPUT = {"n": 1}
END_TIMEOUT_S = 120.0
CAUGHT_UP_TIMEOUT_S = 120.0
ENDS = (b'"RunSucceeded"', b'"RunFailed"', b'"RunCancelled"', b'"RunTimedOut"')

FINISHED = b'"StepSucceeded"'


class WrongResult(Exception):
    """A run was lost, failed, or its record does not say what it should."""


class Ends:
    """Sees runs of one tenant end, on the live subjects.

    gaps_ms: from one decision with a finished step to the next one of the same run, in a chain
    from one step to the next.
    """

    def __init__(self) -> None:
        self._ended: asyncio.Queue[tuple[str, float, bool]] = asyncio.Queue()
        self._finished_at: dict[str, float] = {}
        self.gaps_ms: list[float] = []

    async def listen(self, nc: Client, tenant: str) -> None:
        """Begin to listen."""
        subject = subjects.live(f"penstock.evt.{subjects.token(tenant)}.run.*")
        await wire_of(nc).listen(subject, self._hear)

    async def next(self) -> tuple[str, float, bool]:
        """Run, moment (monotonic) and whether it succeeded, of the next run that ends."""
        return await asyncio.wait_for(self._ended.get(), END_TIMEOUT_S)

    def _hear(self, frame: Frame) -> None:
        run_id, at = frame.subject.decode().rpartition(".")[2], time.perf_counter()
        if FINISHED in frame.data:
            before = self._finished_at.get(run_id)
            if before is not None:
                self.gaps_ms.append((at - before) * 1000)
            self._finished_at[run_id] = at
        if any(end in frame.data for end in ENDS):
            self._finished_at.pop(run_id, None)
            self._ended.put_nowait((run_id, at, ENDS[0] in frame.data))


class Commands:
    """Starts runs on the command stream."""

    def __init__(self, publisher: Publisher, tenant: str, workflow: dict[str, Any]) -> None:
        self._publisher = publisher
        self._tenant = tenant
        self._workflow = workflow

    async def start(self) -> str:
        """Start one run; its id, once the command is stored."""
        run_id, at = str(uuid7()), time.time_ns() // 1_000_000
        start = StartRun(
            workflow_id=self._workflow["id"],
            workflow_name=self._workflow["name"],
            version=self._workflow["version"],
            definition=self._workflow["contentHash"],
            input=payload.of_value(INPUT),
            created_at=at,
        )
        message = CommandMessage(id=str(uuid7()), actor="bench:driver", at=at, command=start)
        await self._publisher.publish(
            subjects.command(self._tenant, "run", run_id), encode(message)
        )
        return run_id


async def windowed(
    start: Callable[[], Awaitable[str]], ends: Ends, *, runs: int, window: int
) -> list[float]:
    """Keep `window` runs under way until `runs` have ended; how long each took, ms."""
    begun: dict[str, float] = {}

    async def begin() -> None:
        at = time.perf_counter()
        begun[await start()] = at

    await asyncio.gather(*(begin() for _ in range(min(window, runs))))
    took: list[float] = []
    early: dict[str, float] = {}
    while len(took) < runs:
        run_id, at, succeeded = await ends.next()
        if not succeeded:
            raise WrongResult(f"run {run_id} did not succeed")
        early[run_id] = at
        known = [run for run in early if run in begun]
        took.extend((early.pop(run) - begun[run]) * 1000 for run in known)
        if len(begun) < runs:
            await begin()
    return took


class Through:
    """Starts runs through the HTTP API and waits for their end in the same request."""

    def __init__(self, api_url: str, api_key: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"{api_url}/api",
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=END_TIMEOUT_S,
            trust_env=False,
        )

    async def create(self, definition: dict[str, Any]) -> dict[str, Any]:
        """The workflow of a definition, with the content hash of its version."""
        made = await self._client.post("/workflows", json={"definition": definition})
        made.raise_for_status()
        workflow: dict[str, Any] = made.json()
        return workflow

    async def version(self, workflow_id: str, number: int) -> dict[str, Any]:
        """One version of a workflow."""
        answered = await self._client.get(f"/workflows/{workflow_id}/versions/{number}")
        answered.raise_for_status()
        version: dict[str, Any] = answered.json()
        return version

    async def run(self, workflow_id: str) -> dict[str, Any]:
        """A finished run."""
        path = f"/workflows/{workflow_id}/execute?mode=sync&timeoutMs=60000"
        answered = await self._client.post(path, json={"input": INPUT})
        if answered.status_code != httpx.codes.OK:
            raise WrongResult(f"{answered.status_code}: {answered.text[:300]}")
        run: dict[str, Any] = answered.json()
        if run["status"] != "succeeded":
            raise WrongResult(f"run {run['id']} {run['status']}")
        return run

    async def accepted(self, workflow_id: str) -> str:
        """The id of a run that was accepted and is not waited for."""
        path = f"/workflows/{workflow_id}/execute?mode=async"
        answered = await self._client.post(path, json={"input": INPUT})
        answered.raise_for_status()
        run_id: str = answered.json()["runId"]
        return run_id

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def caught_up(nc: Client, database_url: str) -> None:
    """Wait until the read models hold everything that is in the log."""
    last = (await nc.jetstream().stream_info("EVENTS")).state.last_seq
    query = "select seq from penstock.checkpoints where log = 'events'"
    deadline = time.perf_counter() + CAUGHT_UP_TIMEOUT_S
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        while time.perf_counter() < deadline:
            row = await (await connection.execute(query)).fetchone()
            if row is not None and row[0] >= last:
                return
            await asyncio.sleep(0.01)
    raise WrongResult("the read models did not catch up")


async def recorded(database_url: str) -> tuple[int, int, int]:
    """How many runs and steps have succeeded, and steps without the name of an executor."""
    queries = (
        "select count(*) from penstock.runs where status = 'succeeded'",
        "select count(*) from penstock.run_steps where status = 'succeeded'",
        "select count(*) from penstock.run_steps where executor_id is null or executor_id = ''",
    )
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        counts = []
        for query in queries:
            row = await (await connection.execute(query)).fetchone()
            counts.append(int(row[0]) if row is not None else 0)
    return counts[0], counts[1], counts[2]


async def stored_bytes(nc: Client, database_url: str) -> int:
    """Bytes of the event log and of the database."""
    events = (await nc.jetstream().stream_info("EVENTS")).state.bytes
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        row = await (
            await connection.execute("select pg_database_size(current_database())")
        ).fetchone()
    return int(events) + (int(row[0]) if row is not None else 0)
