"""A definition as a graph: questions that can be answered without running it.

Made once for each definition and shared by all of its runs, so every answer that an event needs
is a look-up. Building it costs O(nodes + edges).
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from penstock.domain.workflow.model import Definition, Edge, EdgeType, Node, Retry
from penstock.domain.workflow.node_types import NODE_TYPES, STEP_TIMEOUT_MS
from penstock.domain.workflow.reads import Reads, node_reads

RETRY_DEFAULT: Final = Retry()
TELLS_FAILURE: Final = frozenset({EdgeType.ON_FAILURE, EdgeType.ALWAYS, EdgeType.EXPRESSION})
"""Edges over which a failed node's input travels on."""


class Graph(Struct, frozen=True, eq=False):
    """The nodes of a valid definition and how they hang together; equal only to itself.

    `order`, `roots` and `sinks` are in the order of the definition. `incoming` and `outgoing`
    have an entry for every node, in the order of the definition's edges.
    """

    definition: Definition
    nodes: Mapping[str, Node]
    order: tuple[str, ...]
    incoming: Mapping[str, tuple[Edge, ...]]
    outgoing: Mapping[str, tuple[Edge, ...]]
    roots: tuple[str, ...]
    sinks: tuple[str, ...]
    reads: Mapping[str, Reads]

    @classmethod
    def of(cls, definition: Definition) -> "Graph":
        """The graph of a definition that was found valid; any other may raise KeyError."""
        nodes = {node.id: node for node in definition.nodes}
        incoming = by_end(nodes, definition.edges, (edge.target for edge in definition.edges))
        outgoing = by_end(nodes, definition.edges, (edge.source for edge in definition.edges))
        return cls(
            definition=definition,
            nodes=nodes,
            order=tuple(nodes),
            incoming=incoming,
            outgoing=outgoing,
            roots=tuple(node_id for node_id in nodes if not incoming[node_id]),
            sinks=tuple(node_id for node_id in nodes if not outgoing[node_id]),
            reads={
                node_id: node_reads(
                    node,
                    is_root=not incoming[node_id],
                    tells_failure=any(e.condition.type in TELLS_FAILURE for e in outgoing[node_id]),
                )
                for node_id, node in nodes.items()
            },
        )

    def node(self, node_id: str) -> Node:
        """The node of this id. Raises KeyError."""
        return self.nodes[node_id]

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

    def retry(self, node_id: str) -> Retry:
        """The node's own policy, else the workflow's, else the default.

        Not merged here: what a node's policy left out was filled from the workflow's by `parse`.
        """
        return self.nodes[node_id].retry or self.definition.retry or RETRY_DEFAULT

    def timeout_ms(self, node_id: str) -> int:
        """The time limit of one attempt: the node's, else its type's, in ms."""
        node = self.nodes[node_id]
        kind = NODE_TYPES.get(node.type)
        default = STEP_TIMEOUT_MS if kind is None else kind.default_timeout_ms
        return default if node.timeout_ms is None else node.timeout_ms

    def layers(self) -> list[list[str]]:
        """The plan: each node in the first layer after all its predecessors.

        Within a layer in the order of the definition.
        """
        depths = depth_of_each(self.order, self.incoming, self.outgoing)
        layers: list[list[str]] = [[] for _ in range(max(depths.values(), default=-1) + 1)]
        for node_id in self.order:
            layers[depths[node_id]].append(node_id)
        return layers


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
