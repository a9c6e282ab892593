"""The read models, the archive, the vault, and who may do what with them.

Pre-deploy: everything is new.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

OWN_TENANT = "tenant_id = nullif(current_setting('app.tenant', true), '')::uuid"

RUNS = """
create table penstock.runs (
    tenant_id uuid not null,
    id uuid not null,
    workflow_id uuid not null,
    workflow_name text not null,
    version integer not null,
    definition text not null,
    status text not null,
    trigger text not null,
    tags text[] not null,
    priority integer not null,
    created_at timestamptz not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    deadline_at timestamptz,
    total integer,
    succeeded integer not null default 0,
    failed integer not null default 0,
    skipped integer not null default 0,
    cancelled integer not null default 0,
    running integer not null default 0,
    waiting integer not null default 0,
    input json not null,
    output json,
    sinks text[],
    is_keyed boolean,
    error json,
    parent_run_id uuid,
    forked_from json,
    request_hash text not null,
    correlation_id text not null,
    traceparent text not null,
    partition smallint not null,
    is_quarantined boolean not null default false,
    last_seq bigint not null,
    constraint runs_pkey primary key (tenant_id, id)
) with (fillfactor = 80);
comment on column penstock.runs.definition is 'content hash of the version';
comment on column penstock.runs.total is 'nodes of the definition; null while that is unknown';
comment on column penstock.runs.failed is 'and timed out';
comment on column penstock.runs.input is 'payload';
comment on column penstock.runs.output is 'payload, where the definition has an output template';
comment on column penstock.runs.sinks is 'steps whose outputs make the output';
comment on column penstock.runs.is_keyed is 'whether that output is an object by step id';
comment on column penstock.runs.error is 'RunError';
comment on column penstock.runs.forked_from is '{runId, position}';
comment on column penstock.runs.last_seq is 'of the last decision in this row';
create index runs_by_time on penstock.runs (tenant_id, created_at desc, id desc);
create index runs_by_status on penstock.runs (tenant_id, status, created_at desc, id desc);
create index runs_by_workflow on penstock.runs (tenant_id, workflow_id, created_at desc, id desc);
create index runs_by_trigger on penstock.runs (tenant_id, trigger, created_at desc, id desc);
create index runs_live on penstock.runs (partition, tenant_id, id)
    where status in ('queued', 'running', 'paused', 'waiting');

create table penstock.run_tags (
    tenant_id uuid not null,
    tag text not null,
    created_at timestamptz not null,
    run_id uuid not null,
    constraint run_tags_pkey primary key (tenant_id, tag, created_at, run_id)
);
"""

STEPS = """
create table penstock.run_steps (
    tenant_id uuid not null,
    run_id uuid not null,
    step_id text not null,
    status text not null,
    attempt integer not null,
    ready_at timestamptz,
    started_at timestamptz,
    attempt_started_at timestamptz,
    finished_at timestamptz,
    wake_at timestamptz,
    executor_id text,
    branch text,
    input json,
    output json,
    error json,
    attempts json,
    constraint run_steps_pkey primary key (tenant_id, run_id, step_id)
) with (fillfactor = 80);
comment on column penstock.run_steps.step_id is 'path';
comment on column penstock.run_steps.status is 'as http-api names it; dispatched is ready';
comment on column penstock.run_steps.attempt is 'the last one''s number; 0 before the first';
comment on column penstock.run_steps.started_at is 'the first attempt''s';
comment on column penstock.run_steps.attempt_started_at is 'the last attempt''s';
comment on column penstock.run_steps.wake_at is 'while waiting or retrying: until when';
comment on column penstock.run_steps.executor_id is 'the last attempt''s';
comment on column penstock.run_steps.input is 'payload; null where the input rule applies';
comment on column penstock.run_steps.output is 'payload';
comment on column penstock.run_steps.error is 'StepError that settled the step';
comment on column penstock.run_steps.attempts is 'attempts before the last: [{attempt, status, '
    'executorId, startedAt, finishedAt, error}], times in ms; null for none';
"""

REGISTRY = """
create table penstock.tenants (
    tenant_id uuid not null,
    name text not null,
    config json not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    constraint tenants_pkey primary key (tenant_id)
);

create table penstock.api_keys (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    role text not null,
    created_by text not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    constraint api_keys_pkey primary key (tenant_id, id)
);

create table penstock.workflows (
    tenant_id uuid not null,
    id uuid not null,
    key text not null,
    name text not null,
    visibility text not null,
    created_by text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    latest_number integer,
    published_number integer,
    pinned_number integer,
    revision integer not null,
    constraint workflows_pkey primary key (tenant_id, id)
);
comment on column penstock.workflows.latest_number is 'newest version, draft or not';
comment on column penstock.workflows.published_number is 'newest published version';
comment on column penstock.workflows.revision is 'its count of events: the ETag';
create index workflows_by_key on penstock.workflows (tenant_id, key);
create index workflows_by_time on penstock.workflows (tenant_id, created_at desc, id desc);

create table penstock.workflow_versions (
    tenant_id uuid not null,
    workflow_id uuid not null,
    number integer not null,
    id uuid not null,
    status text not null,
    content_hash text not null,
    definition json not null,
    created_by text not null,
    created_at timestamptz not null,
    published_at timestamptz,
    constraint workflow_versions_pkey primary key (tenant_id, workflow_id, number)
);
comment on column penstock.workflow_versions.status is 'draft or published';
comment on column penstock.workflow_versions.definition is 'payload';
create index workflow_versions_by_id on penstock.workflow_versions (tenant_id, id);
create index workflow_versions_by_hash on penstock.workflow_versions (content_hash);
"""

LOG = """
create table penstock.event_archive (
    tenant_id uuid not null,
    log text not null,
    seq bigint not null,
    kind text not null,
    subject_id text not null,
    recorded_at timestamptz not null,
    catalogue smallint,
    body bytea not null,
    hash bytea not null,
    previous_hash bytea not null,
    log_hash bytea not null,
    tenant_hash bytea not null,
    retention_class text not null
) partition by list (retention_class);
comment on column penstock.event_archive.log is 'events or registry';
comment on column penstock.event_archive.seq is 'stream sequence';
comment on column penstock.event_archive.kind is 'of the subject; empty where it is malformed';
comment on column penstock.event_archive.subject_id is 'its id; malformed: the whole subject';
comment on column penstock.event_archive.catalogue is 'null where the body could not be decoded';
comment on column penstock.event_archive.body is 'the message, byte for byte';
comment on column penstock.event_archive.hash is 'on the subject''s chain';
comment on column penstock.event_archive.previous_hash is 'on the subject''s chain';
comment on column penstock.event_archive.log_hash is 'on the log''s chain';
comment on column penstock.event_archive.tenant_hash is 'on the tenant''s chain of the log';
create index event_archive_by_seq on penstock.event_archive (log, seq);
create index event_archive_by_subject on penstock.event_archive (tenant_id, subject_id, seq);

create table penstock.chain_heads (
    tenant_id uuid not null,
    log text not null,
    seq bigint not null,
    decisions bigint not null,
    hash bytea not null,
    constraint chain_heads_pkey primary key (tenant_id, log)
) with (fillfactor = 50);
comment on column penstock.chain_heads.decisions is 'how many the tenant''s chain has';

create table penstock.quarantined (
    tenant_id uuid not null,
    log text not null,
    seq bigint not null,
    subject text not null,
    reason text not null,
    found_at timestamptz not null,
    constraint quarantined_pkey primary key (tenant_id, log, seq)
);
create index quarantined_by_subject on penstock.quarantined (tenant_id, subject);

create table penstock.checkpoints (
    log text not null,
    seq bigint not null,
    hash bytea not null,
    updated_at timestamptz not null,
    constraint checkpoints_pkey primary key (log)
) with (fillfactor = 50);
comment on column penstock.checkpoints.log is 'events or registry';
comment on column penstock.checkpoints.seq is 'rows hold the log up to here, inclusive';
comment on column penstock.checkpoints.hash is 'of the log''s chain at seq';
insert into penstock.checkpoints (log, seq, hash, updated_at)
select log, 0, decode(repeat('00', 32), 'hex'), now() from unnest(array['events', 'registry']) log;
"""

VAULT = """
create table vault.api_keys (
    tenant_id uuid not null,
    id uuid not null,
    hash bytea not null,
    role text not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    constraint api_keys_pkey primary key (tenant_id, id)
);
create index vault_api_keys_by_id on vault.api_keys (id);
"""

FUNCTIONS = """
create function vault.find_api_key(key_id uuid)
returns table (tenant_id uuid, id uuid, hash bytea, role text, expires_at timestamptz,
               revoked_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select k.tenant_id, k.id, k.hash, k.role, k.expires_at, k.revoked_at
    from vault.api_keys k where k.id = key_id;
end;

create function penstock.list_tenants(
    before_created_at timestamptz, before_id uuid, at_most integer)
returns setof penstock.tenants
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
    select t.* from penstock.tenants t
    where t.deleted_at is null
      and (before_created_at is null
           or (t.created_at, t.tenant_id) < (before_created_at, before_id))
    order by t.created_at desc, t.tenant_id desc
    limit least(at_most, 201);
end;

create function penstock.add_archive_partition(class text, month date) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $body$
declare
    branch text := 'event_archive_' || class;
    leaf text := branch || to_char(month, '_YYYY_MM');
    first date := date_trunc('month', month);
begin
    if class !~ '^[a-z0-9]{1,24}$' then
        raise exception 'not a retention class: %', class;
    end if;
    perform pg_advisory_xact_lock(hashtext('penstock.add_archive_partition'));
    if to_regclass(format('penstock.%I', branch)) is null then
        execute format(
            'create table penstock.%I partition of penstock.event_archive for values in (%L) '
            'partition by range (recorded_at)', branch, class);
        perform penstock.secure_archive(branch);
    end if;
    if to_regclass(format('penstock.%I', leaf)) is null then
        execute format('create table penstock.%I (like penstock.event_archive)', leaf);
        execute format('alter table penstock.%I attach partition penstock.%I '
                       'for values from (%L) to (%L)',
                       branch, leaf, first::timestamp at time zone 'UTC',
                       (first + interval '1 month')::timestamp at time zone 'UTC');
        execute format('create unique index on penstock.%I (tenant_id, log, seq)', leaf);
        perform penstock.secure_archive(leaf);
    end if;
end $body$;

create function penstock.secure_archive(partition_name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
    execute format('alter table penstock.%I enable row level security', partition_name);
    execute format('alter table penstock.%I force row level security', partition_name);
    execute format('create policy owner on penstock.%I to %I using (true) with check (true)',
                   partition_name, current_user);
end $body$;

revoke all on all functions in schema penstock, vault from public;
grant execute on function vault.find_api_key(uuid) to penstock_api;
grant execute on function penstock.list_tenants(timestamptz, uuid, integer) to penstock_api;
grant execute on function penstock.add_archive_partition(text, date) to penstock_projector;
"""

TENANT_TABLES = (
    "penstock.runs",
    "penstock.run_tags",
    "penstock.run_steps",
    "penstock.tenants",
    "penstock.api_keys",
    "penstock.workflows",
    "penstock.workflow_versions",
    "penstock.event_archive",
    "penstock.chain_heads",
    "penstock.quarantined",
    "vault.api_keys",
)

APPEND_ONLY = ("penstock.event_archive", "penstock.quarantined")

SCHEDULER_READS = {
    "penstock.runs": "tenant_id, id, definition, status, partition, created_at, deadline_at, "
    "is_quarantined, last_seq",
    "penstock.workflow_versions": "tenant_id, id, content_hash, definition",
    "penstock.event_archive": "tenant_id, log, seq, kind, subject_id, recorded_at, catalogue, "
    "body, hash, previous_hash, retention_class",
}


def upgrade() -> None:
    """Make everything."""
    op.execute("create schema vault")
    op.execute("grant usage on schema penstock to penstock_projector, penstock_scheduler")
    op.execute("grant usage on schema penstock, vault to penstock_api")
    for tables in (RUNS, STEPS, REGISTRY, LOG, VAULT):
        op.execute(tables)
    for table in TENANT_TABLES:
        secure(table)
    for table, columns in SCHEDULER_READS.items():
        op.execute(f"grant select ({columns}) on {table} to penstock_scheduler")
        op.execute(
            f"create policy scheduler on {table} for select to penstock_scheduler using (true)"
        )
    op.execute("grant select, insert, update on penstock.checkpoints to penstock_projector")
    op.execute("grant select on penstock.checkpoints, penstock.alembic_version to public")
    op.execute(FUNCTIONS)
    op.execute("select penstock.add_archive_partition('standard', now()::date)")
    op.execute("select penstock.add_archive_partition('permanent', now()::date)")


def secure(table: str) -> None:
    """Row security, also for the owner; the API sees one tenant, the projector writes for all."""
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(f"create policy owner on {table} to current_user using (true) with check (true)")
    rights = "select, insert, update, delete" if table.startswith("vault.") else "select"
    op.execute(f"grant {rights} on {table} to penstock_api")
    op.execute(
        f"create policy tenant on {table} to penstock_api "
        f"using ({OWN_TENANT}) with check ({OWN_TENANT})"
    )
    if table.startswith("vault."):
        return
    writes = "insert" if table in APPEND_ONLY else "insert, update, delete"
    op.execute(f"grant select, {writes} on {table} to penstock_projector")
    op.execute(
        f"create policy projector on {table} to penstock_projector using (true) with check (true)"
    )


def downgrade() -> None:
    """Forget everything; the log has all but the vault."""
    op.execute("drop schema vault cascade")
    op.execute("drop schema penstock cascade")
