"""A batch of entries to the changes it makes: each row once, however often the batch touches it.

Pure but for `Memory`, which it moves forward; what it needs to find there is named by `wanted`.
"""

from collections.abc import Sequence
from typing import Any, get_args

from msgspec import DecodeError, Struct
from msgspec.structs import replace

from penstock.domain.run.events import RunForked, RunStarted, StepSucceeded
from penstock.domain.run.paths import iteration_of, scope_of
from penstock.domain.tenant.events import TenantDeleted, TenantErased
from penstock.messages.catalogue import RUN, TENANT
from penstock.messages.chains import Broken, Head, checked_previous, link, message_hash
from penstock.messages.envelope import NO_HASH, Cause, Decision
from penstock.projector.entry import Entry, Log
from penstock.projector.ids import uuid_bytes
from penstock.projector.memory import LiveRun, Memory
from penstock.projector.projections.evaluations import edges_of, evaluated
from penstock.projector.projections.event_archive import ArchiveRow, place_statement
from penstock.projector.projections.forks import kept
from penstock.projector.projections.registry import registry_statements
from penstock.projector.projections.run_steps import (
    StepRow,
    counting,
    evaluating,
    is_stirring,
    step_after,
)
from penstock.projector.projections.runs import (
    COUNTED,
    WAITING,
    Origin,
    RunEvent,
    RunStatus,
    born,
    run_after,
    standing,
)
from penstock.projector.projections.statements import Statement

OF_THE_RUN = frozenset(get_args(RunEvent))
"""Events about the run itself; all others are about one of its steps."""


class Wanted(Struct, frozen=True):
    """What a batch needs in memory that is not there: entries by subject, and ids."""

    heads: dict[str, Entry]
    runs: dict[str, Entry]
    tenants: set[bytes]
    definitions: dict[str, str]
    states: set[str]

    def __bool__(self) -> bool:
        return bool(self.heads or self.runs or self.tenants or self.definitions or self.states)


class Quarantine(Struct, frozen=True):
    """A message that the rows do not have."""

    tenant: bytes
    seq: int
    subject: str
    reason: str


class Changes:
    """What one batch changes. ended: tenants that were deleted, or of which nothing is left."""

    def __init__(self, log: Log, before: Head) -> None:
        self.log = log
        self.before = before
        self.archive: list[ArchiveRow] = []
        self.runs: dict[str, LiveRun] = {}
        self.tenants: dict[bytes, Head] = {}
        self.statements: list[Statement] = []
        self.quarantined: list[Quarantine] = []
        self.ended: set[bytes] = set()


def wanted(batch: Sequence[Entry], memory: Memory) -> Wanted:
    """What must be read before `fold`.

    A run that says that it begins has no row and no earlier message; should that be wrong, the
    insertion of its row fails.
    """
    found = Wanted({}, {}, set(), {}, set())
    begun: set[str] = set()
    for entry in batch:
        subject, decision = entry.subject, entry.decision
        if entry.tenant not in memory.tenants:
            found.tenants.add(entry.tenant)
        if (state := entry.state) is not None and state.blob is not None:
            found.states.add(state.blob)
        if subject in begun:
            continue
        first = entry.beginning
        if first is not None and subject not in memory.runs:
            begun.add(subject)
            if first.definition not in memory.sizes:
                found.definitions[first.definition] = entry.subject.split(".")[2]
            if decision is not None and decision.previous_hash == NO_HASH:
                continue
        elif entry.kind == RUN and subject not in memory.runs:
            found.runs.setdefault(subject, entry)
        if subject not in memory.heads:
            found.heads.setdefault(subject, entry)
    return found


def fold(batch: Sequence[Entry], memory: Memory, log: Log, *, now_ms: int) -> Changes:
    """The changes of a batch; raises Broken where the log does not hang together.

    now_ms: the moment that a message gets which says none.
    """
    changes = Changes(log, memory.head)
    for entry in batch:
        _archive(entry, memory, changes, now_ms)
        if log is Log.REGISTRY:
            changes.statements.append(place_statement(entry))
        problem = entry.flaw
        if entry.decision is not None:
            if isinstance(entry.decision, Decision):
                problem = _project_run(entry, entry.decision, memory, changes)
            elif entry.kind == TENANT or entry.tenant not in memory.deleted:
                changes.statements += registry_statements(entry, entry.decision)
                _note_end(entry.tenant, entry.decision.events, memory, changes)
        if problem and entry.tenant not in memory.erased:
            _quarantine(entry, problem, memory, changes)
    return changes


def _archive(entry: Entry, memory: Memory, changes: Changes, now_ms: int) -> None:
    """Continue the chains and the archive by one message."""
    head, subject, seq = memory.head, entry.subject, entry.seq
    if seq != head.seq + 1:
        raise Broken(f"{entry.log} goes on with {seq} after {head.seq}")
    expected = memory.heads.get(subject)
    decision = entry.decision
    if decision is None:
        previous = expected.hex() if expected is not None else NO_HASH
    else:
        previous = decision.previous_hash
        checked_previous(expected, previous, seq=seq, subject=subject)
    own = message_hash(previous, entry.body)
    name = subject.encode()
    memory.heads[subject] = own
    memory.head = Head(seq, head.decisions + 1, link(head.hash, seq, own, name))
    before = memory.tenants.get(entry.tenant) or Head()
    tenant = Head(seq, before.decisions + 1, link(before.hash, seq, own, name))
    memory.tenants[entry.tenant] = changes.tenants[entry.tenant] = tenant
    changes.archive.append(
        ArchiveRow(
            entry,
            decision.at if decision is not None else now_ms,
            decision.catalogue if decision is not None else None,
            own,
            bytes.fromhex(previous) if expected is None else expected,
            memory.head.hash,
            tenant.hash,
        )
    )


def _project_run(entry: Entry, decision: Decision, memory: Memory, changes: Changes) -> str:
    """Apply a run's decision to its rows; what is wrong with it, else an empty text."""
    live = memory.runs.get(entry.subject)
    events = decision.events
    begins = entry.beginning
    if is_only_archived(entry, memory, has_row=live is not None or begins is not None):
        memory.runs.pop(entry.subject, None)
        return ""
    if begins is not None:
        if live is not None:
            return "the run begins twice"
        workflow_id = uuid_bytes(begins.workflow_id)
        if workflow_id is None:
            return "the workflow's id is no UUID"
        live = _new_run(entry, decision, begins, workflow_id, memory)
        memory.runs[entry.subject] = live
    if live is None:
        return "the run has no beginning"
    if live.row.is_quarantined:
        return ""
    changes.runs[entry.subject] = live
    problem = _apply(live, events, decision.at, memory)
    status = standing(live.row, stirring=live.stirring, waiting=live.counts[WAITING])
    live.row = replace(live.row, status=status, last_seq=entry.seq)
    return problem


def is_only_archived(entry: Entry, memory: Memory, *, has_row: bool) -> bool:
    """Whether a message of a run changes no row, because the tenant was deleted.

    As long as anything of the tenant is left, runs that live have rows: by these schedulers find
    them, and end them.
    """
    return entry.tenant in memory.erased or (entry.tenant in memory.deleted and not has_row)


def _note_end(tenant: bytes, events: Sequence[Any], memory: Memory, changes: Changes) -> None:
    """Take in that a tenant is deleted, or that nothing of it is left."""
    for event in events:
        if isinstance(event, TenantDeleted | TenantErased):
            (memory.deleted if isinstance(event, TenantDeleted) else memory.erased).add(tenant)
            changes.ended.add(tenant)


def _new_run(
    entry: Entry, decision: Decision, started: RunStarted, workflow_id: bytes, memory: Memory
) -> LiveRun:
    cause: Cause | None = decision.causes[0] if decision.causes else None
    origin = Origin(
        workflow_id=workflow_id,
        started=started,
        recorded_at=decision.at,
        correlation_id=cause.correlation_id if cause else "",
        traceparent=started.traceparent or (cause.traceparent if cause else ""),
    )
    sizes = memory.sizes.get(started.definition)
    live = LiveRun(
        entry.tenant, entry.id, born(origin, sizes.total if sizes else None), is_stored=False
    )
    live.sizes = sizes
    return live


def _apply(live: LiveRun, events: Sequence[Any], at: int, memory: Memory) -> str:
    """Every event to the row it is about; what is wrong with one of them, else an empty text."""
    steps = live.steps
    for event in events:
        if type(event) in OF_THE_RUN:
            live.row = run_after(live.row, event, at)
            if isinstance(event, RunForked) and (problem := _take_over(live, event, memory)):
                return problem
            continue
        step_id = event.step_id
        if "@" in step_id:
            _evaluate(live, event)
            continue
        if "." in step_id:
            _count_iteration(live, step_id)
        before: StepRow | None = steps.get(step_id)
        after = step_after(before, event, at)
        if after is not None and after is not before:
            _put(live, before, after)
    return ""


def _put(live: LiveRun, before: StepRow | None, after: StepRow) -> None:
    """A step's new row into memory, and the counters with it."""
    live.steps[after.step_id] = after
    live.changed[after.step_id] = None
    if before is not None:
        live.stirring -= is_stirring(before)
        if (was := COUNTED.get(before.status)) is not None:
            live.counts[was] -= 1
    live.stirring += is_stirring(after)
    if (now := COUNTED.get(after.status)) is not None:
        live.counts[now] += 1


def _evaluate(live: LiveRun, event: Any) -> None:
    """What executors owe a loop, or the run, after an event of an evaluation; it has no row."""
    if isinstance(event, StepSucceeded) and (told := edges_of(event)) is not None:
        _tell_edges(live, *told)
    loop_id, change, purpose = evaluated(event)
    if not loop_id:
        live.row = replace(live.row, evaluating=live.row.evaluating + change)
        return
    loop = live.steps.get(loop_id)
    if loop is not None and (after := evaluating(loop, purpose)) is not loop:
        _put(live, loop, after)


def _tell_edges(live: LiveRun, step_id: str, edges: tuple[int, ...]) -> None:
    """What the edges of a settled step came to; its row may have been forgotten."""
    row = live.steps.get(step_id)
    if row is None:
        live.edges[step_id] = edges
    else:
        _put(live, row, replace(row, edges=edges))


def _count_iteration(live: LiveRun, step_id: str) -> None:
    """The iteration of a step, where this is the first that is heard of it."""
    loop_id, index = iteration_of(scope_of(step_id))
    loop = live.steps.get(loop_id)
    if loop is not None and (after := counting(loop, index)) is not loop:
        _put(live, loop, after)
        _grow(live, loop_id)


def _grow(live: LiveRun, loop_id: str) -> None:
    """One more iteration of a loop to the run's total."""
    if live.row.total is not None and live.sizes is not None:
        total = live.row.total + live.sizes.of_body(loop_id)
        live.row = replace(live.row, total=total)


def _take_over(live: LiveRun, event: RunForked, memory: Memory) -> str:
    """The rows that a fork begins with; what is wrong with them, else an empty text."""
    state = memory.states.get(event.state.blob or "", bytes(event.state.inline))
    try:
        found = kept(state)
    except (DecodeError, ValueError) as error:
        return f"the state that it goes on from: {error}"
    for row in found.rows:
        _put(live, None, row)
    for scope in found.scopes:
        _grow(live, iteration_of(scope)[0])
    status = RunStatus.PAUSED if found.is_paused else live.row.status
    live.row = replace(live.row, status=status, evaluating=found.evaluating)
    return ""


def _quarantine(entry: Entry, reason: str, memory: Memory, changes: Changes) -> None:
    changes.quarantined.append(Quarantine(entry.tenant, entry.seq, entry.subject, reason))
    live = memory.runs.get(entry.subject)
    if live is not None:
        live.row = replace(live.row, is_quarantined=True)
        changes.runs[entry.subject] = live


def settle(memory: Memory, changes: Changes) -> None:
    """After the commit: memory drops what the tables have now and what has ended."""
    memory.states.clear()
    for subject, live in changes.runs.items():
        live.written()
        if live.row.finished_at is not None:
            memory.runs.pop(subject, None)
            memory.heads.pop(subject, None)
    memory.trim()
