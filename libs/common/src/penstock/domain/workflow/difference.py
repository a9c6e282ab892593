"""How two definitions differ: node by node, edge by edge, with the place of every change.

A pointer leads into the newer definition's canonical document, that of something removed into the
older one's. Two definitions without a difference have the same content hash.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from penstock.domain.template import escaped
from penstock.domain.workflow.model import Definition, to_wire

Document = dict[str, Any]
Ends = tuple[str, str]


class Kind(StrEnum):
    """What became of a value."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Shape(Struct, frozen=True, kw_only=True, rename="camel"):
    """The shape that all parts of a difference share: camelCase on the wire."""


class Change(Shape, frozen=True):
    """One value that differs; `before` and `after` are left out where there is none."""

    pointer: str
    kind: Kind
    before: Any | UnsetType = UNSET
    after: Any | UnsetType = UNSET


class NodeThere(Shape, frozen=True):
    """A node that only one of the definitions has."""

    id: str
    pointer: str
    node: Document


class NodeChanged(Shape, frozen=True):
    """A node that both have, and what differs in it."""

    id: str
    pointer: str
    changes: tuple[Change, ...]


class Nodes(Shape, frozen=True):
    """The nodes that differ. reordered: those that both have come in another order."""

    added: tuple[NodeThere, ...] = ()
    removed: tuple[NodeThere, ...] = ()
    changed: tuple[NodeChanged, ...] = ()
    reordered: bool = False


class EdgeThere(Shape, frozen=True):
    """An edge that only one of the definitions has."""

    pointer: str
    edge: Document


class EdgeChanged(Shape, frozen=True):
    """The one edge between two nodes, with another condition."""

    pointer: str
    before: Document
    after: Document


class Edges(Shape, frozen=True):
    """The edges that differ. reordered: as in `Nodes`."""

    added: tuple[EdgeThere, ...] = ()
    removed: tuple[EdgeThere, ...] = ()
    changed: tuple[EdgeChanged, ...] = ()
    reordered: bool = False


class Difference(Shape, frozen=True):
    """All that differs; `settings` is what stands beside nodes and edges."""

    settings: tuple[Change, ...]
    nodes: Nodes
    edges: Edges

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not self.settings and self.nodes == Nodes() and self.edges == Edges()


def difference(older: Definition, newer: Definition) -> Difference:
    """What `newer` has made of `older`. O(size of both)."""
    before, after = to_wire(older), to_wire(newer)
    old_nodes, new_nodes = before.pop("nodes"), after.pop("nodes")
    old_edges, new_edges = before.pop("edges"), after.pop("edges")
    return Difference(
        settings=tuple(changes("", before, after)),
        nodes=nodes_between(old_nodes, new_nodes),
        edges=edges_between(old_edges, new_edges),
    )


def nodes_between(before: Sequence[Document], after: Sequence[Document]) -> Nodes:
    """The nodes that differ, found by their ids."""
    old = {node["id"]: (f"/nodes/{number}", node) for number, node in enumerate(before)}
    new = {node["id"]: (f"/nodes/{number}", node) for number, node in enumerate(after)}
    shared = [node_id for node_id in new if node_id in old]
    found = (
        NodeChanged(id=node_id, pointer=new[node_id][0], changes=tuple(inner))
        for node_id in shared
        if (inner := node_changes(old[node_id], new[node_id]))
    )
    return Nodes(
        added=tuple(node_there(new[each]) for each in new if each not in old),
        removed=tuple(node_there(old[each]) for each in old if each not in new),
        changed=tuple(found),
        reordered=shared != [node_id for node_id in old if node_id in new],
    )


def node_there(placed: tuple[str, Document]) -> NodeThere:
    """A node with its place."""
    pointer, node = placed
    return NodeThere(id=node["id"], pointer=pointer, node=node)


def node_changes(old: tuple[str, Document], new: tuple[str, Document]) -> list[Change]:
    """What differs in one node; what it lost is placed in the older definition."""
    return list(changes(new[0], old[1], new[1], was_at=old[0]))


def edges_between(before: Sequence[Document], after: Sequence[Document]) -> Edges:
    """The edges that differ; where one edge leads from here to there, it is the same edge."""
    single = {ends for ends, count in count_of(before).items() if count == 1}
    single &= {ends for ends, count in count_of(after).items() if count == 1}
    old, new = by_name(before, single), by_name(after, single)
    shared = [name for name in new if name in old]
    return Edges(
        added=tuple(new[name] for name in new if name not in old),
        removed=tuple(old[name] for name in old if name not in new),
        changed=tuple(
            EdgeChanged(pointer=new[name].pointer, before=old[name].edge, after=new[name].edge)
            for name in shared
            if old[name].edge != new[name].edge
        ),
        reordered=shared != [name for name in old if name in new],
    )


def count_of(edges: Sequence[Document]) -> Counter[Ends]:
    """How many edges lead from one node to another."""
    return Counter((edge["from"], edge["to"]) for edge in edges)


def by_name(
    edges: Sequence[Document], single: Collection[Ends]
) -> dict[tuple[str, ...], EdgeThere]:
    """The edges by what they are known by: their ends, and where that is not enough, all."""
    found: dict[tuple[str, ...], EdgeThere] = {}
    for number, edge in enumerate(edges):
        ends = (edge["from"], edge["to"])
        name = ends if ends in single else (*ends, json.dumps(edge.get("condition")))
        found[name] = EdgeThere(pointer=f"/edges/{number}", edge=edge)
    return found


def changes(
    pointer: str, before: Any, after: Any, *, was_at: str | None = None
) -> Iterator[Change]:
    """Every value that differs, as deep as both are objects or lists."""
    was_at = pointer if was_at is None else was_at
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        old, new = dict(before), dict(after)
    elif isinstance(before, list) and isinstance(after, list):
        old, new = ({str(n): v for n, v in enumerate(each)} for each in (before, after))
    else:
        if repr(before) != repr(after):  # 1, 1.0 and true are equal, and written differently
            yield Change(pointer=pointer, kind=Kind.CHANGED, before=before, after=after)
        return
    for name in dict.fromkeys([*old, *new]):
        at, was = f"{pointer}/{escaped(name)}", f"{was_at}/{escaped(name)}"
        if name not in new:
            yield Change(pointer=was, kind=Kind.REMOVED, before=old[name])
        elif name not in old:
            yield Change(pointer=at, kind=Kind.ADDED, after=new[name])
        else:
            yield from changes(at, old[name], new[name], was_at=was)
