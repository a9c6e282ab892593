"""The audit finds nothing in what the projector wrote, and every wrong that is planted."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from nats.aio.client import Client
from typer import Typer
from typer.testing import CliRunner

from penstock.dev.nats_server import NatsServer
from penstock.domain import payload
from penstock.domain.identity import Role
from penstock.domain.ids import derived
from penstock.domain.tenant.events import (
    ApiKeyCreated,
    ApiKeyRevoked,
    Limits,
    TenantConfig,
    TenantConfigured,
    TenantCreated,
    TenantDeleted,
    TenantRenamed,
)
from penstock.domain.workflow.events import (
    Visibility,
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowRenamed,
    WorkflowVersionCreated,
    WorkflowVersionPinned,
    WorkflowVersionPublished,
    WorkflowVersionUnpinned,
    WorkflowVisibilityChanged,
)
from penstock.domain.workflow.model import canonical_bytes, content_hash
from penstock.infra.definitions import Definitions
from penstock.infra.nats import subjects
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.projector.audit.command import verify
from penstock.projector.audit.report import Kind, Report
from penstock.projector.commands import add_commands
from penstock.projector.entry import Log
from tests.integration.projector.rows import RUN, plant_run
from tests.integration.projector.test_runner import (
    begin_events_anew,
    nc,
    projecting,
    publish,
    until,
)
from tests.integration.projector.test_store import OTHER, TENANT, eventful, written
from tests.unit.projector.lives import T0, Life, Tape, chain

__all__ = ["nc"]


def registry() -> Tape:
    """Both tenants, each with a key and the workflow that its runs are of."""
    tape = Tape()
    definition = chain(3)
    body = canonical_bytes(definition)
    for tenant in (TENANT, OTHER):
        workflow, version = derived(tenant, "workflow"), derived(tenant, "version")
        made: Any = {"created_at": T0, "created_by": "admin"}
        tape.append(
            subjects.registry(tenant, "tenant", tenant),
            [TenantCreated(name="acme", config=TenantConfig(), **made)],
            at=T0,
        )
        tape.append(
            subjects.registry(tenant, "key", derived(tenant, "key")),
            [ApiKeyCreated(name="first", role=Role.ADMIN, expires_at=NEVER, **made)],
            at=T0,
        )
        tape.append(
            subjects.registry(tenant, "workflow", workflow),
            [
                WorkflowCreated(key="chain", name="Chain", **made),
                WorkflowVersionCreated(
                    version_id=version,
                    number=1,
                    content_hash=content_hash(definition),
                    definition=payload.inline(body),
                    **made,
                ),
                WorkflowVersionPublished(version_id=version, number=1, published_at=T0),
            ],
            at=T0,
        )
    changed(tape, OTHER)
    return tape


def changed(tape: Tape, tenant: str) -> None:
    """Everything that can happen to a tenant, its key and its workflow; one without runs ends.

    Rows of a tenant that is deleted are going, so they are not compared.
    """
    about_tenant = subjects.registry(tenant, "tenant", tenant)
    about_key = subjects.registry(tenant, "key", derived(tenant, "key"))
    about_workflow = subjects.registry(tenant, "workflow", derived(tenant, "workflow"))
    second, body = derived(tenant, "second"), canonical_bytes(chain(2))
    config = TenantConfig(limits=Limits(max_workflows=None, retention_days=7))
    later = T0 + 5
    tape.append(about_tenant, [TenantRenamed(name="Acme")], at=later)
    tape.append(about_tenant, [TenantConfigured(config=config)], at=later)
    tape.append(about_key, [ApiKeyRevoked(revoked_at=later)], at=later)
    tape.append(
        about_workflow,
        [
            WorkflowVersionCreated(
                version_id=second,
                number=2,
                content_hash=content_hash(chain(2)),
                definition=payload.inline(body),
                created_at=later,
                created_by="key:k",
            )
        ],
        at=later,
    )
    for event in (
        WorkflowVersionPublished(version_id=second, number=2, published_at=later),
        WorkflowVersionPinned(version_id=second, number=2),
        WorkflowRenamed(name="Two"),
        WorkflowVisibilityChanged(visibility=Visibility.PUBLIC_READ),
    ):
        tape.append(about_workflow, [event], at=later)
    tape.append(about_workflow, [WorkflowVersionUnpinned()], at=later)
    tape.append(about_workflow, [WorkflowDeleted(deleted_at=later)], at=later)
    gone = derived(tenant, "gone")
    about_gone = subjects.registry(gone, "tenant", gone)
    made = TenantCreated(name="gone", config=config, created_at=later, created_by="admin")
    tape.append(about_gone, [made], at=later)
    tape.append(about_gone, [TenantDeleted(deleted_at=later)], at=later)


@pytest.fixture
async def full(projector_url: str, empty: str) -> str:
    """The owner's URL of a database with both logs in it."""
    await written(projector_url, registry().entries(Log.REGISTRY))
    await written(projector_url, eventful().entries(), size=4)
    return empty


def plant(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        assert owner.execute(statement.encode()).rowcount == 1


def found(report: Report) -> set[tuple[str, str]]:
    """Kinds and tables, or logs."""
    return {(problem.kind, problem.where.split()[0]) for problem in report.problems}


async def test_what_the_projector_wrote_is_what_the_log_says(full: str) -> None:
    report = await verify(full, None)
    assert report.problems == []
    assert report.ok
    assert (report.runs, report.quarantined) == (8, 0)
    assert report.steps >= 8
    assert report.stream == {"events": None, "registry": None}


async def test_one_tenant_can_be_audited_alone(full: str) -> None:
    for tenant in (TENANT, OTHER):
        report = await verify(full, None, tenant=UUID(tenant))
        assert report.problems == []
        assert report.runs == 4


RUN_COLUMNS = {
    "status": "'failed'",
    "workflow_id": "gen_random_uuid()",
    "workflow_name": "'other'",
    "version": "2",
    "definition": "'x'",
    "trigger": "'api'",
    "tags": "'{x}'",
    "priority": "7",
    "created_at": "created_at + interval '1 ms'",
    "started_at": "started_at + interval '1 ms'",
    "finished_at": "now()",
    "deadline_at": "now()",
    "total": "4",
    "succeeded": "succeeded + 1",
    "failed": "failed + 1",
    "skipped": "skipped + 1",
    "cancelled": "cancelled + 1",
    "running": "running + 1",
    "waiting": "waiting + 1",
    "input": "replace(input::text, '7', '8')::json",
    "output": "input",
    "sinks": "'{s0}'",
    "is_keyed": "not coalesce(is_keyed, false)",
    "error": '\'{"code": "X", "message": ""}\'',
    "evaluating": "evaluating + 1",
    "parent_run_id": "gen_random_uuid()",
    "parent_step_id": "'s0'",
    "forked_from": '\'{"runId": "x", "position": "1.0"}\'',
    "request_hash": "'x'",
    "correlation_id": "'x'",
    "traceparent": "'x'",
    "partition": "(partition + 1) % 16",
    "is_quarantined": "true",
    "last_seq": "last_seq + 1",
}

STEP_COLUMNS = {
    "status": "'skipped'",
    "attempt": "attempt + 1",
    "ready_at": "ready_at + interval '1 ms'",
    "started_at": "now()",
    "attempt_started_at": "now()",
    "finished_at": "now()",
    "wake_at": "now()",
    "executor_id": "'executor-x'",
    "branch": "'x'",
    "input": '\'{"size": 4, "sha256": "00"}\'',
    "output": '\'{"size": 4, "sha256": "00"}\'',
    "error": '\'{"code": "X", "message": ""}\'',
    "attempts": '\'[{"attempt": 1, "status": "lost", "finishedAt": 1}]\'',
    "edges": "'[0]'",
    "items": '\'{"size": 4, "sha256": "00"}\'',
    "loop": "'{\"opened\": 1}'",
}

SOME_STEP = "ctid = (select ctid from penstock.run_steps where step_id = 's0' limit 1)"
SOME_RUN = "ctid = (select ctid from penstock.runs where trigger = 'webhook' limit 1)"


@pytest.mark.parametrize("column", RUN_COLUMNS)
async def test_a_wrong_value_in_a_run_is_found(full: str, column: str) -> None:
    plant(full, f"update penstock.runs set {column} = {RUN_COLUMNS[column]} where {SOME_RUN}")
    assert found(await verify(full, None)) == {(Kind.WRONG_ROW, "runs")}


@pytest.mark.parametrize("column", STEP_COLUMNS)
async def test_a_wrong_value_in_a_step_is_found(full: str, column: str) -> None:
    changed = f"{column} = {STEP_COLUMNS[column]}"
    plant(full, f"update penstock.run_steps set {changed} where {SOME_STEP}")
    assert found(await verify(full, None)) == {(Kind.WRONG_ROW, "run_steps")}


def test_every_column_is_tried() -> None:
    from penstock.infra.postgres.tables import run_steps, runs  # noqa: PLC0415

    assert set(RUN_COLUMNS) == set(runs.c.keys()) - {"tenant_id", "id"}
    assert set(STEP_COLUMNS) == set(run_steps.c.keys()) - {"tenant_id", "run_id", "step_id"}


NEVER = 253_402_300_799_000
"""The end of the year 9999: what an earlier release took, and rows do not have."""
OF_TENANT = f"where tenant_id = '{TENANT}'"
ADD_STEP = "insert into penstock.run_steps (tenant_id, run_id, step_id, status, attempt) select"
THIRD = "where log = 'events' and seq = 3"

PLANTED = {
    f"delete from penstock.runs where {SOME_RUN}": (Kind.MISSING_ROW, "runs"),
    f"delete from penstock.run_steps where {SOME_STEP}": (Kind.MISSING_ROW, "run_steps"),
    "delete from penstock.run_tags where ctid = (select ctid from penstock.run_tags limit 1)": (
        Kind.WRONG_ROW,
        "runs",
    ),
    f"{ADD_STEP} tenant_id, id, 'phantom', 'ready', 1 from penstock.runs where {SOME_RUN}": (
        Kind.EXTRA_ROW,
        "run_steps",
    ),
    f"{ADD_STEP} gen_random_uuid(), gen_random_uuid(), 'phantom', 'ready', 1": (
        Kind.EXTRA_ROW,
        "run_steps",
    ),
    f"update penstock.workflows set published_number = null {OF_TENANT}": (
        Kind.WRONG_ROW,
        "workflows",
    ),
    f"update penstock.workflow_versions set status = 'draft' {OF_TENANT}": (
        Kind.WRONG_ROW,
        "workflow_versions",
    ),
    f"delete from penstock.tenants {OF_TENANT}": (Kind.MISSING_ROW, "tenants"),
    f"update penstock.api_keys set role = 'viewer' {OF_TENANT}": (Kind.WRONG_ROW, "api_keys"),
    "update penstock.checkpoints set seq = seq - 1 where log = 'events'": (
        Kind.CHECKPOINT,
        "checkpoints",
    ),
    f"update penstock.chain_heads set decisions = 1 {OF_TENANT} and log = 'events'": (
        Kind.CHECKPOINT,
        "chain_heads",
    ),
    f"update penstock.event_archive set log_hash = hash {THIRD}": (Kind.LOG_CHAIN, "events"),
    f"update penstock.event_archive set tenant_hash = hash {THIRD}": (Kind.TENANT_CHAIN, "events"),
    f"update penstock.event_archive set previous_hash = hash {THIRD}": (
        Kind.SUBJECT_CHAIN,
        "events",
    ),
}


@pytest.mark.parametrize("statement", PLANTED)
async def test_a_planted_wrong_is_found(full: str, statement: str) -> None:
    plant(full, statement)
    report = await verify(full, None)
    assert not report.ok
    assert PLANTED[statement] in found(report)


async def test_a_run_that_nobody_started_is_found(full: str) -> None:
    with psycopg.connect(full, autocommit=True) as owner:
        plant_run(owner, UUID(TENANT), RUN)
    assert found(await verify(full, None)) == {(Kind.EXTRA_ROW, "runs")}


CHANGED_BYTE = (
    "update penstock.event_archive set body = set_byte(body, {at}, get_byte(body, {at}) # 1) "
    "where log = 'events' and seq = {seq}"
)


@pytest.mark.parametrize("seq", [1, 5, 11])
@pytest.mark.parametrize("at", [0, 30, "length(body) - 3", "length(body) / 2"])
async def test_a_changed_byte_in_the_archive_is_found(full: str, seq: int, at: object) -> None:
    plant(full, CHANGED_BYTE.format(seq=seq, at=at))
    assert (Kind.SUBJECT_CHAIN, "events") in found(await verify(full, None))


@pytest.mark.parametrize("seq", [1, 5])
async def test_a_message_gone_from_the_archive_is_found(full: str, seq: int) -> None:
    plant(full, f"delete from penstock.event_archive where log = 'events' and seq = {seq}")
    assert (Kind.GAP, "events") in found(await verify(full, None))


async def test_the_last_message_gone_from_the_archive_is_found(full: str) -> None:
    last = "(select max(seq) from penstock.event_archive where log = 'events')"
    plant(full, f"delete from penstock.event_archive where log = 'events' and seq = {last}")
    assert (Kind.CHECKPOINT, "checkpoints") in found(await verify(full, None))


async def test_a_message_moved_to_another_run_is_found(full: str) -> None:
    another = "'0190b000-0000-7000-8000-00000000dead'"
    plant(full, f"update penstock.event_archive set subject_id = {another} where log='events' "
          "and seq = 1")  # fmt: skip
    assert {(Kind.LOG_CHAIN, "events"), (Kind.TENANT_CHAIN, "events")} <= found(
        await verify(full, None)
    )


async def test_an_unreadable_message_is_quarantined_and_no_problem(
    projector_url: str, empty: str
) -> None:
    await written(projector_url, registry().entries(Log.REGISTRY))
    tape = eventful()
    tape.append_raw(tape.messages[3][0], b"\xff")
    tape.append_raw("penstock.evt.acme.run.r-7", b"{}")
    await written(projector_url, tape.entries())
    report = await verify(empty, None)
    assert report.problems == []
    assert report.quarantined == 2
    plant(empty, "delete from penstock.quarantined where subject like '%r-7'")
    assert found(await verify(empty, None)) == {(Kind.HISTORY, "events")}


async def test_text_that_postgres_cannot_hold_stops_nothing(projector_url: str, empty: str) -> None:
    await written(projector_url, registry().entries(Log.REGISTRY))
    tape = Tape()
    life = Life(tape, chain(3), name="zero", tenant=TENANT)
    life.start(workflow_name="a\0b", tags=("\0", "ö"), input=payload.of_value({"\0": "\0"}))
    life.complete("s0", "\0")
    await written(projector_url, tape.entries())
    report = await verify(empty, None)
    assert (report.problems, report.quarantined, report.runs) == ([], 0, 1)


@asynccontextmanager
async def streamed(nc: Client, projector_url: str, empty: str) -> AsyncIterator[None]:
    """Both logs in the stream and, through the projector, in the database."""
    events = eventful()
    for tenant in (TENANT, OTHER):
        await Definitions(JetStreamBlobs(nc)).put(tenant, chain(3))
    async with projecting(nc, projector_url):
        await publish(nc, registry())
        await publish(nc, events)
        await until(lambda: checkpoint(empty) == len(events.messages))
    yield


def checkpoint(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as owner:
        row = owner.execute("select seq from penstock.checkpoints where log = 'events'").fetchone()
        assert row is not None
        return int(row[0])


async def test_the_stream_is_compared_where_it_can_be_read(
    nc: Client, nats_server: NatsServer, projector_url: str, empty: str
) -> None:
    async with streamed(nc, projector_url, empty):
        report = await verify(empty, nats_server.url)
        assert report.problems == []
        assert report.stream == {
            "registry": len(registry().messages),
            "events": len(eventful().messages),
        }
        await begin_events_anew(nc)
        another = eventful()
        another.messages[2] = (another.messages[2][0], b"{}")
        await publish(nc, another)
        assert found(await verify(empty, nats_server.url)) == {(Kind.STREAM, "events")}


def test_the_command_says_so_and_ends_with_1(full: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Typer()
    add_commands(app)
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", full)
    monkeypatch.setenv("PENSTOCK_NATS_URL", "nats://127.0.0.1:1")
    clean = CliRunner().invoke(app, ["audit", "verify", "--json"])
    assert (clean.exit_code, json.loads(clean.output)["ok"]) == (0, True)
    plant(full, f"update penstock.runs set status = 'failed' where {SOME_RUN}")
    told = CliRunner().invoke(app, ["audit", "verify"])
    assert told.exit_code == 1
    assert "wrong_row  runs" in told.output
    assert "NOT OK" in told.output
    assert CliRunner().invoke(app, ["audit", "verify", "--tenant", "x"]).exit_code == 2
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    assert CliRunner().invoke(app, ["audit", "verify"]).exit_code == 1
