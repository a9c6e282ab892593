"""Parents and children whose scheduler dies between what it appends and what it says about it."""

import asyncio
from typing import Any

from nats.aio.client import Client

from penstock.domain.ids import derived
from penstock.domain.payload import NULL, of_value
from penstock.domain.run.commands import CompleteStep, RunCommand, SuspendStep
from penstock.domain.run.events import RunEvent, WaitKind
from penstock.domain.run.reports import child_id
from penstock.domain.run.state import Run
from penstock.domain.workflow.events import (
    WorkflowCreated,
    WorkflowVersionCreated,
    WorkflowVersionPublished,
)
from penstock.domain.workflow.model import from_wire
from penstock.infra.definitions import Definitions
from penstock.infra.eventlog.jetstream import JetStreamLog
from penstock.infra.eventlog.transact import Addressed, Ledger
from penstock.infra.keyring.payloads import Seals
from penstock.infra.nats import subjects
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.publish import Publisher
from penstock.messages.codec import codec_for
from penstock.messages.envelope import NO_HASH
from penstock.scheduler.emissions import Emissions
from penstock.scheduler.forks import Forks
from penstock.scheduler.ledger import run_ledger
from penstock.scheduler.payloads import Payloads
from penstock.scheduler.watch import RunKey
from tests.integration.scheduler.replicas import DEFINITION, TENANT, Replicas

ASKED_WITHIN_S = 30.0
POLL_S = 0.1
INNER = "inner-of-lost-words"


class DyingHand:
    """Appends as a scheduler does, and dies before it says anything about it."""

    def __init__(self, nc: Client, seals: Seals | None = None) -> None:
        self.publisher = Publisher(nc)
        self.direct = Direct(nc)
        self.blobs = JetStreamBlobs(nc)
        self.log = JetStreamLog(self.publisher, self.direct)
        self.payloads = Payloads(self.blobs, self.direct, seals=seals)

    async def start(self) -> None:
        await self.publisher.start()
        await self.direct.start()

    async def append(self, run_id: str, command: RunCommand) -> list[RunEvent]:
        ledger: Ledger[RunCommand, RunEvent, Run] = run_ledger(
            self.log, Definitions(self.blobs), Forks(self.payloads), lambda: 0
        )
        said = [Addressed(command, id="dying", actor="executor:test")]
        outcome = await ledger.transact(subjects.run_events(TENANT, run_id), said)
        return [event for _, event in outcome.events]

    async def publish_workflow(self) -> None:
        content_hash = await Definitions(self.blobs).put(TENANT, from_wire(DEFINITION))
        events: list[Any] = [
            WorkflowCreated(key=INNER, name=INNER, created_at=0, created_by="test"),
            WorkflowVersionCreated(
                version_id="v",
                number=1,
                content_hash=content_hash,
                definition=NULL,
                created_at=0,
                created_by="test",
            ),
            WorkflowVersionPublished(version_id="v", number=1, published_at=0),
        ]
        body = codec_for("workflow").encode(
            events, (), decision_id="d", at=0, previous_hash=NO_HASH
        )
        subject = subjects.registry(TENANT, "workflow", derived(TENANT, INNER))
        await self.log.append(subject, body, expected=0)


async def until_told(replicas: Replicas, run_id: str, event: str) -> None:
    """Wait until a run's history has an event of a type."""
    deadline = asyncio.get_running_loop().time() + ASKED_WITHIN_S
    while event not in (told := await replicas.history(run_id)):
        assert asyncio.get_running_loop().time() < deadline, f"{run_id}: {told}"
        await asyncio.sleep(POLL_S)


async def test_a_child_is_begun_and_its_end_is_heard_whoever_dies_before_saying_so(
    nc: Client, replicas: Replicas
) -> None:
    hand = DyingHand(nc)
    await hand.start()
    await hand.publish_workflow()
    first = await replicas.start("first")
    (parent,) = await replicas.begin(1)
    await replicas.until_dispatched([parent])
    first.kill()
    await first.wait()
    waits = SuspendStep(
        step_id="only",
        attempt=1,
        kind=WaitKind.CHILD,
        workflow_id=INNER,
        input=of_value(1),
        started_at=0,
        executor_id="test",
    )
    assert len(await hand.append(parent, waits)) == 1

    second = await replicas.start("second")
    child = child_id(parent, "only", 1)
    await replicas.until_dispatched([child], within_s=ASKED_WITHIN_S)
    second.kill()
    await second.wait()
    done = CompleteStep(
        step_id="only",
        attempt=1,
        output=of_value("the child's"),
        started_at=0,
        finished_at=0,
        executor_id="test",
    )
    events = await hand.append(child, done)
    assert [type(event).__name__ for event in events] == ["StepSucceeded", "RunSucceeded"]
    assert "StepSucceeded" not in await replicas.history(parent)

    await replicas.start("third")
    await until_told(replicas, parent, "RunSucceeded")
    assert (await replicas.history(child)).count("RunStarted") == 1


async def test_an_event_that_is_emitted_twice_is_one_event(nc: Client, seals: Seals) -> None:
    hand = DyingHand(nc, seals)
    await hand.start()
    key = RunKey(TENANT, "r-emits")
    output = of_value({"type": "order.paid", "source": "shop", "data": {"order": 7}})
    for name in ("first", "second"):
        emissions = Emissions(hand.log, hand.payloads, me=name, now=lambda: 0)
        await emissions.emit(key, "tell", output)
    subject = subjects.events(TENANT, "event", derived("r-emits", "tell", "event"))
    (stored,) = await hand.log.read(subject)
    (event,) = codec_for("event").decode(stored.body).events
    assert (event.event_type, event.run_id) == ("order.paid", "r-emits")
    assert await seals.texts.opened(TENANT, event.source) == "shop" != event.source
    assert bytes(await seals.text(TENANT, event.data, bytes(event.data.inline))) == b'{"order":7}'
    assert b"order" not in bytes(event.data.inline)
