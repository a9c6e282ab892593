"""From a decoded document in any spelling that is taken to a definition in canonical form.

This looks at one member at a time; `validate` looks at how they fit together.
"""

import re
from collections import Counter
from typing import Any, Final

from msgspec import Struct

from penstock.domain.workflow.model import Definition, Retry
from penstock.domain.workflow.parse_edges import (
    PlacedEdge,
    branch_edges,
    chain_edges,
    distinct,
    read_edge,
)
from penstock.domain.workflow.parse_node import (
    DESCRIPTION_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    RawNode,
    read_node,
    retry_members,
)
from penstock.domain.workflow.problems import Code, Places, Problem, not_yet
from penstock.domain.workflow.reading import Keys, Member, Members, Reader

RUN_TIMEOUT_MAX_MS: Final = 10 * 366 * 24 * 3600 * 1000
"""Ten years: a bound for the timer, not an opinion about runs."""

KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
LATER: Final = (
    *("output", "concurrency", "rateLimit", "rateLimitMaxConcurrent", "rateLimitPerMinute"),
)
RETRY_FLAT: Final = {"retryMaxAttempts": "maxAttempts", "retryBackoffMs": "backoffMs"}
DEFINITION: Final = Keys(
    *("id", "name", "description", "inputSchema", "timeoutMs", "retry", "nodes", "edges", "steps"),
    *LATER,
    *RETRY_FLAT,
    aliases={"retryConfig": "retry"},
    ignored=("tenantId", "createdAt", "updatedAt"),
)


class Limits(Struct, frozen=True, kw_only=True):
    """How large a definition may be; a tenant's may differ."""

    bytes: int = 1024 * 1024
    nodes: int = 10_000
    edges: int = 50_000


LIMITS: Final = Limits()


class Parsed(Struct, frozen=True, kw_only=True):
    """What was read.

    definition: None when nothing usable was given. With problems it holds what could be read, and
        nothing but `validate` may be done with it.
    key: the document's `id`, which names the workflow and is no part of the definition.
    places: where the members of the canonical definition stand in the document.
    """

    definition: Definition | None
    problems: list[Problem]
    places: Places
    key: str | None = None


def parse(document: object, *, name: str | None = None, limits: Limits = LIMITS) -> Parsed:
    """Reads a document; `name` is taken for the definition's where that has none.

    Pointers of problems lead into the given document, whatever its spelling.
    """
    reader = Reader()
    members = reader.members(Member(document, ""), "", DEFINITION)
    if members is None:
        return Parsed(definition=None, problems=reader.problems, places=reader.places)
    for later in LATER:
        if later in members:
            reader.report(members[later].at, Code.NOT_SUPPORTED, not_yet(later))
    key = reader.matching(members.get("id"), KEY)
    definition = read_definition(reader, members, name or "", limits)
    return Parsed(definition=definition, problems=reader.problems, places=reader.places, key=key)


def read_definition(reader: Reader, members: Members, name: str, limits: Limits) -> Definition:
    """The definition of these members, without what could not be read."""
    if "name" not in members and not name:
        reader.invalid("/name", "name is missing")
    retry = workflow_retry(reader, members)
    nodes = read_nodes(reader, members, retry or {}, limits)
    edges = read_edges(reader, members, nodes, limits)
    check_joins(reader, nodes, edges)
    schema = members.get("inputSchema")
    return Definition(
        name=reader.text(members.get("name"), shortest=1, longest=NAME_CHARACTERS_MAX) or name,
        description=reader.text(members.get("description"), longest=DESCRIPTION_CHARACTERS_MAX),
        input_schema=schema.value if schema is not None and reader.is_json(schema) else None,
        timeout_ms=reader.integer(members.get("timeoutMs"), least=1, most=RUN_TIMEOUT_MAX_MS),
        retry=None if retry is None else Retry(**retry),
        nodes=tuple(raw.node for raw in nodes),
        edges=tuple(placed.edge for placed in edges),
    )


def workflow_retry(reader: Reader, members: Members) -> dict[str, Any] | None:
    """The members of the workflow's retry, its flat spellings included; None for no retry."""
    flat = {RETRY_FLAT[name]: members[name] for name in RETRY_FLAT if name in members}
    given = members.get("retry")
    if given is None and not flat:
        return None
    found = {} if given is None else retry_members(reader, given, "/retry")
    for name, member in flat.items():
        alone = Reader()
        read = retry_members(alone, Member({name: member.value}, ""), "/retry")
        for problem in alone.problems:
            reader.invalid(member.at, problem.message)
        if read.keys() & found.keys():
            reader.invalid(member.at, f"{name} is given in retry too")
        found |= read
    return found


def read_nodes(
    reader: Reader, members: Members, retry: dict[str, Any], limits: Limits
) -> list[RawNode]:
    """The nodes, or the steps in the order of their positions."""
    given = members.get("nodes", members.get("steps"))
    if given is None:
        reader.invalid("/nodes", "nodes is missing")
        return []
    if "nodes" in members and "steps" in members:
        reader.invalid(members["steps"].at, "steps and nodes are the same; give one of them")
    items = reader.items(given)
    if given.value == []:
        reader.report(given.at, Code.EMPTY, "a workflow has at least one node")
    if len(items) > limits.nodes:
        message = f"{len(items)} nodes are more than {limits.nodes}"
        reader.report(given.at, Code.LIMIT_EXCEEDED, message)
        return []
    is_chain = "nodes" not in members
    if is_chain:
        items.sort(key=position)
    return numbered(reader, items, retry, is_chain=is_chain)


def numbered(
    reader: Reader, items: list[Member], retry: dict[str, Any], *, is_chain: bool
) -> list[RawNode]:
    """The nodes that could be read, each under its number in the canonical document."""
    nodes: list[RawNode] = []
    for item in items:
        raw = read_node(reader, item, len(nodes), retry)
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
    reader: Reader, members: Members, nodes: list[RawNode], limits: Limits
) -> list[PlacedEdge]:
    """The edges that are drawn or implied, each once, under their canonical numbers."""
    given = members.get("edges")
    items = [] if given is None else reader.items(given)
    if given is not None and len(items) > limits.edges:
        message = f"{len(items)} edges are more than {limits.edges}"
        reader.report(given.at, Code.LIMIT_EXCEEDED, message)
        return []
    drawn = [edge for item in items if (edge := read_edge(reader, item)) is not None]
    is_chain = "nodes" not in members and not items
    chained = chain_edges(nodes) if is_chain else []
    edges = distinct([*drawn, *branch_edges(nodes), *chained])
    for index, placed in enumerate(edges):
        reader.places.note(f"/edges/{index}", placed.at, whole=placed.whole)
    return edges


def check_joins(reader: Reader, nodes: list[RawNode], edges: list[PlacedEdge]) -> None:
    """Reports joins that wait for more edges than lead to their node."""
    incoming = Counter(placed.edge.target for placed in edges)
    for raw in nodes:
        if raw.at_least is not None and raw.at_least.value > incoming[raw.node.id]:
            count = incoming[raw.node.id]
            message = f"{raw.at_least.value} edges are waited for and {count} lead here"
            reader.report(raw.at_least.at, Code.BAD_JOIN, message)
