"""What the events have said about steps and loops, and the naive rules of who may go on.

It shares no line with `evolve` or `decide`: whenever something is asked, the whole neighbourhood
is looked at again.
"""

from functools import lru_cache

from msgspec import Struct

from penstock.domain.run.events import CancelCause, WaitKind
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import AtLeast, Edge, EdgeType, Join

HELD = ("dispatched", "running")
TOLD = ("succeeded", "failed")
SETTLED = (*TOLD, "skipped", "cancelled")

LOSSES_MAX = 105
"""However an attempt is lost or handed back, nobody repeats it more often."""

FOLLOWS = {
    "StepDispatched": (("ready",), "dispatched"),
    "StepStarted": (("dispatched",), "running"),
    "StepWaiting": (HELD, "waiting"),
    "StepRetryScheduled": (HELD, "retrying"),
    "StepLost": (HELD, "lost"),
    "StepSucceeded": ((*HELD, "waiting"), "succeeded"),
    "StepFailed": ((*HELD, "waiting"), "failed"),
    "StepTimedOut": ((*HELD, "waiting"), "failed"),
    "StepSkipped": (("pending", "ready", "lost"), "skipped"),
    "StepCancelled": ((*HELD, "waiting", "retrying"), "cancelled"),
    "StepAbandoned": ((*HELD, "waiting"), "cancelled"),
}
"""What may come before an event of a step, and what comes of it."""

ENDS = {
    "RunSucceeded": None,
    "RunFailed": CancelCause.FAILURE,
    "RunCancelled": CancelCause.USER,
    "RunTimedOut": CancelCause.TIMEOUT,
}
NOT_AFTER_CANCEL = {"StepReady", "StepDispatched", "StepWaiting", "StepRetryScheduled", "StepLost"}
PUT_OUT = {"StepSkipped", "StepCancelled"}


class StepTale(Struct):
    """What the events have said about a step. kind, name, child: of what it waits or waited for.

    edges: which of its EXPRESSION edges came to true; None while nobody has told. used: attempts
    that were given secrets.
    """

    status: str = "pending"
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    branch: str | None = None
    discarded: int = 0
    used: set[int] = set()
    edges: tuple[int, ...] | None = None
    kind: WaitKind | None = None
    name: str = ""
    child: str = ""


class LoopTale(Struct):
    """What the events have said about a loop.

    opened: iterations that have begun. closed: those whose steps have all settled. fallen: those
    in which a failure was not handled. doomed: it is going to fail.
    """

    count: int | None
    width: int
    most: int
    tolerant: bool
    opened: int = 0
    closed: set[int] = set()
    fallen: set[int] = set()
    doomed: bool = False


class Steps:
    """All steps of a run, by path; those that nobody has heard of are pending."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tales: dict[str, StepTale] = {}
        self.loops: dict[str, LoopTale] = {}

    def of(self, path: str) -> StepTale:
        """The tale of a step."""
        found = self.tales.get(path)
        if found is None:
            found = self.tales[path] = StepTale()
        return found

    def place(self, path: str) -> tuple[Graph, str, str]:
        """The drawing of a step, its scope with a dot behind it, and its node."""
        graph, node_id = self.graph.scope(path)
        return graph, path[: len(path) - len(node_id)], node_id

    # --- joins -----------------------------------------------------------------------------------

    def lets_go_on(self, graph: Graph, prefix: str, edge: Edge) -> bool:
        """Whether an edge is taken, as far as anybody knows."""
        source, kind = self.of(prefix + edge.source), edge.condition.type
        if source.status not in TOLD:
            return False
        if kind is EdgeType.EXPRESSION:
            return graph.outgoing[edge.source].index(edge) in (source.edges or ())
        if source.status == "succeeded":
            if kind is EdgeType.BRANCH:
                return source.branch == edge.condition.branch
            return kind in {EdgeType.ON_SUCCESS, EdgeType.ALWAYS}
        goes_on = graph.nodes[edge.source].continue_on_error and kind is EdgeType.ON_SUCCESS
        return goes_on or kind in {EdgeType.ON_FAILURE, EdgeType.ALWAYS}

    def has_spoken(self, graph: Graph, prefix: str, node_id: str) -> bool:
        """Whether a step has settled and its edges, all of them, are decided about."""
        tale = self.of(prefix + node_id)
        untold = tale.status in TOLD and graph.expressions[node_id] and tale.edges is None
        return tale.status in SETTLED and not untold

    def has_all_spoken(self, graph: Graph, prefix: str = "") -> bool:
        """Whether the edges of all steps of a scope are decided about."""
        return all(self.has_spoken(graph, prefix, node_id) for node_id in graph.order)

    def joined(self, path: str) -> tuple[bool, bool]:
        """Whether a step may begin by what is above it, and whether it never will."""
        graph, prefix, node_id = self.place(path)
        incoming = graph.incoming[node_id]
        if not incoming:
            return True, False
        heard = [edge for edge in incoming if self.has_spoken(graph, prefix, edge.source)]
        taken, spoken = sum(self.lets_go_on(graph, prefix, e) for e in heard), len(heard)
        join = graph.nodes[node_id].join
        if isinstance(join, AtLeast):
            least = join.at_least
            return taken >= least, taken + len(incoming) - spoken < least
        over = spoken == len(incoming)
        if join is Join.ANY:
            return taken > 0, over and not taken
        return over and taken > 0, over and not taken

    def contributors(self, path: str) -> list[str]:
        """The predecessors whose edges were taken, each once, in the order of the edges."""
        graph, prefix, node_id = self.place(path)
        edges = graph.incoming[node_id]
        return list(dict.fromkeys(e.source for e in edges if self.lets_go_on(graph, prefix, e)))

    def is_handled(self, path: str) -> bool:
        """Whether a failed step's failure is taken up."""
        graph, prefix, node_id = self.place(path)
        if graph.nodes[node_id].continue_on_error:
            return True
        edges = graph.outgoing[node_id]
        if any(e.condition.type in {EdgeType.ON_FAILURE, EdgeType.ALWAYS} for e in edges):
            return True
        return any(self.lets_go_on(graph, prefix, edge) for edge in edges)

    # --- iterations ------------------------------------------------------------------------------

    def active(self, path: str) -> list[int]:
        """The iterations of a loop that have steps without a last word."""
        loop, graph = self.loops[path], self.body(path)
        going = []
        for index in range(loop.opened):
            if index in loop.closed:
                continue
            prefix = f"{path}.{index}."
            settled = all(self.of(prefix + node).status in SETTLED for node in graph.order)
            spoken = settled and self.has_all_spoken(graph, prefix)
            if spoken or (settled and self.is_given_up(prefix + graph.order[0])):
                loop.closed.add(index)
            else:
                going.append(index)
        return going

    def body(self, path: str) -> Graph:
        """The drawing of a loop's body."""
        graph, node_id = self.graph.scope(path)
        return graph.bodies[node_id]

    def open_ones(self) -> list[str]:
        """Every step without a last word, those of iterations included."""
        found = [s for s in self.graph.order if self.of(s).status not in SETTLED]
        for path in self.loops:
            for index in self.active(path):
                names = (f"{path}.{index}.{node}" for node in self.body(path).order)
                found += [name for name in names if self.of(name).status not in SETTLED]
        return found

    def is_given_up(self, path: str) -> bool:
        """Whether a step is to be put out though its run goes on.

        Its iteration has fallen, or its loop is over or will be, or a join that cancels others has
        been entered and all ways from the step, or from what it is inside of, lead there.
        """
        while True:
            graph, prefix, node_id = self.place(path)
            for join in cancelling(graph):
                if self.of(prefix + join).attempt and node_id in rivals(graph, join):
                    return True
            if not prefix:
                return False
            path, _, index = prefix[:-1].rpartition(".")
            loop = self.loops[path]
            if loop.doomed or int(index) in loop.fallen or self.of(path).status in SETTLED:
                return True


@lru_cache(4_096)
def cancelling(graph: Graph) -> tuple[str, ...]:
    """The joins of a drawing that cancel others."""
    joins = ((node_id, graph.nodes[node_id].join) for node_id in graph.order)
    return tuple(n for n, join in joins if isinstance(join, AtLeast) and join.cancel_others)


@lru_cache(4_096)
def rivals(graph: Graph, join: str) -> frozenset[str]:
    """The nodes above a join from which no way leads to an end but through it."""
    return frozenset(
        node_id
        for node_id in graph.ancestors(join)
        if not any(end != join and end in below(graph, node_id, join) for end in graph.sinks)
    )


def below(graph: Graph, node_id: str, without: str) -> set[str]:
    """Everything that a way leads to from a node, itself included, but through one node."""
    found, waiting = {node_id}, [node_id]
    while waiting:
        for edge in graph.outgoing[waiting.pop()]:
            if edge.target not in found and edge.target != without:
                found.add(edge.target)
                waiting.append(edge.target)
    return found
