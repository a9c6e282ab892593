"""Where a run that is retried or forked begins: another run's state, taken back to some point.

A step is kept with its last word when its own node and everything above it stay as they are;
all others have their turn again. What follows from the kept ones (joins, skips, what is ready) is
found anew by the rules, so nothing of the old run's end is in the new one. A loop is kept or run
again as a whole.
"""

from collections.abc import Collection, Iterable

from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.errors import NotFound
from penstock.domain.queue import Queue
from penstock.domain.run.events import RunStarted
from penstock.domain.run.evolve import born
from penstock.domain.run.settling import FAILED, is_handled, settled
from penstock.domain.run.state import Run, Step, StepStatus, unborn
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import node_to_wire

EFFECTFUL = frozenset(
    {
        *("http_request", "webhook", "sub_workflow", "emit_event", "loop"),
        *("email", "database_query", "ai_completion", "custom_code", "plugin"),
    }
)
"""Node types whose attempts may have been seen outside of the run."""


PUT_OUT = frozenset({StepStatus.SKIPPED, StepStatus.CANCELLED})


class Plan(Struct, frozen=True, kw_only=True):
    """What a retry or a fork would do: step ids, in the order of the definition.

    repeats: those of `again` that had been tried before and may have had effects outside.
    """

    kept: tuple[str, ...]
    again: tuple[str, ...]
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
    if node_id not in graph.nodes:
        raise NotFound(f"the run has no step {from_step}")
    good = frozenset(
        other
        for other in graph.order
        if other != node_id and is_good(run, other) and node_id not in graph.ancestors(other)
    )
    return good | (put_out_by(run, good) - {node_id})


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


def rewound(run: Run, kept: Collection[str], *, graph: Graph, started: RunStarted) -> Run:
    """A run of `graph` that has just started and finds the `kept` steps of `run` settled."""
    fresh = born(unborn(run.id, graph), started)
    for node_id in (node_id for layer in graph.layers() for node_id in layer):
        if node_id in kept:
            fresh = settled(fresh, node_id, as_kept(run.step(node_id)))
    pending = [s for s in fresh.agenda.listed() if fresh.step(s).status is StepStatus.PENDING]
    return replace(fresh, agenda=Queue.of(pending))


def as_kept(step: Step) -> Step:
    """A settled step as a new run finds it."""
    return replace(step, tries=0, losses=0, discarded=0)


def planned(run: Run, graph: Graph, kept: Collection[str]) -> Plan:
    """What happens when a run of `graph` begins with the `kept` steps of `run`."""
    again = [node_id for node_id in graph.order if node_id not in kept]
    return Plan(
        kept=tuple(node_id for node_id in graph.order if node_id in kept),
        again=tuple(again),
        repeats=tuple(repeated(run, graph, again)),
    )


def repeated(run: Run, graph: Graph, again: Iterable[str]) -> Iterable[str]:
    """The steps that would be tried once more and may have been seen outside before."""
    for node_id in again:
        if run.step(node_id).attempt > 0 and graph.nodes[node_id].type in EFFECTFUL:
            yield node_id
