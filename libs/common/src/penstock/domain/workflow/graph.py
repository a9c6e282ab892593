"""A definition as a graph: questions that can be answered without running it.

Made once for each definition and shared by all of its runs, so every answer that an event needs
is a look-up. Building it costs O(nodes + edges) of all scopes: the definition's own and those of
its loops' bodies, each a graph of its own.

A *path* names a step: a node's id, or `loop.3.inner` for the node `inner` in the body of `loop`
in the iteration with index 3, however deep.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import UNSET, Struct

from penstock.domain.workflow.model import (
    AtLeast,
    Definition,
    Edge,
    EdgeType,
    Node,
    Retry,
    body_from_wire,
)
from penstock.domain.workflow.node_types import NODE_TYPES, STEP_TIMEOUT_MS
from penstock.domain.workflow.reads import (
    Reads,
    members,
    node_reads,
    output_reads,
    template_paths,
    while_reads,
)

RETRY_DEFAULT: Final = Retry()
TELLS_FAILURE: Final = frozenset({EdgeType.ON_FAILURE, EdgeType.ALWAYS, EdgeType.EXPRESSION})
"""Edges that may be taken when their source has failed; what it had worked on travels along."""


class Graph(Struct, frozen=True, eq=False):
    """The nodes of a valid definition and how they hang together; equal only to itself.

    `order`, `roots` and `sinks` are in the order of the definition. `incoming`, `outgoing`,
    `reads`, `expressions` and `fallbacks` have an entry for every node, edges in the order of the
    definition.

    definition: of a body's graph, one of its nodes and edges with the outer one's name and retry.
    expressions: which of a node's `outgoing` are EXPRESSION edges, by their index.
    fallbacks: the `fallback` nodes behind a node's edges that its failure may take.
    handlers: the nodes whose failure may be handled.
    bodies: the graph of each loop's body, under the loop's id.
    while_reads: what each loop's `while` reads, where it has one; `item` is its last output.
    output_reads: what the output template reads; None where there is none.
    vars: the tenant's variables that anything in it reads, bodies included.
    depth: how deep bodies nest: 0 without loops, 1 when no body has a loop.
    """

    definition: Definition
    nodes: Mapping[str, Node]
    order: tuple[str, ...]
    incoming: Mapping[str, tuple[Edge, ...]]
    outgoing: Mapping[str, tuple[Edge, ...]]
    roots: tuple[str, ...]
    sinks: tuple[str, ...]
    reads: Mapping[str, Reads]
    expressions: Mapping[str, tuple[int, ...]]
    fallbacks: Mapping[str, tuple[str, ...]]
    handlers: frozenset[str]
    bodies: Mapping[str, "Graph"]
    while_reads: Mapping[str, Reads]
    output_reads: Reads | None
    vars: frozenset[str]
    depth: int
    cancelled: dict[str, tuple[str, ...]]
    """What `cancelled_by` has answered so far."""

    @classmethod
    def of(cls, definition: Definition) -> "Graph":
        """The graph of a definition that was found valid; any other may raise KeyError."""
        return drawn(definition, in_body=False)

    def scope(self, path: str) -> tuple["Graph", str]:
        """The graph in which the step of this path stands, and its node's id; O(depth).

        Raises KeyError where the path names no node.
        """
        graph, parts = self, path.split(".")
        if len(parts) % 2 == 0:
            raise KeyError(path)
        for at in range(0, len(parts) - 1, 2):
            body = graph.bodies.get(parts[at])
            if body is None or not parts[at + 1].isdecimal():
                raise KeyError(path)
            graph = body
        if parts[-1] not in graph.nodes:
            raise KeyError(path)
        return graph, parts[-1]

    def node(self, path: str) -> Node:
        """The node of the step at this path. Raises KeyError."""
        node = self.nodes.get(path)
        if node is not None:
            return node
        graph, node_id = self.scope(path)
        return graph.nodes[node_id]

    def named(self, path: str, node_id: str) -> str:
        """The path of the step that `nodes.<node_id>` means to the step at `path`.

        The innermost scope that has such a node wins. Raises KeyError where none has.
        """
        if "." not in path:
            return self.nodes[node_id].id
        prefix = path.rpartition(".")[0]
        graph, _ = self.scope(path)
        if node_id in graph.nodes:
            return f"{prefix}.{node_id}"
        return self.named(prefix.rpartition(".")[0], node_id)

    def predecessors(self, node_id: str) -> tuple[str, ...]:
        """The sources of a node's incoming edges, each once: what the input rule counts."""
        return tuple(dict.fromkeys(edge.source for edge in self.incoming[node_id]))

    def ancestors(self, node_id: str) -> frozenset[str]:
        """Every node from which a way leads here; O(what is above)."""
        found: set[str] = set()
        waiting = [node_id]
        while waiting:
            above = {edge.source for edge in self.incoming[waiting.pop()]} - found
            found |= above
            waiting.extend(above)
        return frozenset(found)

    def retry(self, path: str) -> Retry:
        """The node's own policy, else the workflow's, else the default. Raises KeyError.

        Not merged here: what a node's policy left out was filled from the workflow's by `parse`.
        """
        return self.node(path).retry or self.definition.retry or RETRY_DEFAULT

    def timeout_ms(self, path: str) -> int:
        """The time limit of one attempt: the node's, else its type's, in ms. Raises KeyError."""
        node = self.node(path)
        kind = NODE_TYPES.get(node.type)
        default = STEP_TIMEOUT_MS if kind is None else kind.default_timeout_ms
        return default if node.timeout_ms is None else node.timeout_ms

    def handles_failure(self, node_id: str) -> bool:
        """Whether the node's failure may be handled: by an edge that leaves it, or by itself.

        An EXPRESSION edge handles it only when its expression holds.
        """
        return node_id in self.handlers

    def cancelled_by(self, node_id: str) -> tuple[str, ...]:
        """What a join with `cancelOthers` cancels when it is entered; () for any other node.

        Those of its ancestors all of whose ways lead to it, in the order of the definition.
        """
        join = self.nodes[node_id].join
        if not isinstance(join, AtLeast) or not join.cancel_others:
            return ()
        if node_id not in self.cancelled:
            self.cancelled[node_id] = only_leading_to(self, node_id)
        return self.cancelled[node_id]

    def layers(self) -> list[list[str]]:
        """The plan: each node in the first layer after all its predecessors.

        Within a layer in the order of the definition.
        """
        depths = depth_of_each(self.order, self.incoming, self.outgoing)
        layers: list[list[str]] = [[] for _ in range(max(depths.values(), default=-1) + 1)]
        for node_id in self.order:
            layers[depths[node_id]].append(node_id)
        return layers


def drawn(definition: Definition, *, in_body: bool) -> Graph:
    """The graph of a definition, or of the one that stands for a loop's body."""
    nodes = {node.id: node for node in definition.nodes}
    incoming = by_end(nodes, definition.edges, (edge.target for edge in definition.edges))
    outgoing = by_end(nodes, definition.edges, (edge.source for edge in definition.edges))
    bodies = {
        node_id: drawn(body_from_wire(node.config["body"], definition), in_body=True)
        for node_id, node in nodes.items()
        if node.type == "loop"
    }
    whiles = {node_id: while_reads(nodes[node_id]) for node_id in bodies}
    told = {node_id: tuple(e for e in outgoing[node_id] if tells(e)) for node_id in nodes}
    reads = {
        node_id: node_reads(
            node,
            is_root=not incoming[node_id],
            in_body=in_body,
            tells_input=bool(told[node_id]),
        )
        for node_id, node in nodes.items()
    }
    whole = None if definition.output is UNSET else output_reads(definition.output)
    kept = {node_id: found for node_id, found in whiles.items() if found is not None}
    return Graph(
        definition=definition,
        nodes=nodes,
        order=tuple(nodes),
        incoming=incoming,
        outgoing=outgoing,
        roots=tuple(node_id for node_id in nodes if not incoming[node_id]),
        sinks=tuple(node_id for node_id in nodes if not outgoing[node_id]),
        reads=reads,
        expressions={node_id: expression_edges(outgoing[node_id]) for node_id in nodes},
        fallbacks={node_id: fallbacks_of(nodes, told[node_id]) for node_id in nodes},
        handlers=frozenset(
            node_id for node_id, node in nodes.items() if node.continue_on_error or told[node_id]
        ),
        bodies=bodies,
        while_reads=kept,
        output_reads=whole,
        vars=frozenset[str]().union(
            *(found.vars for found in (*reads.values(), *kept.values())),
            *(body.vars for body in bodies.values()),
            () if whole is None else whole.vars,
            key_vars(definition),
        ),
        depth=max((body.depth + 1 for body in bodies.values()), default=0),
        cancelled={},
    )


def key_vars(definition: Definition) -> tuple[str, ...]:
    """The tenant's variables that the key of the workflow's concurrency reads."""
    concurrency = definition.concurrency
    key = None if concurrency is None else concurrency.key
    return () if key is None else members(tuple(template_paths(key)), "vars")


def tells(edge: Edge) -> bool:
    """Whether an edge may be taken when its source has failed, and passes on what that had."""
    return edge.condition.type in TELLS_FAILURE


def expression_edges(edges: tuple[Edge, ...]) -> tuple[int, ...]:
    """Where the EXPRESSION edges are among these."""
    return tuple(n for n, e in enumerate(edges) if e.condition.type is EdgeType.EXPRESSION)


def fallbacks_of(nodes: Mapping[str, Node], told: tuple[Edge, ...]) -> tuple[str, ...]:
    """The `fallback` nodes behind these edges, each once."""
    return tuple(dict.fromkeys(e.target for e in told if nodes[e.target].type == "fallback"))


def only_leading_to(graph: Graph, join: str) -> tuple[str, ...]:
    """The ancestors of `join` all of whose ways lead to it, in the order of the definition."""
    above = graph.ancestors(join)
    depths = depth_of_each(graph.order, graph.incoming, graph.outgoing)
    inside = {join}
    for node_id in sorted(above, key=depths.__getitem__, reverse=True):
        if all(edge.target in inside for edge in graph.outgoing[node_id]):
            inside.add(node_id)
    return tuple(node_id for node_id in graph.order if node_id in inside and node_id != join)


def by_end(
    nodes: Iterable[str], edges: Iterable[Edge], ends: Iterable[str]
) -> dict[str, tuple[Edge, ...]]:
    """The edges under the node at their given end; an entry for every node."""
    grouped: dict[str, list[Edge]] = {node_id: [] for node_id in nodes}
    for edge, end in zip(edges, ends, strict=True):
        grouped[end].append(edge)
    return {node_id: tuple(edges) for node_id, edges in grouped.items()}


def depth_of_each(
    order: Iterable[str],
    incoming: Mapping[str, tuple[Edge, ...]],
    outgoing: Mapping[str, tuple[Edge, ...]],
) -> dict[str, int]:
    """How many edges the longest way from a root has, for every node that is on no cycle."""
    waits = {node_id: len(incoming[node_id]) for node_id in order}
    depths = {node_id: 0 for node_id, count in waits.items() if count == 0}
    ready = deque(depths)
    while ready:
        source = ready.popleft()
        for edge in outgoing[source]:
            depths[edge.target] = max(depths.get(edge.target, 0), depths[source] + 1)
            waits[edge.target] -= 1
            if waits[edge.target] == 0:
                ready.append(edge.target)
    return depths
