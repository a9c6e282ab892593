"""Where a run that is retried or forked begins: another run's state, taken back to some point.

A step is kept with its last word when its own node and everything above it stay as they are;
all others have their turn again. What follows from the kept ones (joins, skips, what is ready) is
found anew by the rules, so nothing of the old run's end is in the new one. A retry goes on with a
loop that had failed: iterations that succeeded are kept, the others run again as a whole. A child
run that failed is begun anew.
"""

from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.errors import NotFound
from penstock.domain.queue import Queue
from penstock.domain.run.events import RunStarted, WaitKind
from penstock.domain.run.evolve import born
from penstock.domain.run.flow import with_flow
from penstock.domain.run.loops import LOOP_LIMIT, resumed, went_on
from penstock.domain.run.settling import FAILED, is_handled, settled
from penstock.domain.run.state import Loop, Run, Step, StepStatus, Wait, unborn
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import node_to_wire

EFFECTFUL = frozenset(
    {
        *("http_request", "webhook", "sub_workflow", "emit_event"),
        *("email", "database_query", "ai_completion", "custom_code", "plugin"),
    }
)
"""Node types whose attempts may have been seen outside of the run."""


PUT_OUT = frozenset({StepStatus.SKIPPED, StepStatus.CANCELLED})


class Plan(Struct, frozen=True, kw_only=True):
    """What a retry or a fork would do: step ids, in the order of the definition.

    resumed: loops that go on with the iterations that had succeeded. repeats: steps of `again` and
    of what runs again inside of loops that had been tried before and may have had effects outside.
    """

    kept: tuple[str, ...]
    again: tuple[str, ...]
    resumed: tuple[str, ...] = ()
    repeats: tuple[str, ...]


def for_retry(run: Run) -> frozenset[str]:
    """The steps that a retry of a run that has ended leaves as they are.

    All that succeeded, the failures that were taken up, and what a join that stays had put out.
    """
    good = frozenset(node_id for node_id in run.drawn.order if is_good(run, node_id))
    return good | put_out_by(run, good)


def for_fork(run: Run, from_step: str) -> frozenset[str]:
    """The steps that stay as they are when a run is forked from a step on.

    Of a step inside a loop, the loop counts. Raises NotFound for a step that is not in the drawing.
    """
    graph, node_id = run.drawn, from_step.partition(".")[0]
    try:
        graph.scope(from_step)
    except KeyError:
        raise NotFound(f"the run has no step {from_step}") from None
    good = frozenset(
        other
        for other in graph.order
        if other != node_id and is_good(run, other) and node_id not in graph.ancestors(other)
    )
    return good | (put_out_by(run, good) - {node_id})


def reading_input(graph: Graph) -> frozenset[str]:
    """The steps whose outcome depends on the run's input, and all behind them."""
    found: set[str] = set()
    for layer in graph.layers():
        for node_id in layer:
            sources = {edge.source for edge in graph.incoming[node_id]}
            if reads_input(graph, node_id) or sources & found:
                found.add(node_id)
    return frozenset(found)


def reads_input(graph: Graph, node_id: str) -> bool:
    """Whether a node, or one inside of it, reads the run's input."""
    body = graph.bodies.get(node_id)
    inside = body is not None and any(body.reads[inner].run_input for inner in body.order)
    return graph.reads[node_id].run_input or inside


def resumable(run: Run, kept: Collection[str]) -> frozenset[str]:
    """The loops that a retry goes on with, given what it keeps: all above them must be kept."""
    return frozenset(
        node_id
        for node_id in run.flow.loops
        if node_id in run.drawn.bodies
        and run.step(node_id).status in (StepStatus.FAILED, StepStatus.CANCELLED)
        and has_sense(run.flow.loops[node_id])
        and all(edge.source in kept for edge in run.drawn.incoming[node_id])
    )


def has_sense(loop: Loop) -> bool:
    """Whether there is something to go on with; one that went on for too long would again."""
    is_endless = loop.error is not None and loop.error.code == LOOP_LIMIT
    return not is_endless and len(loop.results) > 0


def put_out_by(run: Run, kept: Collection[str]) -> frozenset[str]:
    """The steps that joins with `cancelOthers` among the kept ones had put out.

    They lead nowhere but to such a join: to run them again would have no use but their effects.
    """
    return frozenset(
        rival
        for join in kept
        for rival in run.drawn.cancelled_by(join)
        if run.step(rival).status in PUT_OUT
    )


def is_good(run: Run, node_id: str) -> bool:
    """Whether a step has a last word that others may build on."""
    step = run.step(node_id)
    if step.status is StepStatus.SUCCEEDED:
        return True
    return step.status in FAILED and is_handled(run.drawn, node_id, step)


def unchanged(before: Graph, after: Graph, kept: Collection[str]) -> frozenset[str]:
    """Those of `kept` that another drawing has too, with all that is above them."""
    same: set[str] = set()
    for layer in after.layers():
        same |= {node_id for node_id in layer if is_same(before, after, node_id, kept, same)}
    return frozenset(same)


def is_same(
    before: Graph, after: Graph, node_id: str, kept: Collection[str], same: Collection[str]
) -> bool:
    """Whether a node, the edges to it, and all that is above it are the same in both drawings."""
    return (
        node_id in kept
        and node_id in before.nodes
        and node_to_wire(before.nodes[node_id]) == node_to_wire(after.nodes[node_id])
        and set(before.incoming[node_id]) == set(after.incoming[node_id])
        and all(edge.source in same for edge in after.incoming[node_id])
    )


def rewound(
    run: Run,
    kept: Collection[str],
    *,
    graph: Graph,
    started: RunStarted,
    loops: Collection[str] = (),
) -> Run:
    """A run of `graph` that has just started and finds the `kept` steps of `run` settled.

    loops: those that it goes on with.
    """
    fresh = born(unborn(run.id, graph), started)
    for node_id in (node_id for layer in graph.layers() for node_id in layer):
        if node_id in kept:
            fresh = settled(fresh, node_id, as_kept(run.step(node_id)))
        elif node_id in loops:
            fresh = going_on(fresh, run, node_id)
    pending = [s for s in fresh.agenda.listed() if fresh.step(s).status is StepStatus.PENDING]
    return replace(fresh, agenda=Queue.of(pending))


def as_kept(step: Step) -> Step:
    """A settled step as a new run finds it."""
    return replace(step, tries=0, losses=0, discarded=0)


def going_on(fresh: Run, run: Run, loop_id: str) -> Run:
    """The new run with a loop of the old one that goes on, with what its iterations came to."""
    loop = resumed(run.flow.loops[loop_id])
    step = replace(
        as_kept(run.step(loop_id)),
        status=StepStatus.WAITING,
        wait=Wait(WaitKind.LOOP),
        error=None,
        edges=None,
    )
    fresh = replace(fresh, steps=fresh.steps.set(loop_id, step))
    fresh = with_flow(fresh, loops=fresh.flow.loops.set(loop_id, loop))
    return went_on(fresh, loop_id)


def first_index(step_id: str, loop_id: str) -> int:
    """The iteration of a loop that a step inside of it belongs to."""
    return int(step_id[len(loop_id) + 1 :].partition(".")[0])


def planned(run: Run, graph: Graph, kept: Collection[str], loops: Collection[str] = ()) -> Plan:
    """What happens when a run of `graph` begins with the `kept` steps of `run`.

    loops: those that it goes on with.
    """
    again = [node_id for node_id in graph.order if node_id not in kept]
    return Plan(
        kept=tuple(node_id for node_id in graph.order if node_id in kept),
        again=tuple(again),
        resumed=tuple(node_id for node_id in again if node_id in loops),
        repeats=tuple(repeated(run, graph, again, loops)),
    )


def repeated(run: Run, graph: Graph, again: Iterable[str], loops: Collection[str]) -> Iterator[str]:
    """The steps that would be tried once more and may have been seen outside before."""
    for node_id in again:
        if node_id in graph.bodies:
            results = run.flow.loops[node_id].results if node_id in loops else ()
            inner = inner_steps(run, node_id)
            yield from (s for s in inner if first_index(s, node_id) not in results)
        elif is_seen(run, node_id):
            yield node_id


def inner_steps(run: Run, loop_id: str) -> list[str]:
    """The steps inside of a loop that had been seen outside, as far as the state has them yet."""
    prefix = f"{loop_id}."
    inner = (s for s in run.steps if s.startswith(prefix) and "@" not in s)
    return sorted(s for s in inner if is_seen(run, s))


def is_seen(run: Run, step_id: str) -> bool:
    """Whether a step had been tried, and is of a type that is seen outside."""
    return run.step(step_id).attempt > 0 and run.drawn.node(step_id).type in EFFECTFUL
