"""Messages that nobody can read end as dead letters with a reason, and stop nobody else."""

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import nats
import psycopg
import pytest
from nats.aio.client import Client

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from penstock.domain.run.commands import ContinueRun
from penstock.infra.nats.dead import REASON, SUBJECT
from penstock.infra.nats.direct import Direct, Recorded
from penstock.infra.nats.streams import (
    COMMANDS,
    DEAD_LETTERS,
    EVENTS,
    LEASES,
    REGISTRY,
    REPORTS,
    TIMERS,
    WORK,
)
from penstock.infra.nats.subjects import PARTITIONS, partition_of
from penstock.messages.envelope import CommandMessage, encode
from tests.e2e.conftest import client
from tests.e2e.runs import drawn, edge, ended, made, node, started
from tests.e2e.waiting import until

SETTLED_WITHIN_S = 20.0
LONG = "x" * 200
"""Longer than any token of a subject may be."""
RUN = "01900000-0000-7000-8000-000000000001"
TENANT = "01900000-0000-7000-8000-00000000000a"


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack of these tests alone: what others have left to be said again is no poison."""
    directory = tmp_path_factory.mktemp("poisoned")
    async with Stack(StackOptions(data_dir=directory, port=0, keep=False)) as running:
        yield running


@pytest.fixture(scope="module")
async def api(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """Its API, as the default tenant's admin."""
    async with client(stack.api_url, stack.api_key) as connected:
        yield connected


class Poison(NamedTuple):
    """A message, and the stream that takes it in."""

    stream: str
    subject: str
    body: bytes


def command(id_: str = RUN, kind: str = "run", tenant: str = TENANT, partition: int = 3) -> str:
    """The subject of a command, whatever its parts are."""
    return f"penstock.cmd.{tenant}.{partition}.{kind}.{id_}"


def due(run_id: str = RUN, timer_id: str = RUN, partition: int = 3) -> str:
    """The subject of a timer that has come due."""
    return f"penstock.timer.due.{partition}.{TENANT}.{run_id}.{timer_id}"


def commanding(**members: object) -> bytes:
    """A command that is sound but for its members."""
    message = CommandMessage(id="poison", actor="test", at=0, command=ContinueRun())
    return json.dumps(json.loads(encode(message)) | members).encode()


def reporting(**members: object) -> bytes:
    """A report that is sound but for its members."""
    report = {"type": "ReportLost", "stepId": "a", "attempt": 1, "reason": "poison"}
    one = {"tenant": TENANT, "runId": RUN, "report": report} | members
    return json.dumps({"executorId": "poison", "reports": [one]}).encode()


def working(**members: object) -> bytes:
    """Work whose one task is sound but for its members."""
    task = {"runId": RUN, "stepId": "a", "attempt": 1, "definition": "0" * 64, "startedAt": 0}
    return json.dumps({"tenant": TENANT, "tasks": [task | members]}).encode()


NOTHING = {"size": 4, "sha256": hashlib.sha256(b"null").hexdigest(), "inline": None}
BYTES = (b"", b"\x00\xff\xfe", b"not json", b"[]", b"null", b"{", b"[" * 10_000)
REPORTING, WORKING = "penstock.rep.shared.3", f"penstock.work.shared.default.{TENANT}"
POISONS = [
    *(Poison(COMMANDS, command(), body) for body in BYTES),
    Poison(COMMANDS, command(), commanding(command={"type": "Nonsense"})),
    Poison(COMMANDS, command(), commanding(command={"type": "CancelRun", "reason": 7})),
    Poison(COMMANDS, command(), commanding(at="noon")),
    Poison(COMMANDS, command(kind="nonsense"), commanding()),
    Poison(COMMANDS, command(id_=LONG), commanding()),
    Poison(COMMANDS, command(id_="ü+$"), commanding()),
    Poison(COMMANDS, command(tenant=LONG), commanding()),
    *(Poison(REPORTS, REPORTING, body) for body in BYTES),
    Poison(REPORTS, REPORTING, reporting(report={"type": "Nonsense"})),
    Poison(REPORTS, REPORTING, reporting(runId=LONG)),
    Poison(REPORTS, REPORTING, reporting(tenant="a.b")),
    Poison(REPORTS, REPORTING, reporting(runId=7)),
    Poison(TIMERS, due(run_id=LONG), b"delay"),
    Poison(TIMERS, due(timer_id=LONG), b"delay"),
    *(Poison(WORK, WORKING, body) for body in BYTES),
    Poison(WORK, WORKING, working(attempt="first")),
    Poison(WORK, WORKING, working(payloads=[])),
]


FOREIGN = [
    *(Poison(EVENTS, f"penstock.evt.{TENANT}.run.{RUN}", body) for body in BYTES),
    Poison(EVENTS, f"penstock.evt.{TENANT}.run.{LONG}", b"long"),
    Poison(EVENTS, f"penstock.evt.{TENANT}.run.not-a-uuid", b"no id"),
    Poison(EVENTS, f"penstock.evt.{TENANT}.nonsense.{RUN}", b"no kind"),
    Poison(EVENTS, "penstock.evt.nonsense", b"no subject of ours"),
    Poison(REGISTRY, f"penstock.reg.{TENANT}.workflow.{RUN}", b"\x00\xff"),
    Poison(REGISTRY, f"penstock.reg.{TENANT}.key.{RUN}", b"{}"),
    Poison(REGISTRY, "penstock.reg.nonsense", b"no subject of ours"),
]
"""What stands in a log for ever, although it says nothing that we know."""

NO_TEXT = [
    b"penstock.cmd.\xff.3.run.x",
    b"penstock.rep.\xff.3",
    b"penstock.timer.due.3.\xff.a.b",
    b"penstock.work.shared.default.\xff",
    b"penstock.evt.\xff.run.x",
    b"penstock.reg.\xff.key.x",
    b"penstock.lease.\xff",
    b"penstock.ctl.cancel.\xff.x",
]

QUARANTINED = """
select a.seq, a.body, q.reason from penstock.event_archive a
join penstock.quarantined q on q.log = a.log and q.seq = a.seq
where a.log = %s and a.seq = %s
"""
LOGS = {EVENTS: "events", REGISTRY: "registry"}


@pytest.fixture
async def broker(stack: Stack) -> AsyncIterator[Client]:
    """A connection that may publish anything."""
    connection = await nats.connect(stack.nats_url)
    yield connection
    await connection.close()


async def placed(broker: Client, poison: Poison) -> int:
    """The sequence of a message, once its stream has it."""
    stored = await broker.jetstream().publish(poison.subject, poison.body)
    assert stored.stream == poison.stream
    return stored.seq


async def letters(broker: Client) -> dict[Poison, str]:
    """Every dead letter, as the message that it was, with its reason."""
    reader = Direct(broker)
    await reader.start()
    found: list[Recorded] = []
    while page := await reader.read_from(DEAD_LETTERS, found[-1].seq + 1 if found else 1):
        found += page
    await reader.stop()
    return {
        Poison(each.subject.rpartition(".")[2], each.headers[SUBJECT], each.body): each.headers[
            REASON
        ]
        for each in found
    }


async def live_run(api: httpx.AsyncClient) -> str:
    """A run that outlasts what comes."""
    definition = drawn("beside poison", [node("wait", "delay", config={"durationMs": 3_000})])
    return await started(api, await made(api, definition))


async def still_works(api: httpx.AsyncClient, before: str) -> None:
    """The run of before and new ones come to their end, in every partition's scheduler."""
    definition = drawn("after poison", [node("a"), node("b")], edge("a", "b"))
    workflow_id = await made(api, definition)
    after = [await started(api, workflow_id) for _ in range(3 * PARTITIONS)]
    for run_id in (before, *after):
        assert (await ended(api, run_id))["status"] == "succeeded"


async def test_what_cannot_be_read_ends_as_a_dead_letter(
    api: httpx.AsyncClient, broker: Client
) -> None:
    before = await live_run(api)
    for poison in POISONS:
        await placed(broker, poison)

    async def all_buried() -> bool:
        return (await letters(broker)).keys() >= set(POISONS)

    await until(all_buried, within_s=SETTLED_WITHIN_S, what="every poison is a dead letter")
    assert all((await letters(broker)).values()), "a letter has no reason"
    await drained(broker)
    await still_works(api, before)


async def drained(broker: Client) -> None:
    """Nothing comes again and again: the work queues become empty."""
    admin = broker.jetstream()

    async def all_empty() -> bool:
        infos = [await admin.stream_info(name) for name in (COMMANDS, REPORTS, WORK)]
        return not any(info.state.messages for info in infos)

    await until(all_empty, within_s=SETTLED_WITHIN_S, what="the work queues are empty")


async def test_what_is_no_event_is_archived_and_quarantined(
    stack: Stack, api: httpx.AsyncClient, broker: Client
) -> None:
    before = await live_run(api)
    for poison in FOREIGN:
        seq = await placed(broker, poison)

        async def archived(poison: Poison = poison, seq: int = seq) -> tuple[bytes, str] | None:
            with psycopg.connect(stack.database_url) as database:
                row = database.execute(QUARANTINED, (LOGS[poison.stream], seq)).fetchone()
            return (bytes(row[1]), row[2]) if row else None

        body, reason = await until(
            archived, within_s=SETTLED_WITHIN_S, what=f"{poison.subject} is archived"
        )
        assert body == poison.body
        assert reason
    await still_works(api, before)


async def test_a_foreign_body_in_a_history_stops_that_run_only(
    stack: Stack, api: httpx.AsyncClient, broker: Client
) -> None:
    before, spoilt = await live_run(api), await live_run(api)
    subject = f"penstock.evt.{stack.tenant_id}.run.{spoilt}"
    await placed(broker, Poison(EVENTS, subject, b"not a decision"))
    await still_works(api, before)
    await drained(broker)


async def test_a_subject_that_is_no_text_silences_nobody(
    stack: Stack, api: httpx.AsyncClient, broker: Client
) -> None:
    """Clients refuse to send such, so it is done by hand."""
    before = await live_run(api)
    server = urlsplit(stack.nats_url)
    reader, writer = await asyncio.open_connection(server.hostname, server.port)
    await reader.readline()
    login = {"user": server.username, "pass": server.password, "verbose": False}
    writer.write(b"CONNECT " + json.dumps(login).encode() + b"\r\n")
    for subject in NO_TEXT:
        writer.write(b"PUB " + subject + b" 4\r\nhand\r\n")
    writer.write(b"PING\r\n")
    assert await reader.readline() == b"PONG\r\n"
    writer.close()

    async def buried() -> bool:
        by_hand = [poison for poison in await letters(broker) if poison.body == b"hand"]
        return {poison.stream for poison in by_hand} == {COMMANDS, REPORTS, TIMERS, WORK}

    await until(buried, within_s=SETTLED_WITHIN_S, what="what can be read is a dead letter")
    await still_works(api, before)
    health = await api.get("/health")
    assert health.status_code == httpx.codes.OK, health.text


async def test_a_lease_that_says_nothing_is_taken(
    stack: Stack, api: httpx.AsyncClient, broker: Client
) -> None:
    before = await live_run(api)
    for name in (*range(PARTITIONS), "member-scheduler-0", "nonsense"):
        await placed(broker, Poison(LEASES, f"penstock.lease.{name}", b"\xff"))
    # Whoever comes next finds them, and has nothing else to go by.
    os.kill(stack.pid("scheduler-0"), signal.SIGKILL)
    await still_works(api, before)


async def test_what_can_be_read_but_not_done_harms_no_run(
    stack: Stack, api: httpx.AsyncClient, broker: Client
) -> None:
    """Commands and reports that nobody sent in earnest, about runs that are there or not."""
    before = await live_run(api)
    about = {"tenant": stack.tenant_id, "runId": before}
    done = {"startedAt": 0, "finishedAt": 0, "executorId": "poison", "output": NOTHING}
    partition = partition_of(before)
    reports = [
        {"type": "CompleteStep", "stepId": step_id, "attempt": attempt} | done
        for step_id in ("wait", "unknown", "", "a.0.b", "x" * 10_000)
        for attempt in (-1, 0, 7, 2**62)
    ]
    for report in reports:
        body = reporting(**about, report=report)
        await placed(broker, Poison(REPORTS, f"penstock.rep.shared.{partition}", body))
    start = {"type": "StartRun", "workflowId": RUN, "workflowName": "x", "version": 1}
    start |= {"definition": "0" * 64, "input": NOTHING, "createdAt": 0}
    commands = [
        Poison(COMMANDS, command(id_=id_, tenant=stack.tenant_id), commanding(command=start))
        for id_ in (RUN, "no-uuid")
    ]
    fire = {"type": "FireTimer", "timerId": "x" * 10_000}
    commands.append(
        Poison(
            COMMANDS,
            command(id_=before, tenant=stack.tenant_id, partition=partition),
            commanding(command=fire),
        )
    )
    for poison in commands:
        await placed(broker, poison)
    await still_works(api, before)
    await drained(broker)
    # A definition that nobody has is no passing fault: the starts are put aside in the end.
    given_up = {poison.subject for poison in await letters(broker)}
    partitions = [partition_of(id_) for id_ in (RUN, "no-uuid")]
    assert given_up >= {
        command(id_, tenant=stack.tenant_id, partition=partition)
        for id_, partition in zip((RUN, "no-uuid"), partitions, strict=True)
    }
