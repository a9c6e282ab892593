"""How definitions differ: nothing between the same, every change at its place between others."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.workflow.difference import (
    Change,
    Difference,
    EdgeChanged,
    EdgeThere,
    Kind,
    NodeChanged,
    difference,
)
from penstock.domain.workflow.model import Definition, canonical_bytes, from_wire, to_wire
from tests.unit.domain.workflow.drawings import definitions, shapes


def drawn(
    *nodes: dict[str, Any], edges: list[dict[str, Any]] | None = None, **more: Any
) -> Definition:
    """A definition of these nodes."""
    return from_wire({"name": "w", **more, "nodes": list(nodes), "edges": edges or []})


def node(node_id: str, **config: Any) -> dict[str, Any]:
    return {"id": node_id, "type": "noop"} | ({"config": config} if config else {})


def test_settings_differ_beside_nodes_and_edges() -> None:
    older = drawn(node("a"), timeoutMs=5, description="d")
    newer = drawn(node("a"), timeoutMs=6, inputSchema={"type": "object"})
    found = difference(older, newer)
    assert sorted(found.settings, key=lambda each: each.pointer) == [
        Change(pointer="/description", kind=Kind.REMOVED, before="d"),
        Change(pointer="/inputSchema", kind=Kind.ADDED, after={"type": "object"}),
        Change(pointer="/timeoutMs", kind=Kind.CHANGED, before=5, after=6),
    ]
    assert (found.nodes, found.edges) == (Difference((), *nothing()).nodes, nothing()[1])


def nothing() -> tuple[Any, Any]:
    same = difference(drawn(node("a")), drawn(node("a")))
    assert same.is_empty
    return same.nodes, same.edges


def test_a_node_is_known_by_its_id_and_differs_member_by_member() -> None:
    older = drawn(node("gone"), node("a", url="x", headers={"h": "1"}, list=[1, 2]))
    newer = drawn(node("a", url="y", headers={"h": "1", "n/m": "2"}, list=[1]), node("new"))
    nodes = difference(older, newer).nodes
    assert [(each.id, each.pointer) for each in nodes.added] == [("new", "/nodes/1")]
    assert [(each.id, each.pointer) for each in nodes.removed] == [("gone", "/nodes/0")]
    (changed,) = nodes.changed
    assert isinstance(changed, NodeChanged)
    assert (changed.id, changed.pointer) == ("a", "/nodes/0")
    assert {(each.pointer, each.kind) for each in changed.changes} == {
        ("/nodes/0/config/url", Kind.CHANGED),
        ("/nodes/0/config/headers/n~1m", Kind.ADDED),
        ("/nodes/1/config/list/1", Kind.REMOVED),
    }


def test_equal_numbers_that_are_written_differently_differ() -> None:
    found = difference(drawn(node("a", n=1)), drawn(node("a", n=True)))
    assert [each.id for each in found.nodes.changed] == ["a"]


def test_an_edge_is_known_by_its_ends_while_it_is_the_only_one() -> None:
    both = (node("a"), node("b"))
    plain = {"from": "a", "to": "b"}
    failing = {**plain, "condition": {"type": "ON_FAILURE"}}
    always = {**plain, "condition": {"type": "ALWAYS"}}
    one = difference(drawn(*both, edges=[plain]), drawn(*both, edges=[failing])).edges
    assert one.changed == (EdgeChanged(pointer="/edges/0", before=plain, after=failing),)
    assert (one.added, one.removed) == ((), ())
    two = difference(drawn(*both, edges=[plain]), drawn(*both, edges=[always, plain])).edges
    assert two.added == (EdgeThere(pointer="/edges/0", edge=always),)
    assert (two.removed, two.changed) == ((), ())


def test_another_order_is_told() -> None:
    found = difference(drawn(node("a"), node("b")), drawn(node("b"), node("a")))
    assert found.nodes.reordered
    assert not found.edges.reordered
    assert not difference(drawn(node("a")), drawn(node("b"), node("a"))).nodes.reordered


@given(definitions(), definitions())
def test_only_the_same_definition_has_no_difference(older: Definition, newer: Definition) -> None:
    is_same = canonical_bytes(older) == canonical_bytes(newer)
    assert difference(older, newer).is_empty == is_same
    assert difference(older, from_wire(to_wire(older))).is_empty


@given(shapes(), shapes(), st.data())
def test_what_is_added_one_way_is_removed_the_other(
    older: Definition, newer: Definition, data: st.DataObject
) -> None:
    there, back = difference(older, newer), difference(newer, older)
    assert {each.id for each in there.nodes.added} == {each.id for each in back.nodes.removed}
    assert [each.edge for each in there.edges.added] == [each.edge for each in back.edges.removed]
    wire = to_wire(newer)
    for each in there.edges.added:
        assert wire["edges"][int(each.pointer.removeprefix("/edges/"))] == each.edge
