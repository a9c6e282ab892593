"""A live run that has left the log goes on from the archive, and the audit finds nothing in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from msgspec.structs import replace

from penstock.domain import payload
from penstock.domain.ids import derived
from penstock.domain.run.commands import CompleteStep, RunCommand, StartRun
from penstock.domain.run.events import RunCarriedForward, RunEvent, StepDispatched
from penstock.domain.run.state import Run
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import content_hash
from penstock.infra.blobs.port import Blobs
from penstock.infra.definitions import Definitions
from penstock.infra.eventlog.memory import MemoryLog
from penstock.infra.eventlog.transact import Addressed, Ledger, Outcome
from penstock.infra.nats import subjects
from penstock.infra.nats.direct import Direct
from penstock.infra.postgres.engine import Engine
from penstock.messages.codec import decode_run_decision
from penstock.messages.envelope import chain_hash
from penstock.projector.audit.command import verify
from penstock.projector.entry import Entry, Log, read
from penstock.scheduler.archive import Archived
from penstock.scheduler.forks import Forks
from penstock.scheduler.ledger import Keeping, run_ledger
from penstock.scheduler.payloads import Payloads
from penstock.scheduler.snapshots import RunSnapshots
from tests.conftest import with_login
from tests.integration.projector.test_audit import registry
from tests.integration.projector.test_store import TENANT, written
from tests.unit.projector.lives import T0, chain
from tests.unit.scheduler.test_ledger import Drawings

RUN = derived(TENANT, "a long wait")
SUBJECT = subjects.run_events(TENANT, RUN)
LARGE = payload.of_value("x" * 5_000)
START = StartRun(
    workflow_id=derived(TENANT, "workflow"),
    workflow_name="Chain",
    version=1,
    definition=content_hash(chain(3)),
    input=LARGE,
    created_at=T0,
)


class Emptied:
    """A log that has nothing any more."""

    async def by_seq(self, _stream: str, _seq: int) -> None:
        return None


@asynccontextmanager
async def archived(url: str) -> AsyncIterator[Archived]:
    engine = Engine(url, name="test")
    await engine.open()
    yield Archived(engine)
    await engine.close()


def ledger_over(log: MemoryLog, archive: Archived) -> Ledger[RunCommand, RunEvent, Run]:
    """A ledger that knows nothing yet."""
    payloads = Payloads(cast(Blobs, None), cast(Direct, Emptied()), archive)
    keeping = Keeping(RunSnapshots(payloads), archive, lambda _: True)
    definitions = cast(Definitions, Drawings(Graph.of(chain(3))))
    return run_ledger(log, definitions, Forks(payloads), lambda: T0 + 1, keeping)


def entries(log: MemoryLog, after: int = 0) -> list[Entry]:
    return [read(Log.EVENTS, m.seq, m.subject, m.body) for m in log.messages if m.seq > after]


async def say(
    ledger: Ledger[RunCommand, RunEvent, Run], command: RunCommand
) -> Outcome[RunEvent, Run]:
    told = Addressed(command, id=f"c-{type(command).__name__}", actor="test")
    return await ledger.transact(SUBJECT, [told])


def done(outcome: Outcome[RunEvent, Run]) -> RunCommand:
    """What the executor says of the step that was handed out."""
    (sent,) = [event for _, event in outcome.events if isinstance(event, StepDispatched)]
    return CompleteStep(
        step_id=sent.step_id,
        attempt=sent.attempt,
        output=LARGE,
        started_at=T0,
        finished_at=T0 + 1,
        executor_id="e",
    )


async def test_a_run_goes_on_from_the_archive_and_its_chain_with_it(
    projector_url: str, empty: str, role_passwords: dict[str, str]
) -> None:
    role = "penstock_scheduler"
    async with archived(with_login(empty, role, role_passwords[role])) as archive:
        log = MemoryLog()
        ledger = ledger_over(log, archive)
        outcome = await say(ledger, START)
        outcome = await say(ledger, done(outcome))
        await written(projector_url, registry().entries(Log.REGISTRY))
        await written(projector_url, entries(log))
        before = log.messages[-1]
        log.forget(SUBJECT, before=before.seq + 1)

        ledger = ledger_over(log, archive)
        outcome = await say(ledger, done(outcome))
        first = (await log.read(SUBJECT))[0]
        carried = decode_run_decision(first.body)
        assert isinstance(carried.events[0], RunCarriedForward)
        held = decode_run_decision(before.body).previous_hash
        assert carried.previous_hash == chain_hash(held, before.body)

        lying = outcome.state.step("s0").output
        assert lying is not None
        assert lying.at is not None
        payloads = Payloads(cast(Blobs, None), cast(Direct, Emptied()), archive)
        assert await payloads.carried(lying) == LARGE
        assert await payloads.carried(replace(lying, at="999.0/output")) == replace(
            lying, at="999.0/output"
        )

        outcome = await say(ledger, done(outcome))
        while not outcome.state.is_over:
            outcome = await say(ledger, done(outcome))
        await written(projector_url, entries(log, after=before.seq))
        log.forget(SUBJECT, before=10**9)
        again = await say(ledger_over(log, archive), START)
        assert (again.events, again.state.is_over) == ([], True)
    report = await verify(empty, None)
    assert report.problems == []
