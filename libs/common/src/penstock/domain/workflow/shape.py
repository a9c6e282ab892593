"""How nodes and edges fit together: what is missing, double, circular or never reached.

Works on any definition, however broken, in O(nodes + edges); pointers are canonical.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final

from penstock.domain.workflow.model import AtLeast, Definition, Edge, EdgeType, Node
from penstock.domain.workflow.node_types import NODE_TYPES, branches_of, is_entry
from penstock.domain.workflow.problems import Code, Problem

NEW, OPEN, DONE = range(3)
LISTED_MAX: Final = 5
"""How many branches a message lists."""


class Shape:
    """The nodes by id and the edges that lie between two of them."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.numbers: dict[str, int] = {}
        for number, node in enumerate(definition.nodes):
            if node.id:
                self.numbers.setdefault(node.id, number)
        self.edges = [
            (number, edge)
            for number, edge in enumerate(definition.edges)
            if edge.source in self.numbers
            and edge.target in self.numbers
            and edge.source != edge.target
        ]

    def node(self, node_id: str) -> Node:
        """The first node of this id. Raises KeyError."""
        return self.definition.nodes[self.numbers[node_id]]

    @cached_property
    def outgoing(self) -> Mapping[str, list[tuple[int, Edge]]]:
        """The edges that leave each node, with their numbers."""
        outgoing: dict[str, list[tuple[int, Edge]]] = {node_id: [] for node_id in self.numbers}
        for number, edge in self.edges:
            outgoing[edge.source].append((number, edge))
        return outgoing

    @cached_property
    def sources(self) -> Mapping[str, set[str]]:
        """The nodes whose edges lead to each node."""
        sources: dict[str, set[str]] = {node_id: set() for node_id in self.numbers}
        for _, edge in self.edges:
            sources[edge.target].add(edge.source)
        return sources

    @cached_property
    def order(self) -> list[str]:
        """The nodes, each after its sources; those on or after a cycle are left out."""
        waits = {node_id: len(sources) for node_id, sources in self.sources.items()}
        order = [node_id for node_id, count in waits.items() if count == 0]
        for node_id in order:
            for target in {edge.target for _, edge in self.outgoing[node_id]}:
                waits[target] -= 1
                if waits[target] == 0:
                    order.append(target)
        return order

    @cached_property
    def above(self) -> Mapping[str, int]:
        """For each node in `order`, the set of nodes upstream, as one bit for each number.

        One `or` for each edge, on integers of as many bits as there are nodes: 10 ms at the limit.
        """
        above: dict[str, int] = {}
        for node_id in self.order:
            bits = 0
            for source in self.sources[node_id]:
                bits |= above[source] | (1 << self.numbers[source])
            above[node_id] = bits
        return above

    def is_upstream(self, source: str, node_id: str) -> bool:
        """Whether a way leads from `source` to the node; true where a cycle leaves it open."""
        if source not in self.numbers:
            return False
        if source in self.sources.get(node_id, ()) or node_id not in self.above:
            return True
        return bool(self.above[node_id] >> self.numbers[source] & 1)


def shape_problems(shape: Shape) -> Iterator[Problem]:
    """Everything that is wrong with the shape; pointers begin at the drawing that it is of."""
    yield from duplicates(shape)
    yield from edge_problems(shape)
    yield from join_problems(shape)
    yield from cycles(shape)
    yield from unreachable(shape)


def duplicates(shape: Shape) -> Iterator[Problem]:
    """Nodes whose id an earlier one has."""
    for number, node in enumerate(shape.definition.nodes):
        if node.id and shape.numbers[node.id] != number:
            message = f"{node.id} is the id of an earlier node too"
            yield Problem(f"/nodes/{number}/id", Code.DUPLICATE_NODE_ID, message)


def edge_problems(shape: Shape) -> Iterator[Problem]:
    """Edges whose ends are missing or the same, or whose branch nobody takes."""
    for number, edge in enumerate(shape.definition.edges):
        if edge.source not in shape.numbers or edge.target not in shape.numbers:
            yield from missing_ends(shape, number, edge)
        if edge.source == edge.target:
            message = f"{edge.source} cannot wait for itself"
            yield Problem(f"/edges/{number}", Code.SELF_EDGE, message)
        is_branch = edge.condition.type is EdgeType.BRANCH and edge.source in shape.numbers
        if is_branch and not is_branch_known(shape, edge):
            message = branch_message(shape.node(edge.source))
            yield Problem(f"/edges/{number}/condition/branch", Code.UNKNOWN_BRANCH, message)


def missing_ends(shape: Shape, number: int, edge: Edge) -> Iterator[Problem]:
    """The ends of an edge that are no nodes."""
    for name, end in (("from", edge.source), ("to", edge.target)):
        if end not in shape.numbers:
            message = f"there is no node {end[:64]}"
            yield Problem(f"/edges/{number}/{name}", Code.EDGE_NODE_MISSING, message)


def join_problems(shape: Shape) -> Iterator[Problem]:
    """Joins that wait for more edges than lead to their node."""
    incoming = Counter(edge.target for edge in shape.definition.edges)
    for number, node in enumerate(shape.definition.nodes):
        if isinstance(node.join, AtLeast) and node.join.at_least > incoming[node.id]:
            message = f"{node.join.at_least} edges are waited for and {incoming[node.id]} lead here"
            yield Problem(f"/nodes/{number}/join/atLeast", Code.BAD_JOIN, message)


def is_branch_known(shape: Shape, edge: Edge) -> bool:
    """Whether the source of a BRANCH edge can choose it; true where its type is not there yet."""
    source = shape.node(edge.source)
    kind = NODE_TYPES.get(source.type)
    if kind is None or not kind.available:
        return True
    return edge.condition.branch in (branches_of(source) or ())


def branch_message(node: Node) -> str:
    """Which branches the node has."""
    branches = branches_of(node)
    if not branches:
        return f"{node.id} is a {node.type}, which has no branches"
    return f"{node.id} has the branches {', '.join(branches[:LISTED_MAX])}"


def cycles(shape: Shape) -> Iterator[Problem]:
    """Ways that lead back to where they began, one entry each; no node is in two of them."""
    if len(shape.order) == len(shape.numbers):
        return
    state = dict.fromkeys(shape.numbers, NEW)
    reported: set[str] = set()
    for start in shape.numbers:
        if state[start] != NEW:
            continue
        state[start] = OPEN
        way = [start]
        ways = [iter(shape.outgoing[start])]
        while ways:
            step = next(ways[-1], None)
            if step is None:
                ways.pop()
                state[way.pop()] = DONE
                continue
            number, edge = step
            if state[edge.target] == NEW:
                state[edge.target] = OPEN
                way.append(edge.target)
                ways.append(iter(shape.outgoing[edge.target]))
            elif state[edge.target] == OPEN and reported.isdisjoint((edge.source, edge.target)):
                around = way[way.index(edge.target) :]
                reported.update(around)
                message = f"{' → '.join([*around[:LISTED_MAX], edge.target])} leads back"
                yield Problem(f"/edges/{number}", Code.CYCLE, message, around)


def unreachable(shape: Shape) -> Iterator[Problem]:
    """Nodes to which edges lead that can never be taken.

    An edge can never be taken when nobody chooses its branch, when it waits for the failure of an
    entry, which only passes the run's input on, or when its source is unreachable itself. Edges
    that are wrong in another way say nothing here, nor does what lies on or after a cycle.
    """
    alive = {node_id for node_id, sources in shape.sources.items() if not sources}
    for node_id in shape.order:
        if node_id not in alive:
            at = f"/nodes/{shape.numbers[node_id]}"
            yield Problem(at, Code.UNREACHABLE_NODE, f"no edge to {node_id} can ever be taken")
            continue
        for _, edge in shape.outgoing[node_id]:
            if edge.target not in alive and is_takeable(shape, edge):
                alive.add(edge.target)


def is_takeable(shape: Shape, edge: Edge) -> bool:
    """Whether the edge is taken in some run, its source being reached."""
    match edge.condition.type:
        case EdgeType.ON_FAILURE:
            source = shape.node(edge.source)
            return source.type not in NODE_TYPES or not is_entry(source)
        case EdgeType.BRANCH:
            return is_branch_known(shape, edge)
        case _:
            return True
