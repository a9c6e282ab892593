"""From a decoded document in any spelling that is taken to a definition in canonical form.

This looks at one member at a time; `validate` looks at how they fit together.
"""

import re
from typing import Any, Final

from msgspec import UNSET, Struct

from penstock.domain.workflow.model import Definition, Retry
from penstock.domain.workflow.parse_drawing import Allowance, Ground, read_drawing
from penstock.domain.workflow.parse_flow import RATE_FLAT, read_concurrency, read_rate_limit
from penstock.domain.workflow.parse_node import (
    DESCRIPTION_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    retry_members,
)
from penstock.domain.workflow.problems import Places, Problem
from penstock.domain.workflow.reading import Keys, Member, Members, Reader

RUN_TIMEOUT_MAX_MS: Final = 10 * 366 * 24 * 3600 * 1000
"""Ten years: a bound for the timer, not an opinion about runs."""

KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
RETRY_FLAT: Final = {"retryMaxAttempts": "maxAttempts", "retryBackoffMs": "backoffMs"}
DEFINITION: Final = Keys(
    *("id", "name", "description", "inputSchema", "timeoutMs", "retry", "nodes", "edges", "steps"),
    *("output", "concurrency", "rateLimit", "queuedTimeoutMs"),
    *RATE_FLAT,
    *RETRY_FLAT,
    aliases={"retryConfig": "retry"},
    ignored=("tenantId", "createdAt", "updatedAt"),
)


class Limits(Struct, frozen=True, kw_only=True):
    """How large a definition may be, in all its scopes together; a tenant's may differ.

    depth: how deep bodies of loops may nest.
    """

    bytes: int = 1024 * 1024
    nodes: int = 10_000
    edges: int = 50_000
    depth: int = 8


LIMITS: Final = Limits()


class Parsed(Struct, frozen=True, kw_only=True):
    """What was read.

    definition: None when nothing usable was given. With problems it holds what could be read, and
        nothing but `validate` may be done with it.
    key: the document's `id`, which names the workflow and is no part of the definition.
    places: where the members of the canonical definition stand in the document.
    is_whole: whether all of it was read; not where a limit was passed.
    """

    definition: Definition | None
    problems: list[Problem]
    places: Places
    key: str | None = None
    is_whole: bool = True


def parse(document: object, *, name: str | None = None, limits: Limits = LIMITS) -> Parsed:
    """Reads a document; `name` is taken for the definition's where that has none.

    Pointers of problems lead into the given document, whatever its spelling.
    """
    reader = Reader()
    members = reader.members(Member(document, ""), "", DEFINITION)
    if members is None:
        return Parsed(definition=None, problems=reader.problems, places=reader.places)
    key = reader.matching(members.get("id"), KEY)
    allowance = Allowance(nodes=limits.nodes, edges=limits.edges, depth=limits.depth)
    definition = read_definition(reader, members, name or "", allowance)
    return Parsed(
        definition=definition,
        problems=reader.problems,
        places=reader.places,
        key=key,
        is_whole=not allowance.is_exceeded,
    )


def read_definition(
    reader: Reader, members: Members, name: str, allowance: Allowance
) -> Definition:
    """The definition of these members, without what could not be read."""
    if "name" not in members and not name:
        reader.invalid("/name", "name is missing")
    retry = workflow_retry(reader, members)
    drawing = read_drawing(reader, members, Ground(allowance=allowance, retry=retry or {}))
    schema, output = members.get("inputSchema"), members.get("output")
    return Definition(
        name=reader.text(members.get("name"), shortest=1, longest=NAME_CHARACTERS_MAX) or name,
        description=reader.text(members.get("description"), longest=DESCRIPTION_CHARACTERS_MAX),
        input_schema=schema.value if schema is not None and reader.is_json(schema) else None,
        timeout_ms=read_limit(reader, members.get("timeoutMs")),
        queued_timeout_ms=read_limit(reader, members.get("queuedTimeoutMs")),
        retry=None if retry is None else Retry(**retry),
        concurrency=read_concurrency(reader, members.get("concurrency")),
        rate_limit=read_rate_limit(reader, members),
        output=output.value if output is not None and reader.is_json(output) else UNSET,
        nodes=drawing.nodes,
        edges=tuple(placed.edge for placed in drawing.edges),
    )


def read_limit(reader: Reader, given: Member | None) -> int | None:
    """A time limit of a run, in ms."""
    return reader.integer(given, least=1, most=RUN_TIMEOUT_MAX_MS)


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
