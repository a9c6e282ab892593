"""The read models as SQLAlchemy tables: the projector writes them, the API reads them.

Every table with `tenant_id` has row security, and every key of it starts with that column.
Columns of type `json` that the comments call a payload hold a whole `Payload` as its JSON text,
byte for byte; connections of `penstock.infra.postgres.engine` answer them as `bytes`.
The migrations are written by hand; a test holds them equal to this module.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from penstock.infra.postgres import departures, measures, places, vault

SCHEMA_REVISION = "0013"
"""The migration that this release needs; a process is not ready while the database has another."""

LIVE_STATUSES = ("queued", "running", "paused", "waiting")
"""Statuses of a run that has not ended."""

READ_MODELS = "penstock"
VAULT = (
    vault.api_keys,
    vault.data_keys,
    vault.destroyed_keys,
    departures.erasing,
    vault.sealed_secrets,
    vault.daily_executions,
    vault.workflow_places,
    vault.emails,
    vault.logins,
    vault.sessions,
    vault.failures,
)
"""The tables of the other schema, which no event leads to."""

registry_places = places.registry_places
stored_bytes = measures.stored_bytes
metadata = vault.metadata


def _at(name: str, *, nullable: bool = True) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _count(name: str) -> Column[Any]:
    return Column(name, Integer, nullable=False, server_default=text("0"))


def _text(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=nullable)


def _uuid(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Uuid, nullable=nullable)


def _table(
    name: str, *columns: Column[Any], key: Sequence[str], schema: str = READ_MODELS
) -> Table:
    primary = PrimaryKeyConstraint(*key, name=f"{name}_pkey")
    return Table(name, metadata, *columns, primary, schema=schema)


runs = _table(
    "runs",
    _uuid("tenant_id"),
    _uuid("id"),
    _uuid("workflow_id"),
    _text("workflow_name"),
    Column("version", Integer, nullable=False),
    Column("definition", Text, nullable=False, comment="content hash of the version"),
    _text("status"),
    _text("trigger"),
    Column("tags", ARRAY(Text), nullable=False),
    Column("priority", Integer, nullable=False),
    _at("created_at", nullable=False),
    _at("started_at"),
    _at("finished_at"),
    _at("deadline_at"),
    Column(
        "total",
        Integer,
        comment="nodes of the definition and of opened iterations; null while that is unknown",
    ),
    _count("succeeded"),
    Column("failed", Integer, nullable=False, server_default=text("0"), comment="and timed out"),
    _count("skipped"),
    _count("cancelled"),
    _count("running"),
    _count("waiting"),
    Column(
        "evaluating",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="evaluations that are owed, but for those that stand in the rows of loops",
    ),
    Column("input", JSON, nullable=False, comment="payload"),
    Column("output", JSON, comment="payload, where the definition has an output template"),
    Column("sinks", ARRAY(Text), comment="steps whose outputs make the output"),
    Column("is_keyed", Boolean, comment="whether that output is an object by step id"),
    Column("error", JSON, comment="RunError"),
    _uuid("parent_run_id", nullable=True),
    Column("parent_step_id", Text, comment="the step of that run which waits for this one"),
    Column("forked_from", JSON, comment="{runId, position}"),
    _text("request_hash"),
    _text("correlation_id"),
    _text("traceparent"),
    Column("partition", SmallInteger, nullable=False),
    Column("is_quarantined", Boolean, nullable=False, server_default=text("false")),
    Column("last_seq", BigInteger, nullable=False, comment="of the last decision in this row"),
    key=("tenant_id", "id"),
)
_newest = (runs.c.created_at.desc(), runs.c.id.desc())
Index("runs_by_time", runs.c.tenant_id, *_newest)
Index("runs_by_status", runs.c.tenant_id, runs.c.status, *_newest)
Index("runs_by_workflow", runs.c.tenant_id, runs.c.workflow_id, *_newest)
Index("runs_by_trigger", runs.c.tenant_id, runs.c.trigger, *_newest)
Index(
    "runs_live",
    runs.c.partition,
    runs.c.tenant_id,
    runs.c.id,
    postgresql_where=runs.c.status.in_(LIVE_STATUSES),
)

run_tags = _table(
    "run_tags",
    _uuid("tenant_id"),
    _text("tag"),
    _at("created_at", nullable=False),
    _uuid("run_id"),
    key=("tenant_id", "tag", "created_at", "run_id"),
)
"""The filter by tag: one row a tag of a run, in the order of the list."""

run_steps = _table(
    "run_steps",
    _uuid("tenant_id"),
    _uuid("run_id"),
    Column("step_id", Text, nullable=False, comment="path"),
    Column("status", Text, nullable=False, comment="as http-api names it; dispatched is ready"),
    Column("attempt", Integer, nullable=False, comment="the last one's number; 0 before the first"),
    _at("ready_at"),
    Column("started_at", DateTime(timezone=True), comment="the first attempt's"),
    Column("attempt_started_at", DateTime(timezone=True), comment="the last attempt's"),
    _at("finished_at"),
    Column("wake_at", DateTime(timezone=True), comment="while waiting or retrying: until when"),
    Column("executor_id", Text, comment="the last attempt's"),
    _text("branch", nullable=True),
    Column("input", JSON, comment="payload; null where the input rule applies"),
    Column("output", JSON, comment="payload"),
    Column("error", JSON, comment="StepError that settled the step"),
    Column(
        "attempts",
        JSON,
        comment="attempts before the last: [{attempt, status, executorId, startedAt, finishedAt, "
        "error}], times in ms; null for none",
    ),
    Column("edges", JSON, comment="numbers of the EXPRESSION edges that came to true"),
    Column("items", JSON, comment="payload: what a loop goes over"),
    Column(
        "loop",
        JSON,
        comment="of a loop: {opened, evaluating}: its iterations, and what is owed to itself",
    ),
    key=("tenant_id", "run_id", "step_id"),
)
"""Steps that have left `pending`; the others stand in the definition only."""

tenants = _table(
    "tenants",
    _uuid("tenant_id"),
    _text("name"),
    Column("config", JSON, nullable=False),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    _at("deleted_at"),
    key=("tenant_id",),
)

Index("tenants_deleted", tenants.c.deleted_at, postgresql_where=tenants.c.deleted_at.is_not(None))

api_keys = _table(
    "api_keys",
    _uuid("tenant_id"),
    _uuid("id"),
    _text("name"),
    _text("role"),
    _text("created_by"),
    _at("created_at", nullable=False),
    _at("expires_at"),
    _at("revoked_at"),
    key=("tenant_id", "id"),
)

workflows = _table(
    "workflows",
    _uuid("tenant_id"),
    _uuid("id"),
    _text("key"),
    _text("name"),
    _text("visibility"),
    _text("created_by"),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    _at("deleted_at"),
    Column("latest_number", Integer, comment="newest version, draft or not"),
    Column("published_number", Integer, comment="newest published version"),
    Column("pinned_number", Integer),
    Column("revision", Integer, nullable=False, comment="its count of events: the ETag"),
    key=("tenant_id", "id"),
)
Index("workflows_by_key", workflows.c.tenant_id, workflows.c.key)
Index(
    "workflows_by_time", workflows.c.tenant_id, workflows.c.created_at.desc(), workflows.c.id.desc()
)
Index(
    "workflows_public",
    workflows.c.id,
    postgresql_where=(workflows.c.visibility == "public-read") & workflows.c.deleted_at.is_(None),
)

workflow_versions = _table(
    "workflow_versions",
    _uuid("tenant_id"),
    _uuid("workflow_id"),
    Column("number", Integer, nullable=False),
    _uuid("id"),
    Column("status", Text, nullable=False, comment="draft or published"),
    _text("content_hash"),
    Column("definition", JSON, nullable=False, comment="payload"),
    _text("created_by"),
    _at("created_at", nullable=False),
    _at("published_at"),
    key=("tenant_id", "workflow_id", "number"),
)
Index("workflow_versions_by_id", workflow_versions.c.tenant_id, workflow_versions.c.id)
Index("workflow_versions_by_hash", workflow_versions.c.content_hash)

variables = _table(
    "variables",
    _uuid("tenant_id"),
    _uuid("id"),
    _text("name"),
    Column("value", JSON, nullable=False, comment="payload"),
    _text("description"),
    _text("created_by"),
    _at("created_at", nullable=False),
    _at("updated_at", nullable=False),
    _at("deleted_at"),
    Column("revision", Integer, nullable=False, comment="its count of events: the ETag"),
    key=("tenant_id", "id"),
)
Index("variables_by_name", variables.c.tenant_id, variables.c.name, unique=True)
Index(
    "variables_by_time", variables.c.tenant_id, variables.c.created_at.desc(), variables.c.id.desc()
)

secrets = _table(
    "secrets",
    _uuid("tenant_id"),
    _uuid("id"),
    _text("name"),
    _text("created_by"),
    _at("created_at", nullable=False),
    _text("updated_by"),
    _at("updated_at", nullable=False),
    _at("deleted_at"),
    Column("revision", Integer, nullable=False, comment="its count of events: the ETag"),
    key=("tenant_id", "id"),
)
"""That there are secrets; what they are is in `vault.secrets`."""
Index("secrets_by_name", secrets.c.tenant_id, secrets.c.name, unique=True)
Index("secrets_by_time", secrets.c.tenant_id, secrets.c.created_at.desc(), secrets.c.id.desc())

connections = _table(
    "connections",
    _uuid("tenant_id"),
    _uuid("id"),
    _text("name"),
    _text("type"),
    Column("config", JSON, nullable=False, comment="payload: its public part"),
    _text("created_by"),
    _at("created_at", nullable=False),
    _text("updated_by"),
    _at("updated_at", nullable=False),
    _at("deleted_at"),
    Column("revision", Integer, nullable=False, comment="its count of events: the ETag"),
    key=("tenant_id", "id"),
)
Index("connections_by_name", connections.c.tenant_id, connections.c.name, unique=True)
Index(
    "connections_by_time",
    connections.c.tenant_id,
    connections.c.created_at.desc(),
    connections.c.id.desc(),
)

users = _table(
    "users",
    _uuid("tenant_id"),
    _uuid("id"),
    _text("role"),
    Column("status", Text, nullable=False, comment="invited, active or removed"),
    Column("profile", JSON, nullable=False, comment="payload: {email, name}"),
    _text("created_by"),
    _at("created_at", nullable=False),
    _at("accepted_at"),
    _at("removed_at"),
    key=("tenant_id", "id"),
)
Index("users_by_time", users.c.tenant_id, users.c.created_at.desc(), users.c.id.desc())

event_archive = Table(
    "event_archive",
    metadata,
    _uuid("tenant_id"),
    Column("log", Text, nullable=False, comment="events or registry"),
    Column("seq", BigInteger, nullable=False, comment="stream sequence"),
    Column("kind", Text, nullable=False, comment="of the subject; empty where it is malformed"),
    Column("subject_id", Text, nullable=False, comment="its id; malformed: the whole subject"),
    _at("recorded_at", nullable=False),
    Column("catalogue", SmallInteger, comment="null where the body could not be decoded"),
    Column(
        "body",
        LargeBinary,
        nullable=False,
        comment="the message, byte for byte; empty when kept no more",
    ),
    Column("hash", LargeBinary, nullable=False, comment="on the subject's chain"),
    Column("previous_hash", LargeBinary, nullable=False, comment="on the subject's chain"),
    Column("log_hash", LargeBinary, nullable=False, comment="on the log's chain"),
    Column("tenant_hash", LargeBinary, nullable=False, comment="on the tenant's chain of the log"),
    _text("retention_class"),
    schema=READ_MODELS,
    postgresql_partition_by="LIST (retention_class)",
)
"""The second copy of the log: one row a decision. Partitions: retention class, then month.

Each leaf has a unique index on (tenant_id, log, seq); the moment in the body decides the leaf.
"""
Index("event_archive_by_seq", event_archive.c.log, event_archive.c.seq)
Index(
    "event_archive_by_subject",
    event_archive.c.tenant_id,
    event_archive.c.subject_id,
    event_archive.c.seq,
)

chain_heads = _table(
    "chain_heads",
    _uuid("tenant_id"),
    _text("log"),
    Column("seq", BigInteger, nullable=False),
    Column("decisions", BigInteger, nullable=False, comment="how many the tenant's chain has"),
    Column("hash", LargeBinary, nullable=False),
    key=("tenant_id", "log"),
)
"""The end of each tenant's chain."""

quarantined = _table(
    "quarantined",
    _uuid("tenant_id"),
    _text("log"),
    Column("seq", BigInteger, nullable=False),
    _text("subject"),
    _text("reason"),
    _at("found_at", nullable=False),
    key=("tenant_id", "log", "seq"),
)
"""Messages whose events the rows do not have; later ones on their subjects are only archived."""
Index("quarantined_by_subject", quarantined.c.tenant_id, quarantined.c.subject)

checkpoints = _table(
    "checkpoints",
    Column("log", Text, nullable=False, comment="events or registry"),
    Column("seq", BigInteger, nullable=False, comment="rows hold the log up to here, inclusive"),
    Column("hash", LargeBinary, nullable=False, comment="of the log's chain at seq"),
    _at("updated_at", nullable=False),
    key=("log",),
)
