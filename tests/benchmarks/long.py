"""How long histories behave: a run of a million events is built, opened, gone on with and forked.

The run's decisions are made by the real ledger on the stack's broker, with the reports of its
executors made up here; what is asked about it then goes through the API and the scheduler of the
stack, which have never heard of it.
"""

import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import httpx
import nats
from uuid_utils import uuid7

from penstock.dev.stack import Stack
from penstock.domain import payload
from penstock.domain.run.commands import (
    CompleteStep,
    ContinueRun,
    RunCommand,
    StartRun,
    SuspendStep,
)
from penstock.domain.run.events import RunEvent, StepDispatched, WaitKind
from penstock.domain.run.state import Run
from penstock.domain.workflow.graph import Graph
from penstock.infra.definitions import Definitions
from penstock.infra.eventlog.jetstream import JetStreamLog
from penstock.infra.eventlog.log import Stored
from penstock.infra.eventlog.transact import Addressed, Ledger, Outcome
from penstock.infra.nats import subjects
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.publish import Publisher
from penstock.infra.validation import Validation
from penstock.scheduler.forks import Forks
from penstock.scheduler.ledger import Keeping, run_ledger
from penstock.scheduler.payloads import Payloads
from penstock.scheduler.snapshots import RunSnapshots
from tests.benchmarks.drawings import nested, wide
from tests.benchmarks.load import WrongResult, caught_up

LONG = "long"
EVENTS = 1_000_000
ITEMS = 10_000
WIDTH = 300
"""Iterations at once, and reports in one decision: each leads to three events."""
EVENTS_OF_ITEM = 3
NODES = 10_000
APPENDS = 50
"""Decisions of one report each that are timed at every size."""
TIMES = 5
"""How often whatever is read is read."""
MS = 1000
REQUEST_TIMEOUT_S = 60.0

SAID = payload.of_value({"n": 1})


class Nowhere:
    """An archive that has nothing: the run is younger than the log's window."""

    async def last(self, subject: str) -> Stored | None:
        """Nothing."""

    async def read(self, subject: str, *, after: int, before: int) -> list[Stored]:
        """Nothing."""
        return []


class Bearings(NamedTuple):
    """Where a run is in the stack, and what its definition is."""

    tenant: str
    run_id: str
    workflow: dict[str, Any]


class Builder:
    """Lives a run in the ledger, as long as is asked."""

    def __init__(self, ledger: Callable[[], Ledger[RunCommand, RunEvent, Run]], at: Bearings):
        self._fresh = ledger
        self._ledger = ledger()
        self._at = at
        self._subject = subjects.run_events(at.tenant, at.run_id)
        self._under_way: deque[tuple[str, int]] = deque()
        self._run: Run | None = None
        self._position = ""
        self.events = 0

    async def start(self) -> None:
        """The run's first decision."""
        await self._say([start_of(self._at.workflow)])

    async def until(self, events: int) -> str:
        """Reports, many together, until the run has so many events; the position of the last."""
        while self.events < events:
            await self.go_on(WIDTH)
        return self._position

    async def go_on(self, reports: int) -> None:
        """One decision about so many reports."""
        together = min(reports, len(self._under_way))
        said = [self._under_way.popleft() for _ in range(together)]
        outcome = await self._say([self._report(*each) for each in said] or [ContinueRun()])
        self._under_way.extendleft(reversed(said[outcome.taken :]))

    async def append_ms(self) -> list[float]:
        """How long decisions about one report each took."""
        return [await timed(lambda: self.go_on(1)) for _ in range(APPENDS)]

    async def opened_ms(self) -> float:
        """How long a ledger that knows nothing takes until it can decide about the run."""
        ledger = self._fresh()
        nothing = [Addressed[RunCommand](ContinueRun(), id="open", actor="bench")]
        return await timed(lambda: ledger.transact(self._subject, nothing))

    async def _say(self, commands: list[RunCommand]) -> Outcome[RunEvent, Run]:
        told = [Addressed(each, id=str(uuid7()), actor="bench") for each in commands]
        outcome = await self._ledger.transact(self._subject, told)
        refused = [answer.refusal for answer in outcome.answers if answer.refusal is not None]
        if refused or outcome.state.is_over:
            raise WrongResult(f"the long run went wrong: {refused or outcome.state.status}")
        self._run = outcome.state
        self.events += len(outcome.events)
        for position, event in outcome.events:
            self._position = position
            if isinstance(event, StepDispatched):
                self._under_way.append((event.step_id, event.attempt))
        return outcome

    def _report(self, step_id: str, attempt: int) -> RunCommand:
        """What an executor would say about an attempt."""
        assert self._run is not None
        at = now_ms()
        if "@" in step_id or step_id.endswith(".work"):
            return CompleteStep(
                step_id=step_id,
                attempt=attempt,
                output=SAID,
                started_at=at,
                finished_at=at,
                executor_id="bench",
            )
        graph, node_id = self._run.located(step_id)
        config = graph.nodes[node_id].config
        count = len(config["items"])
        return SuspendStep(
            step_id=step_id,
            attempt=attempt,
            kind=WaitKind.LOOP,
            count=count,
            most=count,
            width=config.get("maxConcurrency", 1),
            started_at=at,
            executor_id="bench",
        )


def start_of(workflow: dict[str, Any]) -> StartRun:
    """The command that begins a run of a workflow."""
    return StartRun(
        workflow_id=workflow["id"],
        workflow_name=workflow["name"],
        version=workflow["version"],
        definition=workflow["contentHash"],
        input=payload.NULL,
        created_at=now_ms(),
    )


async def long_run(stack: Stack, events: int) -> dict[str, float]:
    """The figures of one run of so many events on a stack that is up."""
    nc = await nats.connect(stack.nats_url)
    publisher, direct, blobs = Publisher(nc), Direct(nc), JetStreamBlobs(nc)
    await publisher.start()
    await direct.start()
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    async with httpx.AsyncClient(
        base_url=f"{stack.api_url}/api",
        headers=headers,
        timeout=REQUEST_TIMEOUT_S,
        trust_env=False,
    ) as api:
        workflow = await made(api, nested(rounds_for(events), ITEMS, WIDTH))
        at = Bearings(stack.tenant_id, str(uuid7()), workflow)
        log, definitions = JetStreamLog(publisher, direct), Definitions(blobs)

        def ledger() -> Ledger[RunCommand, RunEvent, Run]:
            payloads = Payloads(blobs, direct)
            keeping = Keeping(RunSnapshots(payloads), Nowhere(), lambda _: False)
            return run_ledger(log, definitions, Forks(payloads), now_ms, keeping)

        builder = Builder(ledger, at)
        begun = time.perf_counter()
        found, middle = await built(builder, events)
        found["built_s"] = time.perf_counter() - begun
        await caught_up(nc, stack.database_url)
        found["caught_up_s"] = time.perf_counter() - begun
        found |= await asked(api, at.run_id, middle)
    await direct.stop()
    await publisher.stop()
    await nc.close()
    return {name: round(value, 2) for name, value in (found | drawing_ms()).items()}


async def built(builder: Builder, events: int) -> tuple[dict[str, float], str]:
    """Builds the run; appending and opening is timed at three sizes on the way.

    The figures, and the position of an event in the middle.
    """
    found, middle = {}, ""
    await builder.start()
    for size in (events // 100, events // 10, events):
        middle = await builder.until(size // 2) if size == events else ""
        await builder.until(size)
        appended = await builder.append_ms()
        found[f"append_ms_at_{size}"] = statistics.median(appended)
        found[f"append_mean_ms_at_{size}"] = statistics.fmean(appended)
        found[f"open_ms_at_{size}"] = await median_ms(builder.opened_ms)
    return found, middle


async def asked(api: httpx.AsyncClient, run_id: str, middle: str) -> dict[str, float]:
    """What clients want of the run, each timed; the forks are called off at once.

    middle: the position of an event in the middle.
    """
    path = f"/runs/{run_id}"

    async def read_ms(what: str) -> float:
        return await median_ms(lambda: request_ms(api, "GET", path + what))

    found = {"get_run_ms": await read_ms(""), "get_events_ms": await read_ms("/events?limit=50")}
    paused, _ = await request(api, "POST", f"{path}/pause")
    found["pause_ms"] = paused
    for name, place in (("end", {}), ("middle", {"at": middle})):
        dry, _ = await request(api, "POST", f"{path}/fork?dryRun=true", place)
        forked, run = await request(api, "POST", f"{path}/fork", place)
        await request(api, "POST", f"/runs/{run['id']}/cancel", {"reason": "measured"})
        found |= {f"plan_fork_at_{name}_ms": dry, f"fork_at_{name}_ms": forked}
    found["cancel_ms"], _ = await request(api, "POST", f"{path}/cancel")
    return found


def drawing_ms() -> dict[str, float]:
    """How long a definition of `NODES` nodes takes to be checked, and to become a graph."""
    document, validation = wide(NODES), Validation()
    begun = time.perf_counter()
    parsed = validation.check(document)
    checked = time.perf_counter()
    if parsed.definition is None:
        raise WrongResult(f"the wide definition is not valid: {parsed.problems[:3]}")
    Graph.of(parsed.definition)
    done = time.perf_counter()
    return {"validate_ms": (checked - begun) * MS, "graph_ms": (done - checked) * MS}


def rounds_for(events: int) -> int:
    """Rounds that are more than enough for so many events."""
    return events // (ITEMS * EVENTS_OF_ITEM) + 2


async def made(api: httpx.AsyncClient, definition: dict[str, Any]) -> dict[str, Any]:
    """The workflow of a definition, with the content hash of its version."""
    _, workflow = await request(api, "POST", "/workflows", {"definition": definition})
    _, version = await request(
        api, "GET", f"/workflows/{workflow['id']}/versions/{workflow['version']}"
    )
    return {**workflow, "contentHash": version["contentHash"]}


async def request(
    api: httpx.AsyncClient, method: str, path: str, body: Any = None
) -> tuple[float, dict[str, Any]]:
    """Milliseconds that a request took, and its answer."""
    begun = time.perf_counter()
    answered = await api.request(method, path, json=body)
    took = (time.perf_counter() - begun) * MS
    if answered.is_error:
        raise WrongResult(f"{method} {path}: {answered.status_code} {answered.text[:300]}")
    said: dict[str, Any] = answered.json()
    return took, said


async def request_ms(api: httpx.AsyncClient, method: str, path: str) -> float:
    """Milliseconds that a request took."""
    return (await request(api, method, path))[0]


async def timed(act: Callable[[], Awaitable[Any]]) -> float:
    """Milliseconds that something took."""
    begun = time.perf_counter()
    await act()
    return (time.perf_counter() - begun) * MS


async def median_ms(act: Callable[[], Awaitable[float]]) -> float:
    """The median of what is measured a few times."""
    return statistics.median([await act() for _ in range(TIMES)])


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
