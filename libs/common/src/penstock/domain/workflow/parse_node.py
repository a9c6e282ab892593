"""Reading one node of a document, whatever its spelling."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, Struct

from penstock.domain.workflow.model import QUEUE_DEFAULT, AtLeast, Join, Node, Retry
from penstock.domain.workflow.node_types import canonical_name
from penstock.domain.workflow.parse_config import (
    BRANCH_LISTS,
    ID,
    INTO_CONFIG,
    Entry,
    read_branches,
    read_config,
)
from penstock.domain.workflow.problems import Code
from penstock.domain.workflow.reading import Keys, Member, Members, Reader

NAME_CHARACTERS_MAX: Final = 200
DESCRIPTION_CHARACTERS_MAX: Final = 10_000
TYPE_CHARACTERS_MAX: Final = 64
YEAR_MS: Final = 366 * 24 * 3600 * 1000
ATTEMPTS_MAX: Final = 1000
MULTIPLIER_MAX: Final = 1000

NODE: Final = Keys(
    *("id", "type", "name", "description", "config", "input", "join", "retry", "timeoutMs"),
    *("continueOnError", "queue", "position", *BRANCH_LISTS, *INTO_CONFIG),
    aliases={"retryConfig": "retry"},
)
RETRY: Final = Keys("maxAttempts", "backoffMs", "backoffMultiplier", "maxBackoffMs", "jitter")
AT_LEAST: Final = Keys("atLeast", "cancelOthers")


class RawNode(Struct, frozen=True, kw_only=True):
    """A node, and what its document said that a node does not hold.

    node: with id or type "" where they could not be read.
    at: the pointer to it.
    position: its place in a chain of steps.
    branches: what the lists of a condition named.
    body: a loop's body as it was given, which the node's config does not hold yet.
    """

    node: Node
    at: str
    position: float | None = None
    branches: tuple[Entry, ...] = ()
    body: Member | None = None


def read_node(
    reader: Reader, given: Member, canonical: str, defaults: Mapping[str, Any]
) -> RawNode | None:
    """The node that stands at `canonical` in the canonical document; None for no object.

    defaults: the members of the workflow's retry, which a node's retry is filled from.
    """
    reader.places.note(canonical, given.at)
    members = reader.members(given, canonical, NODE)
    if members is None:
        return None
    spelled = required_text(reader, members, given, "type", longest=TYPE_CHARACTERS_MAX)
    type_name = canonical_name(spelled) or spelled
    branches = read_branches(reader, members, type_name)
    config = read_config(reader, members, canonical, type_name)
    retry = members.get("retry")
    text = reader.text
    node = Node(
        id=read_id(reader, members, given),
        type=type_name,
        name=text(members.get("name"), longest=NAME_CHARACTERS_MAX),
        description=text(members.get("description"), longest=DESCRIPTION_CHARACTERS_MAX),
        config=config.values,
        input=read_input(reader, members),
        join=read_join(reader, members.get("join"), canonical),
        retry=None
        if retry is None
        else Retry(**{**defaults, **retry_members(reader, retry, f"{canonical}/retry")}),
        timeout_ms=reader.integer(members.get("timeoutMs"), least=1, most=YEAR_MS),
        continue_on_error=reader.flag(members.get("continueOnError")) or False,
        queue=reader.matching(members.get("queue"), ID) or QUEUE_DEFAULT,
    )
    return RawNode(
        node=node,
        at=given.at,
        position=reader.number(members.get("position"), least=-1e9, most=1e9),
        branches=(*branches, *config.branches),
        body=config.body,
    )


def read_id(reader: Reader, members: Members, given: Member) -> str:
    """The node's id, a malformed one too, so that edges still find it; "" for none."""
    if "id" not in members:
        reader.invalid(f"{given.at}/id", "id is missing")
        return ""
    reader.matching(members["id"], ID)
    return members["id"].value if isinstance(members["id"].value, str) else ""


def required_text(
    reader: Reader, members: Members, given: Member, name: str, *, longest: int
) -> str:
    """A text that must be there; "" where it is not."""
    if name not in members:
        reader.invalid(f"{given.at}/{name}", f"{name} is missing")
        return ""
    return reader.text(members[name], shortest=1, longest=longest) or ""


def read_input(reader: Reader, members: Members) -> Any:
    """The input template, which may be null; UNSET where the input rule applies."""
    given = members.get("input")
    return given.value if given is not None and reader.is_json(given) else UNSET


def read_join(reader: Reader, given: Member | None, canonical: str) -> Join | AtLeast:
    """The join, `all` where it could not be read."""
    if given is None:
        return Join.ALL
    if isinstance(given.value, dict):
        return read_at_least(reader, given, canonical) or Join.ALL
    if not isinstance(given.value, str) or given.value not in set(Join):
        reader.report(given.at, Code.BAD_JOIN, 'a join is "all", "any" or {atLeast: n}')
        return Join.ALL
    return Join(given.value)


def read_at_least(reader: Reader, given: Member, canonical: str) -> AtLeast | None:
    """The join of a number of edges; None where it could not be read."""
    members = reader.members(given, f"{canonical}/join", AT_LEAST) or {}
    cancel_others = reader.flag(members.get("cancelOthers")) or False
    number = members.get("atLeast")
    if number is None or type(number.value) is not int or number.value < 1:
        at = given.at if number is None else number.at
        reader.report(at, Code.BAD_JOIN, "atLeast is a number of edges, 1 or more")
        return None
    return AtLeast(at_least=number.value, cancel_others=cancel_others)


def retry_members(reader: Reader, given: Member, canonical: str) -> dict[str, Any]:
    """The members that a retry gives, by the names of Retry."""
    members = reader.members(given, canonical, RETRY) or {}
    read = {
        "max_attempts": reader.integer(members.get("maxAttempts"), least=1, most=ATTEMPTS_MAX),
        "backoff_ms": reader.integer(members.get("backoffMs"), least=0, most=YEAR_MS),
        "backoff_multiplier": reader.number(
            members.get("backoffMultiplier"), least=1, most=MULTIPLIER_MAX
        ),
        "max_backoff_ms": reader.integer(members.get("maxBackoffMs"), least=0, most=YEAR_MS),
        "jitter": reader.number(members.get("jitter"), least=0, most=1),
    }
    return {
        name: float(value) if name in {"backoff_multiplier", "jitter"} else value
        for name, value in read.items()
        if value is not None
    }
