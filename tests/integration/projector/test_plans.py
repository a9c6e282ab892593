"""Lists are read from an index in their order, and the scheduler finds live runs by partition."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.conftest import with_login

TENANT = "0190a000-0000-7000-8000-000000000001"
MANY = 20_000
LARGE = 100
"""Rows; an empty partition may be read whole, and a run's few steps sorted."""

FILL_RUNS = """
insert into penstock.runs (tenant_id, id, workflow_id, workflow_name, version, definition, status,
    trigger, tags, priority, created_at, started_at, input, request_hash, correlation_id,
    traceparent, partition, last_seq)
select case when n %% 2 = 0 then %s::uuid else '0190a000-0000-7000-8000-000000000002' end,
    gen_random_uuid(), ('00000000-0000-0000-0000-' || lpad((n %% 50)::text, 12, '0'))::uuid,
    'w', 1, 'd', (array['succeeded', 'failed', 'succeeded', 'cancelled', 'running'])[1 + n %% 5],
    (array['api', 'schedule', 'webhook'])[1 + n %% 3], '{}', 0,
    timestamptz '2026-11-01' + n * interval '1 second', now(), '{}', '', '', '', n %% 16, n
from generate_series(1, %s) n
"""

FILL_TAGS = """
insert into penstock.run_tags
select tenant_id, 'tag' || abs(hashtext(id::text)) % 100, created_at, id from penstock.runs
"""

FILL_STEPS = """
insert into penstock.run_steps (tenant_id, run_id, step_id, status, attempt)
select tenant_id, id, 's' || n, 'succeeded', 1 from penstock.runs, generate_series(1, 3) n
"""

FILL_ARCHIVE = """
insert into penstock.event_archive
select tenant_id, 'events', row_number() over (), 'run', id::text,
    timestamptz '2026-11-15', 1, '', '', '', '', '', 'standard' from penstock.runs
"""

BEFORE = "(created_at, id) < ('2026-11-01T02:00:00Z', gen_random_uuid())"
NEWEST = "order by created_at desc, id desc limit 50"
WORKFLOW = "'00000000-0000-0000-0000-000000000007'"

LISTS = {
    f"select * from penstock.runs where {BEFORE} {NEWEST}": "runs_by_time",
    f"select * from penstock.runs where status = 'failed' and {BEFORE} {NEWEST}": "runs_by_status",
    f"select * from penstock.runs where workflow_id = {WORKFLOW} and {BEFORE} {NEWEST}": (
        "runs_by_workflow"
    ),
    f"select * from penstock.runs where trigger = 'webhook' and {BEFORE} {NEWEST}": (
        "runs_by_trigger"
    ),
    (
        "select r.* from penstock.run_tags t join penstock.runs r "
        "on r.tenant_id = t.tenant_id and r.id = t.run_id where t.tag = 'tag7' "
        "and (t.created_at, t.run_id) < ('2026-11-01T02:00:00Z', gen_random_uuid()) "
        "order by t.created_at desc, t.run_id desc limit 50"
    ): "run_tags_pkey",
    "select * from penstock.run_steps where run_id = gen_random_uuid() order by step_id": (
        "run_steps_pkey"
    ),
    (
        "select seq, body from penstock.event_archive where subject_id = 'x' and seq > 17 "
        "order by seq limit 100"
    ): "subject_id_seq",
    (
        "select seq, body from penstock.event_archive where log = 'events' and seq > 17 "
        "order by seq limit 100"
    ): "seq",
}


@pytest.fixture(scope="module")
def filled(own_database: str) -> Iterator[str]:
    tables = "penstock.runs, penstock.run_tags, penstock.run_steps, penstock.event_archive"
    with psycopg.connect(own_database, autocommit=True) as owner:
        owner.execute(f"truncate {tables}".encode())
        owner.execute("select penstock.add_archive_partition('standard', '2026-11-01')")
        owner.execute("select penstock.add_archive_partition('standard', '2026-12-01')")
        owner.execute(FILL_RUNS.encode(), [TENANT, MANY])
        for fill in (FILL_TAGS, FILL_STEPS, FILL_ARCHIVE):
            owner.execute(fill.encode())
        owner.execute(f"analyze {tables}".encode())
        yield own_database
        owner.execute(f"truncate {tables}".encode())


def plan(connection: psycopg.Connection[Any], query: str) -> list[dict[str, Any]]:
    """All nodes of the plan."""
    row = connection.execute(f"explain (format json) {query}".encode()).fetchone()
    assert row is not None
    answer = row[0] if isinstance(row[0], list) else json.loads(row[0])
    found, waiting = [], [answer[0]["Plan"]]
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += node.get("Plans", [])
    return found


@pytest.mark.parametrize("query", LISTS)
def test_a_list_is_read_from_its_index_in_order(
    filled: str, role_passwords: dict[str, str], query: str
) -> None:
    url = with_login(filled, "penstock_api", role_passwords["penstock_api"])
    with psycopg.connect(url) as api:
        api.execute("select set_config('app.tenant', %s, true)", [TENANT])
        nodes = plan(api, query)
    large = {node["Node Type"] for node in nodes if node["Plan Rows"] > LARGE}
    assert not large & {"Seq Scan", "Sort", "Incremental Sort", "Hash Join"}, large
    assert any(LISTS[query] in node.get("Index Name", "") for node in nodes)


def test_live_runs_of_a_partition_are_found_without_the_finished_ones(
    filled: str, role_passwords: dict[str, str]
) -> None:
    url = with_login(filled, "penstock_scheduler", role_passwords["penstock_scheduler"])
    with psycopg.connect(url) as scheduler:
        live = "('queued', 'running', 'paused', 'waiting')"
        nodes = plan(
            scheduler,
            "select tenant_id, id, definition from penstock.runs "
            f"where partition = 3 and status in {live}",
        )
    assert {node.get("Index Name") for node in nodes} - {None} == {"runs_live"}
