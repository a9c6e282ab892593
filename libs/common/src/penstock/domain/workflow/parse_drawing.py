"""Reading what is drawn: the nodes and edges of a document, and those in the bodies of its loops.

A body is read exactly as the document around it, so that every spelling is taken at any depth.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, structs

from penstock.domain.workflow.model import Node, drawing_to_wire
from penstock.domain.workflow.parse_edges import (
    PlacedEdge,
    branch_edges,
    chain_edges,
    distinct,
    read_edge,
    spelled,
)
from penstock.domain.workflow.parse_node import RawNode, read_node
from penstock.domain.workflow.problems import Code
from penstock.domain.workflow.reading import Keys, Member, Members, Reader

BODY: Final = Keys("nodes", "edges", "steps", "workflowId", "version")
DRAWN: Final = ("nodes", "steps", "edges")
WORKFLOW_NODE: Final = "workflow"
"""The id of the one node in a body that is a workflow."""


class Allowance:
    """How much may still be drawn, in all scopes together; `is_exceeded` once it was too much."""

    def __init__(self, *, nodes: int, edges: int, depth: int) -> None:
        self.limits = {"nodes": nodes, "edges": edges}
        self.used = {"nodes": 0, "edges": 0}
        self.depth = depth
        self.is_exceeded = False

    def takes(self, reader: Reader, given: Member, what: str, count: int) -> bool:
        """Whether so many more nodes or edges may be drawn; reported where not."""
        self.used[what] += count
        if self.used[what] <= self.limits[what]:
            return True
        message = f"{self.used[what]} {what} are more than {self.limits[what]}"
        self.refuse(reader, given.at, message)
        return False

    def refuse(self, reader: Reader, at: str, message: str) -> None:
        """Reports what is left unread because it is too much."""
        reader.report(at, Code.LIMIT_EXCEEDED, message)
        self.is_exceeded = True


class Ground(Struct, frozen=True, kw_only=True):
    """Where a drawing stands: in the document itself, or in the body of a loop.

    at: the pointer to it in the document; canonical: in the canonical one.
    retry: the members of the workflow's retry, which those of nodes are filled from.
    depth: in how many bodies it stands.
    """

    allowance: Allowance
    retry: Mapping[str, Any]
    at: str = ""
    canonical: str = ""
    depth: int = 0


class RawDrawing(Struct, frozen=True):
    """The nodes and edges of one scope."""

    nodes: tuple[Node, ...]
    edges: tuple[PlacedEdge, ...]


def read_drawing(reader: Reader, members: Members, ground: Ground) -> RawDrawing:
    """The nodes and edges among these members, without what could not be read."""
    nodes = read_nodes(reader, members, ground)
    edges = read_edges(reader, members, nodes, ground)
    return RawDrawing(
        tuple(
            with_body(reader, raw, ground, f"{ground.canonical}/nodes/{number}")
            for number, raw in enumerate(nodes)
        ),
        tuple(edges),
    )


def read_nodes(reader: Reader, members: Members, ground: Ground) -> list[RawNode]:
    """The nodes, or the steps in the order of their positions."""
    given = members.get("nodes", members.get("steps"))
    if given is None:
        reader.invalid(f"{ground.at}/nodes", "nodes is missing")
        return []
    if "nodes" in members and "steps" in members:
        reader.invalid(members["steps"].at, "steps and nodes are the same; give one of them")
    items = reader.items(given)
    if given.value == []:
        reader.report(given.at, Code.EMPTY, "a workflow has at least one node")
    if not ground.allowance.takes(reader, given, "nodes", len(items)):
        return []
    is_chain = "nodes" not in members
    if is_chain:
        items.sort(key=position)
    return numbered(reader, items, ground, is_chain=is_chain)


def numbered(
    reader: Reader, items: list[Member], ground: Ground, *, is_chain: bool
) -> list[RawNode]:
    """The nodes that could be read, each under its number in the canonical document."""
    nodes: list[RawNode] = []
    for item in items:
        raw = read_node(reader, item, f"{ground.canonical}/nodes/{len(nodes)}", ground.retry)
        if raw is None:
            continue
        nodes.append(raw)
        if raw.position is not None and not is_chain:
            reader.report(f"{raw.at}/position", Code.UNKNOWN_KEY, "position belongs to steps")
    return nodes


def position(step: Member) -> float:
    """Where a step stands in its chain; those without a position come last, as they are listed."""
    given = step.value.get("position") if isinstance(step.value, dict) else None
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return given if is_number and given is not None else float("inf")


def read_edges(
    reader: Reader, members: Members, nodes: list[RawNode], ground: Ground
) -> list[PlacedEdge]:
    """The edges that are drawn or implied, each once, under their canonical numbers."""
    given = members.get("edges")
    items = [] if given is None else reader.items(given)
    if given is not None and not ground.allowance.takes(reader, given, "edges", len(items)):
        return []
    drawn = [edge for item in items if (edge := read_edge(reader, item)) is not None]
    is_chain = "nodes" not in members and not items
    chained = chain_edges(nodes) if is_chain else []
    types = {raw.node.id: raw.node.type for raw in nodes}
    named = [spelled(placed, types.get(placed.edge.source)) for placed in drawn]
    edges = distinct([*named, *branch_edges(nodes), *chained])
    for index, placed in enumerate(edges):
        canonical = f"{ground.canonical}/edges/{index}"
        reader.places.note(canonical, placed.at, whole=placed.whole)
    return edges


def with_body(reader: Reader, raw: RawNode, ground: Ground, canonical: str) -> Node:
    """The node, a loop's with its canonical body in its config."""
    if raw.body is None:
        return raw.node
    allowance, depth = ground.allowance, ground.depth + 1
    body = Ground(
        allowance=allowance,
        retry=ground.retry,
        at=raw.body.at,
        canonical=f"{canonical}/config/body",
        depth=depth,
    )
    drawing: dict[str, Any] = {"nodes": [], "edges": []}
    if depth > allowance.depth:
        message = f"bodies of loops nest at most {allowance.depth} deep"
        allowance.refuse(reader, raw.body.at, message)
    else:
        drawing |= read_body(reader, raw.body, body)
    return structs.replace(raw.node, config=raw.node.config | {"body": drawing})


def read_body(reader: Reader, given: Member, ground: Ground) -> dict[str, Any]:
    """The canonical body of a loop; {} where it is no object."""
    reader.places.note(ground.canonical, given.at)
    members = reader.members(given, ground.canonical, BODY)
    if members is None:
        return {}
    if "workflowId" not in members and "version" not in members:
        drawing = read_drawing(reader, members, ground)
        return drawing_to_wire(drawing.nodes, (placed.edge for placed in drawing.edges))
    for name in DRAWN:
        if name in members:
            reader.invalid(members[name].at, "a body is nodes and edges, or else a workflow")
    return workflow_body(reader, members, ground)


def workflow_body(reader: Reader, members: Members, ground: Ground) -> dict[str, Any]:
    """The body that is a workflow, as the one node that runs it."""
    at = f"{ground.canonical}/nodes/0"
    reader.places.note(at, ground.at, whole=True)
    if not ground.allowance.takes(reader, Member(None, ground.at), "nodes", 1):
        return {}
    config: dict[str, Any] = {}
    for name in ("workflowId", "version"):
        reader.places.note(f"{at}/config/{name}", f"{ground.at}/{name}")
        if name in members and reader.is_json(members[name]):
            reader.places.note(f"{at}/config/{name}", members[name].at)
            config[name] = members[name].value
    return drawing_to_wire([Node(id=WORKFLOW_NODE, type="sub_workflow", config=config)], ())
