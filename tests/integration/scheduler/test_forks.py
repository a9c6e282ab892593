"""A fork whose state is an object of its own: the rules have it whole, the log by its name."""

import hashlib

import msgspec
import pytest
from msgspec.structs import replace
from nats.aio.client import Client
from uuid_utils import uuid7

from penstock.domain.payload import Payload
from penstock.domain.run.commands import CompleteStep, RunCommand, StartRun
from penstock.domain.run.events import Origin, RunEvent, RunForked
from penstock.domain.run.snapshot import encoded, state_hash
from penstock.domain.run.state import Run, StepStatus
from penstock.infra.definitions import Definitions
from penstock.infra.eventlog.jetstream import JetStreamLog
from penstock.infra.eventlog.transact import Addressed, Ledger
from penstock.infra.nats import subjects
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.publish import Publisher
from penstock.messages.codec import decode_run_decision
from penstock.scheduler.forks import Forks, kept
from penstock.scheduler.ledger import run_ledger
from penstock.scheduler.payloads import Payloads
from tests.unit.domain.run.story import Story, complete, drawing, fail, start

TENANT = "acme"
AT = 1_000_000

Runs = Ledger[RunCommand, RunEvent, Run]


class Ground:
    """A log, a store, and ledgers over them; each ledger begins without memories."""

    def __init__(self, nc: Client) -> None:
        self.publisher = Publisher(nc)
        self.direct = Direct(nc)
        self.blobs = JetStreamBlobs(nc)
        self.log = JetStreamLog(self.publisher, self.direct)

    async def start(self) -> None:
        await self.publisher.start()
        await self.direct.start()

    def ledger(self) -> Runs:
        payloads = Payloads(self.blobs, self.direct)
        return run_ledger(self.log, Definitions(self.blobs), Forks(payloads), lambda: AT)

    async def stored(self, data: bytes) -> Payload:
        name = await self.blobs.put(data, tenant=TENANT)
        return Payload(size=len(data), sha256=hashlib.sha256(data).hexdigest(), blob=name)


def addressed(command: RunCommand) -> list[Addressed[RunCommand]]:
    return [Addressed(command, id=str(uuid7()), actor="test:forks")]


async def begun(ground: Ground) -> tuple[Run, StartRun]:
    """A run that stands at its second step, and the start of a run that goes on from there."""
    story = Story(drawing("a>b"))
    story.when(start(), complete("a"))
    definition = story.run.drawn.definition
    content_hash = await Definitions(ground.blobs).put(TENANT, definition)
    command = replace(
        start(),
        definition=content_hash,
        forked_from=Origin(run_id=story.run.id, position="1.0"),
        state=await ground.stored(encoded(story.run)),
    )
    return story.run, command


async def test_the_log_names_a_forks_state_and_every_ledger_folds_it(nc: Client) -> None:
    ground = Ground(nc)
    await ground.start()
    origin, command = await begun(ground)
    subject = subjects.run_events(TENANT, str(uuid7()))
    first = await ground.ledger().transact(subject, addressed(command))
    assert first.state.step("a") == origin.step("a")
    assert first.state.step("b").attempt == 2
    (stored,) = await ground.log.read(subject)
    forked = [e for e in decode_run_decision(stored.body).events if isinstance(e, RunForked)]
    assert command.state is not None
    assert [(each.state.blob, bytes(each.state.inline)) for each in forked] == [
        (command.state.blob, b"")
    ]

    afresh = ground.ledger()
    again = await afresh.transact(subject, addressed(command))
    assert again.answers[0].replayed
    assert state_hash(again.state) == state_hash(first.state)
    done = CompleteStep(
        step_id="b", attempt=2, output=command.input, started_at=0, finished_at=0, executor_id="e"
    )
    ended = await afresh.transact(subject, addressed(done))
    assert ended.state.step("b").status is StepStatus.SUCCEEDED
    assert ended.state.is_over


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ({"size": 1_000_000_000}, "LIMIT_EXCEEDED"),
        ({"blob": f"{TENANT}/{'0' * 64}"}, "STATE_LOST"),
    ],
)
async def test_a_fork_without_its_state_is_refused(
    nc: Client, damage: dict[str, object], code: str
) -> None:
    ground = Ground(nc)
    await ground.start()
    _, command = await begun(ground)
    assert command.state is not None
    broken = replace(command, state=replace(command.state, **damage))
    outcome = await ground.ledger().transact(
        subjects.run_events(TENANT, str(uuid7())), addressed(broken)
    )
    refusal = outcome.answers[0].refusal
    assert refusal is not None
    assert refusal.code == code


def test_what_is_small_stays_in_the_log() -> None:
    story = Story(drawing("a!b"))
    story.when(start(), fail("a"))
    data = encoded(story.run)
    small = Payload(size=len(data), sha256="", inline=msgspec.Raw(data))
    events = [RunForked(run_id=story.run.id, position="1.0", state=small)]
    assert list(kept(events)) == events
