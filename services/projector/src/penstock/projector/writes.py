"""The changes of a batch as one statement, whatever its size.

Each part takes whole columns (`arrays`) and unnests them. Row security refuses COPY on its tables,
and a temporary table in between costs small batches more than it saves large ones. One statement
is one trip, and commits or fails as a whole, the step of the checkpoint included.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from penstock.domain.run.events import RunStarted
from penstock.infra.nats.subjects import PARTITIONS
from penstock.messages.chains import Head
from penstock.projector import arrays
from penstock.projector.arrays import Packed
from penstock.projector.fold import Changes
from penstock.projector.ids import uuid_bytes, uuid_text
from penstock.projector.memory import LiveRun
from penstock.projector.projections.event_archive import RETENTION, ArchiveRow
from penstock.projector.projections.run_steps import StepRow
from penstock.projector.projections.runs import COUNTERS, Origin

MOVED = """
update penstock.checkpoints set seq = %s, hash = %s, updated_at = now()
where log = %s and seq = %s and hash = %s returning 1
"""

UNMOVED_FAILS = "1 / (select count(*) from moved) as moved"
"""Divides by zero, and so undoes everything, where the checkpoint is not what it was."""


class Part(NamedTuple):
    """What happens to one table; `sql` has `%s` for each parameter.

    rows: how many it must touch; None where that is not known.
    """

    name: str
    sql: str
    parameters: Sequence[Any]
    rows: int | None = None


class Write(NamedTuple):
    """One statement with `$1`, `$2`, … in it.

    It answers one row: how many rows each part of `expected` touched.
    """

    sql: str
    parameters: Sequence[Any]
    expected: dict[str, int]


Columns = dict[str, Packed]


def write(changes: Changes, head: Head) -> Write:
    """Everything but the statements of the registry; `head` is the new checkpoint."""
    before = changes.before
    moved = [head.seq, head.hash, str(changes.log), before.seq, before.hash]
    made = [Part("moved", MOVED, moved), *parts(changes)]
    expected = {part.name: part.rows for part in made if part.rows is not None}
    sql = _combined(tuple((part.name, part.sql) for part in made), tuple(expected))
    return Write(sql, [value for part in made for value in part.parameters], expected)


@lru_cache(maxsize=64)
def _combined(made: tuple[tuple[str, str], ...], counted: tuple[str, ...]) -> str:
    counts = [f"(select count(*) from {name}) as {name}" for name in counted]
    bodies = ",\n".join(f"{name} as ({sql})" for name, sql in made)
    first, *pieces = f"with {bodies}\nselect {', '.join([UNMOVED_FAILS, *counts])}".split("%s")
    return first + "".join(f"${number}{piece}" for number, piece in enumerate(pieces, 1))


def parts(changes: Changes) -> Iterator[Part]:
    """What happens to each table; those that nothing happens to are left out."""
    yield _inserted("event_archive", archive_columns(changes))
    runs = list(changes.runs.values())
    if born := [run for run in runs if not run.is_stored]:
        yield _inserted("runs", run_columns(born), arrays_of_texts=("tags", "sinks"))
        if any(_origin(run).started.tags for run in born):
            yield _inserted("run_tags", tag_columns(born))
    if known := [run for run in runs if run.is_stored]:
        yield _updated("runs", _of_runs(known), ("tenant_id", "id"), len(known))
    steps = [(run, run.steps[step_id]) for run in runs for step_id in run.changed]
    if new := [(run, step) for run, step in steps if not step.is_stored]:
        yield _inserted("run_steps", step_columns(new))
    if old := [(run, step) for run, step in steps if step.is_stored]:
        yield _updated("run_steps", step_columns(old), STEP_KEY, len(old))
    if any(run.edges for run in runs):
        yield _told(runs)
    yield _heads_moved(changes)
    if changes.quarantined:
        yield _quarantined(changes)


def archive_columns(changes: Changes) -> Columns:
    """The messages themselves."""
    rows: list[ArchiveRow] = changes.archive
    log, count = str(changes.log), len(rows)
    return {
        "tenant_id": arrays.uuids([row.entry.tenant for row in rows]),
        "log": arrays.texts([log] * count),
        "seq": arrays.bigints([row.entry.seq for row in rows]),
        "kind": arrays.texts([row.entry.kind for row in rows]),
        "subject_id": arrays.texts([row.entry.subject_id for row in rows]),
        "recorded_at": arrays.moments([row.recorded_at for row in rows]),
        "catalogue": arrays.ints([row.catalogue for row in rows]),
        "body": arrays.byteas([row.entry.body for row in rows]),
        "hash": arrays.byteas([row.hash for row in rows]),
        "previous_hash": arrays.byteas([row.previous_hash for row in rows]),
        "log_hash": arrays.byteas([row.log_hash for row in rows]),
        "tenant_hash": arrays.byteas([row.tenant_hash for row in rows]),
        "retention_class": arrays.texts([RETENTION[changes.log]] * count),
    }


def run_columns(runs: Sequence[LiveRun]) -> Columns:
    """Runs that the table does not have."""
    origins = [_origin(run) for run in runs]
    started = [origin.started for origin in origins]
    return {
        **_of_runs(runs),
        "workflow_id": arrays.uuids([origin.workflow_id for origin in origins]),
        "workflow_name": arrays.texts([event.workflow_name for event in started]),
        "version": arrays.ints([event.version for event in started]),
        "definition": arrays.texts([event.definition for event in started]),
        "trigger": arrays.texts([event.trigger for event in started]),
        "tags": arrays.texts([arrays.literal(event.tags) for event in started]),
        "priority": arrays.ints([event.priority for event in started]),
        "created_at": arrays.moments([_created_at(origin) for origin in origins]),
        "input": arrays.jsons([_json(event.input) for event in started]),
        "parent_run_id": arrays.uuids_or_null([_parent_run(event) for event in started]),
        "parent_step_id": arrays.texts([e.parent.step_id if e.parent else None for e in started]),
        "forked_from": arrays.jsons([_json(event.forked_from) for event in started]),
        "request_hash": arrays.texts([event.request_hash for event in started]),
        "correlation_id": arrays.texts([origin.correlation_id for origin in origins]),
        "traceparent": arrays.texts([origin.traceparent for origin in origins]),
        "partition": arrays.ints([_partition(run) for run in runs]),
    }


def tag_columns(runs: Sequence[LiveRun]) -> Columns:
    """A row for each tag of each run."""
    tagged = [(run, origin, tag) for run in runs for origin, tag in _tags(run)]
    return {
        "tenant_id": arrays.uuids([run.tenant for run, _, _ in tagged]),
        "tag": arrays.texts([tag for _, _, tag in tagged]),
        "created_at": arrays.moments([_created_at(origin) for _, origin, _ in tagged]),
        "run_id": arrays.uuids([run.id for run, _, _ in tagged]),
    }


def step_columns(steps: Sequence[tuple[LiveRun, StepRow]]) -> Columns:
    """Steps with all their columns; null payloads of known rows mean no change."""
    rows = [row for _, row in steps]
    return {
        "tenant_id": arrays.uuids([run.tenant for run, _ in steps]),
        "run_id": arrays.uuids([run.id for run, _ in steps]),
        "step_id": arrays.texts([row.step_id for row in rows]),
        "status": arrays.texts([row.status for row in rows]),
        "attempt": arrays.ints([row.attempt for row in rows]),
        "ready_at": arrays.moments([row.ready_at for row in rows]),
        "started_at": arrays.moments([row.started_at for row in rows]),
        "attempt_started_at": arrays.moments([row.attempt_started_at for row in rows]),
        "finished_at": arrays.moments([row.finished_at for row in rows]),
        "wake_at": arrays.moments([row.wake_at for row in rows]),
        "executor_id": arrays.texts([row.executor_id for row in rows]),
        "branch": arrays.texts([row.branch for row in rows]),
        "input": _jsons([row.input for row in rows]),
        "output": _jsons([row.output for row in rows]),
        "error": _jsons([row.error for row in rows]),
        "attempts": _jsons([row.attempts or None for row in rows]),
        "edges": _jsons([row.edges for row in rows]),
        "items": _jsons([row.items for row in rows]),
        "loop": _jsons([row.loop for row in rows]),
    }


def _told(runs: Sequence[LiveRun]) -> Part:
    """Steps that had ended before anybody knew what their edges come to."""
    told = [(run, step_id, edges) for run in runs for step_id, edges in run.edges.items()]
    columns = {
        "tenant_id": arrays.uuids([run.tenant for run, _, _ in told]),
        "run_id": arrays.uuids([run.id for run, _, _ in told]),
        "step_id": arrays.texts([step_id for _, step_id, _ in told]),
        "edges": arrays.jsons([_json(edges) for _, _, edges in told]),
    }
    return _updated("run_steps", columns, STEP_KEY, len(told))._replace(name="told_run_steps")


STEP_KEY = ("tenant_id", "run_id", "step_id")
KEPT = {
    "runs": frozenset({"started_at", "deadline_at", "output", "error", "sinks", "is_keyed"}),
    "run_steps": frozenset({"input", "output", "error", "attempts", "edges", "items"}),
}
"""Columns that are written once: null says that they stay."""


def _of_runs(runs: Sequence[LiveRun]) -> Columns:
    """The columns of runs that change, and their keys."""
    rows = [run.row for run in runs]
    sinks = [None if row.sinks is None else arrays.literal(row.sinks) for row in rows]
    return {
        "tenant_id": arrays.uuids([run.tenant for run in runs]),
        "id": arrays.uuids([run.id for run in runs]),
        "status": arrays.texts([row.status for row in rows]),
        "started_at": arrays.moments([row.started_at for row in rows]),
        "deadline_at": arrays.moments([row.deadline_at for row in rows]),
        "finished_at": arrays.moments([row.finished_at for row in rows]),
        "total": arrays.ints([row.total for row in rows]),
        "evaluating": arrays.ints([row.evaluating for row in rows]),
        **{
            name: arrays.ints([run.counts[index] for run in runs])
            for index, name in enumerate(COUNTERS)
        },
        "output": _jsons([row.output for row in rows]),
        "sinks": arrays.texts(sinks),
        "is_keyed": arrays.bools([row.is_keyed for row in rows]),
        "error": _jsons([row.error for row in rows]),
        "is_quarantined": arrays.bools([row.is_quarantined for row in rows]),
        "last_seq": arrays.bigints([row.last_seq for row in rows]),
    }


def _heads_moved(changes: Changes) -> Part:
    heads = changes.tenants
    columns: Columns = {
        "tenant_id": arrays.uuids(list(heads)),
        "log": arrays.texts([str(changes.log)] * len(heads)),
        "seq": arrays.bigints([head.seq for head in heads.values()]),
        "decisions": arrays.bigints([head.decisions for head in heads.values()]),
        "hash": arrays.byteas([head.hash for head in heads.values()]),
    }
    insert = _inserted("chain_heads", columns)
    return insert._replace(
        sql=f"{insert.sql} on conflict (tenant_id, log) do update set "
        "seq = excluded.seq, decisions = excluded.decisions, hash = excluded.hash"
    )


def _quarantined(changes: Changes) -> Part:
    found = changes.quarantined
    when = {row.entry.seq: row.recorded_at for row in changes.archive}
    columns: Columns = {
        "tenant_id": arrays.uuids([each.tenant for each in found]),
        "log": arrays.texts([str(changes.log)] * len(found)),
        "seq": arrays.bigints([each.seq for each in found]),
        "subject": arrays.texts([each.subject for each in found]),
        "reason": arrays.texts([each.reason for each in found]),
        "found_at": arrays.moments([when[each.seq] for each in found]),
    }
    return _inserted("quarantined", columns)


def _inserted(table: str, columns: Columns, *, arrays_of_texts: tuple[str, ...] = ()) -> Part:
    sql = _insertion(table, tuple(columns), arrays_of_texts)
    return Part(f"new_{table}", sql, list(columns.values()))


@lru_cache(maxsize=64)
def _insertion(table: str, columns: tuple[str, ...], arrays_of_texts: tuple[str, ...]) -> str:
    names = ", ".join(columns)
    cast = {name: f"u.{name}::text[]" for name in arrays_of_texts}
    chosen = ", ".join(cast.get(name, f"u.{name}") for name in columns)
    return (
        f"insert into penstock.{table} ({names}) "
        f"select {chosen} from unnest({_marks(columns)}) as u({names})"
    )


def _updated(table: str, columns: Columns, key: tuple[str, ...], rows: int) -> Part:
    sql = _change(table, tuple(columns), key)
    return Part(f"changed_{table}", sql, list(columns.values()), rows)


@lru_cache(maxsize=64)
def _change(table: str, columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    changed = [name for name in columns if name not in key]
    changes = ", ".join(f"{name} = {_kept(table, name)}" for name in changed)
    same = " and ".join(f"t.{name} = u.{name}" for name in key)
    return (
        f"update penstock.{table} as t set {changes} "
        f"from unnest({_marks(columns)}) as u({', '.join(columns)}) where {same} returning 1"
    )


def _marks(columns: Iterable[str]) -> str:
    return ", ".join("%s" for _ in columns)


def _kept(table: str, name: str) -> str:
    given = "u.sinks::text[]" if name == "sinks" else f"u.{name}"
    return f"coalesce({given}, t.{name})" if name in KEPT[table] else given


def _origin(run: LiveRun) -> Origin:
    assert run.row.origin is not None, "a run that is not stored has its origin"
    return run.row.origin


def _created_at(origin: Origin) -> int:
    """When the run was asked for; where that is no moment, when it was accepted."""
    asked = origin.started.created_at
    return asked if 0 < asked < arrays.MS_MAX else origin.recorded_at


def _parent_run(started: RunStarted) -> bytes | None:
    return None if started.parent is None else uuid_bytes(started.parent.run_id)


def _tags(run: LiveRun) -> Iterator[tuple[Origin, str]]:
    origin = _origin(run)
    return ((origin, tag) for tag in dict.fromkeys(origin.started.tags))


def _partition(run: LiveRun) -> int:
    return crc32(uuid_text(run.id).encode()) % PARTITIONS


def _json(value: object) -> bytes | None:
    return None if value is None else msgspec.json.encode(value)


def _jsons(values: Sequence[object]) -> Packed:
    """Values as JSON texts; most columns of most steps have none."""
    return arrays.jsons([None if value is None else msgspec.json.encode(value) for value in values])
