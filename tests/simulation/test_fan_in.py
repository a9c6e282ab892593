"""A join of ten thousand branches fires once, however their reports come."""

import itertools
from random import Random

from penstock.domain import payload
from penstock.domain.run.commands import CompleteStep, ContinueRun, RunCommand, StartRun
from penstock.domain.run.events import RunEvent, StepDispatched, StepReady
from penstock.domain.run.state import Run, RunStatus, StepStatus, unborn
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition, Edge, Node
from penstock.infra.eventlog.cache import Cache
from penstock.infra.eventlog.memory import MemoryLog
from penstock.infra.eventlog.transact import Addressed, Ledger
from penstock.infra.nats import subjects
from penstock.messages.catalogue import RUN as RUN_KIND
from penstock.messages.codec import codec_for
from penstock.scheduler.ledger import RUN

BRANCHES = 10_000
TOGETHER = 256
"""Letters of one run that a scheduler works off at once."""

RUN_ID = "0190aaaa-0000-7000-8000-000000000001"
SUBJECT = subjects.run_events("0190cccc-0000-7000-8000-00000000000a", RUN_ID)
START = StartRun(
    workflow_id="w", workflow_name="w", version=1, definition="d", input=payload.NULL, created_at=0
)


def graph() -> Graph:
    middle = [f"m{n}" for n in range(BRANCHES)]
    nodes = [Node(id=name, type="noop") for name in ("a", *middle, "z")]
    edges = [Edge("a", m) for m in middle] + [Edge(m, "z") for m in middle]
    return Graph.of(Definition(name="wide", nodes=tuple(nodes), edges=tuple(edges)))


def completed(step_id: str) -> CompleteStep:
    return CompleteStep(
        step_id=step_id,
        attempt=1,
        output=payload.NULL,
        started_at=0,
        finished_at=0,
        executor_id="e",
    )


def addressed(command: RunCommand, name: str) -> Addressed[RunCommand]:
    return Addressed(command, id=name, actor="executor:e")


async def test_a_join_of_ten_thousand_branches_fires_once() -> None:
    drawn, random = graph(), Random(7)
    ticks = itertools.count(1)
    ids = itertools.count()

    async def begin(*_: object) -> Run:
        return unborn(RUN_ID, drawn)

    ledger: Ledger[RunCommand, RunEvent, Run] = Ledger(
        log=MemoryLog(),
        cache=Cache(),
        decider=RUN,
        codec=codec_for(RUN_KIND),
        now=lambda: next(ticks),
        begin=begin,
        new_id=lambda: str(next(ids)),
    )
    history: list[RunEvent] = []
    waiting = [addressed(START, "start")]
    outcome = await ledger.transact(SUBJECT, [])
    while waiting:
        outcome = await ledger.transact(SUBJECT, waiting[:TOGETHER])
        events = [event for _, event in outcome.events]
        history += events
        del waiting[: outcome.taken]
        for event in events:
            if isinstance(event, StepDispatched):
                said = addressed(completed(event.step_id), event.step_id)
                waiting += [said] * random.choice((1, 1, 2, 3))
        random.shuffle(waiting)
        if not waiting and outcome.state.is_live:
            waiting.append(addressed(ContinueRun(), "go on"))
    run = outcome.state
    assert run.status is RunStatus.SUCCEEDED
    assert run.step("m0").status is StepStatus.SUCCEEDED
    ready = [event.step_id for event in history if isinstance(event, StepReady)]
    assert len(ready) == len(set(ready)) == BRANCHES + 2
    assert ready[-1] == "z"
