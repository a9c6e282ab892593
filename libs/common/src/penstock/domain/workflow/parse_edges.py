"""Reading edges: those that a document draws, and those that older spellings imply."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from penstock.domain.workflow.model import ON_SUCCESS, Condition, Edge, EdgeType
from penstock.domain.workflow.node_types import NODE_TYPES
from penstock.domain.workflow.parse_config import BRANCH_LISTS
from penstock.domain.workflow.parse_node import RawNode
from penstock.domain.workflow.reading import Keys, Member, Members, Reader, kind

BRANCH_CHARACTERS_MAX: Final = 64
EXPRESSION_CHARACTERS_MAX: Final = 4096

EDGE: Final = Keys("from", "to", "condition")
CONDITION: Final = Keys("type", "branch", "expression")


class PlacedEdge(Struct, frozen=True, gc=False):
    """An edge and where it was given; `whole` when its members stand nowhere by themselves."""

    edge: Edge
    at: str
    whole: bool = False


def read_edge(reader: Reader, given: Member) -> PlacedEdge | None:
    """A drawn edge; None where its ends cannot be read."""
    plain = plain_edge(given.value)
    if plain is not None:
        return PlacedEdge(plain, given.at)
    members = reader.members(given, given.at, EDGE)
    if members is None:
        return None
    condition = read_condition(reader, members.get("condition"))
    source = read_end(reader, members, given, "from")
    target = read_end(reader, members, given, "to")
    if source is None or target is None or condition is None:
        return None
    return PlacedEdge(Edge(source, target, condition), given.at)


def plain_edge(value: object) -> Edge | None:
    """The edge, where it has two ends and no more: most have, and there may be very many."""
    if not isinstance(value, dict) or len(value) != 2:
        return None
    source, target = value.get("from"), value.get("to")
    if not isinstance(source, str) or not isinstance(target, str):
        return None
    return Edge(source, target)


def read_end(reader: Reader, members: Members, given: Member, name: str) -> str | None:
    """The id at one end of an edge, whether or not there is such a node."""
    end = members.get(name)
    if end is None:
        reader.invalid(f"{given.at}/{name}", f"{name} is missing")
    elif not isinstance(end.value, str):
        reader.invalid(end.at, f"this is the id of a node, not {kind(end.value)}")
    else:
        return end.value
    return None


def read_condition(reader: Reader, given: Member | None) -> Condition | None:
    """When the edge is taken; ON_SUCCESS where nothing is said, None where it is malformed."""
    if given is None:
        return ON_SUCCESS
    members = reader.members(given, given.at, CONDITION)
    if members is None:
        return None
    found = len(reader.problems)
    edge_type = read_edge_type(reader, members.get("type"))
    branch = reader.text(members.get("branch"), shortest=1, longest=BRANCH_CHARACTERS_MAX)
    expression = reader.text(
        members.get("expression"), shortest=1, longest=EXPRESSION_CHARACTERS_MAX
    )
    for name, owner in (("branch", EdgeType.BRANCH), ("expression", EdgeType.EXPRESSION)):
        if edge_type is owner and name not in members:
            reader.invalid(f"{given.at}/{name}", f"{name} is missing")
        elif edge_type not in {owner, None} and name in members:
            reader.invalid(members[name].at, f"{name} belongs to the type {owner}")
    if len(reader.problems) > found or edge_type is None:
        return None
    return Condition(edge_type, branch, expression)


def read_edge_type(reader: Reader, given: Member | None) -> EdgeType | None:
    """The type of a condition; None, reported, for a word that is none."""
    if given is None:
        return EdgeType.ON_SUCCESS
    if not isinstance(given.value, str) or given.value not in set(EdgeType):
        reader.invalid(given.at, f"this is one of {', '.join(EdgeType)}")
        return None
    return EdgeType(given.value)


def branch_edges(nodes: Iterable[RawNode]) -> list[PlacedEdge]:
    """One BRANCH edge for each step that a condition's `trueSteps` and `falseSteps` name."""
    return [
        PlacedEdge(
            Edge(raw.node.id, entry.target.value, Condition(EdgeType.BRANCH, entry.branch)),
            entry.target.at,
            whole=True,
        )
        for raw in nodes
        for entry in raw.branches
        if raw.node.id
    ]


def chain_edges(steps: Sequence[RawNode]) -> list[PlacedEdge]:
    """The edges of a list of steps that has none: each step after the one before it.

    A step that a condition names is entered over its branch alone; the next step that none names
    follows all of them, and the branches that name nobody.
    """
    entered = {entry.target.value for step in steps for entry in step.branches}
    edges: list[PlacedEdge] = []
    tails: list[tuple[str, Condition]] = []
    for step in steps:
        if step.node.id not in entered:
            edges += [
                PlacedEdge(Edge(source, step.node.id, condition), step.at, whole=True)
                for source, condition in tails
            ]
            tails = []
        tails += tails_of(step)
    return edges


def tails_of(step: RawNode) -> list[tuple[str, Condition]]:
    """How the chain goes on after a step: on success, or over the branches that lead nowhere."""
    if not step.branches:
        return [(step.node.id, ON_SUCCESS)]
    taken = {entry.branch for entry in step.branches}
    free = [branch for branch in BRANCH_LISTS.values() if branch not in taken]
    return [(step.node.id, Condition(EdgeType.BRANCH, branch)) for branch in free]


def spelled(placed: PlacedEdge, source_type: str | None) -> PlacedEdge:
    """The edge with its branch in the canonical spelling of its source's type."""
    edge, kind_of_source = placed.edge, NODE_TYPES.get(source_type or "")
    if edge.condition.branch is None or kind_of_source is None:
        return placed
    branch = kind_of_source.branch_aliases.get(edge.condition.branch)
    if branch is None:
        return placed
    condition = Condition(edge.condition.type, branch)
    return PlacedEdge(Edge(edge.source, edge.target, condition), placed.at, placed.whole)


def distinct(edges: Iterable[PlacedEdge]) -> list[PlacedEdge]:
    """The edges without those that say again what an earlier one said."""
    first: dict[Edge, PlacedEdge] = {}
    for placed in edges:
        first.setdefault(placed.edge, placed)
    return list(first.values())
