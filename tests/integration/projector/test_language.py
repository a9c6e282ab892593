"""Runs of the whole language in the tables: however the log is cut, and as the audit has them."""

from hashlib import sha256
from random import Random
from typing import Any

import msgspec
import psycopg

from penstock.domain import payload
from penstock.domain.ids import derived
from penstock.domain.run.events import Origin, Parent, RunEvent
from penstock.domain.run.evolve import fold
from penstock.domain.run.snapshot import encoded
from penstock.domain.run.state import unborn
from penstock.domain.workflow.events import WorkflowCreated, WorkflowVersionCreated
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import canonical_bytes, content_hash
from penstock.infra.nats import subjects
from penstock.projector.audit.command import verify
from penstock.projector.entry import Log
from penstock.projector.sizes import Sizes, sizes_of
from tests.integration.projector.test_store import TENANT, read_models, reset, written
from tests.unit.domain.run.autopilot import Life, random_graph
from tests.unit.projector.lives import T0, Tape
from tests.unit.projector.test_two_accounts import forked

RUNS = 24
PARENT = Parent(run_id=derived(TENANT, "parent"), step_id="child", attempt=1)


class Drawn:
    """Definitions by their hashes, and what forks of this test go on from."""

    def __init__(self) -> None:
        self.graphs: dict[str, Graph] = {}
        self.states: dict[str, bytes] = {}

    async def sizes(self, _tenant: str, definition: str) -> Sizes | None:
        return sizes_of(self.graphs[definition])

    async def state(self, name: str) -> bytes:
        return self.states[name]


def of_tenant(events: list[RunEvent], definition: str) -> list[RunEvent]:
    """The first decision of a run, about a workflow that the tenant has."""
    first: Any = events[0]
    told = {"workflow_id": derived(TENANT, "workflow"), "definition": definition, "parent": PARENT}
    return [msgspec.structs.replace(first, **told), *events[1:]]


def drawn() -> tuple[Tape, Tape, Drawn]:
    """The registry, and runs of any constructs, half of them forks, their decisions mixed."""
    random, sources = Random(7), Drawn()
    registry, events = Tape(), Tape()
    made: Any = {"created_at": T0, "created_by": "admin"}
    versions: list[Any] = [WorkflowCreated(key="drawn", name="Drawn", **made)]
    histories: list[tuple[str, list[list[RunEvent]]]] = []
    for number in range(RUNS):
        graph = random_graph(random)
        definition = content_hash(graph.definition)
        sources.graphs[definition] = graph
        body = payload.inline(canonical_bytes(graph.definition))
        said = {"number": number + 1, "content_hash": definition, "definition": body, **made}
        versions.append(WorkflowVersionCreated(version_id=derived("v", str(number)), **said))
        life = Life(graph, random)
        life.live()
        if number % 2:
            kept = [e for es in life.history[: len(life.history) // 2] for e in es]
            before = fold(unborn(life.run.id, graph), kept)
            life = forked(before, graph, random) if before.started is not None else life
        first = of_tenant(life.history[0], definition)
        histories.append((derived(TENANT, f"run {number}"), [first, *life.history[1:]]))
    registry.append(
        subjects.registry(TENANT, "workflow", derived(TENANT, "workflow")), versions, at=T0
    )
    at = T0
    while histories:
        run_id, left = random.choice(histories)
        events.append(subjects.run_events(TENANT, run_id), left.pop(0), at=(at := at + 1))
        if not left:
            histories.remove((run_id, left))
    return registry, events, sources


async def test_the_audit_finds_every_row_as_it_should_be(projector_url: str, empty: str) -> None:
    registry, events, sources = drawn()
    await written(projector_url, registry.entries(Log.REGISTRY))
    entries = events.entries()
    third = len(entries) // 3
    for part in (entries[:third], entries[third : 2 * third], entries[2 * third :]):
        await written(projector_url, part, size=7, sources=sources)
        assert [str(each) for each in (await verify(empty, None)).problems] == []
    report = await verify(empty, None)
    assert (report.runs, report.steps > RUNS) == (RUNS, True)


async def test_rows_of_any_run_do_not_depend_on_how_the_log_was_cut(
    projector_url: str, empty: str
) -> None:
    _, events, sources = drawn()
    entries = events.entries()
    await written(projector_url, entries, sources=sources)
    whole = read_models(empty)
    reset(empty)
    for start in range(0, len(entries), 3):
        await written(projector_url, entries[start : start + 3], sources=sources)
    assert read_models(empty) == whole


async def test_a_run_goes_on_from_a_state_in_an_object(projector_url: str, empty: str) -> None:
    random = Random(3)
    graph = random_graph(random)
    life = Life(graph, random)
    before = life.run
    sources = Drawn()
    definition = content_hash(graph.definition)
    sources.graphs[definition] = graph
    state = encoded(before)
    sources.states["there"] = state
    again = forked(before, graph, random)
    first: Any = of_tenant(again.history[0], definition)
    kept = payload.Payload(size=len(state), sha256=sha256(state).hexdigest(), blob="there")
    told = [first[0], msgspec.structs.replace(first[1], state=kept), *first[2:]]
    tape, gone = Tape(), derived(TENANT, "gone")
    origin = Origin(run_id=derived(TENANT, "one"), position="1.0")
    told[0] = msgspec.structs.replace(told[0], forked_from=origin)
    tape.append(subjects.run_events(TENANT, derived(TENANT, "one")), told, at=T0)
    lost = msgspec.structs.replace(kept, blob="nowhere")
    sources.states["nowhere"] = b""
    told[1] = msgspec.structs.replace(told[1], state=lost)
    tape.append(subjects.run_events(TENANT, gone), told, at=T0)
    await written(projector_url, tape.entries(), sources=sources)
    with psycopg.connect(empty) as owner:
        rows = owner.execute(
            "select id::text, is_quarantined, forked_from, parent_run_id::text, parent_step_id, "
            "(select count(*) from penstock.run_steps s where s.run_id = r.id) > 0 "
            "from penstock.runs r order by is_quarantined"
        ).fetchall()
        from_there = {"runId": origin.run_id, "position": "1.0"}
        child = (PARENT.run_id, PARENT.step_id)
        assert rows == [
            (derived(TENANT, "one"), False, from_there, *child, True),
            (gone, True, from_there, *child, False),
        ]
