"""Reading one node of a document, whatever its spelling."""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, Struct

from penstock.domain.workflow.model import QUEUE_DEFAULT, Join, Node, Retry
from penstock.domain.workflow.node_types import NODE_TYPES, canonical_name
from penstock.domain.workflow.problems import Code, not_yet
from penstock.domain.workflow.reading import Keys, Member, Members, Reader, camel, kind

ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
NAME_CHARACTERS_MAX: Final = 200
DESCRIPTION_CHARACTERS_MAX: Final = 10_000
TYPE_CHARACTERS_MAX: Final = 64
YEAR_MS: Final = 366 * 24 * 3600 * 1000
ATTEMPTS_MAX: Final = 1000
MULTIPLIER_MAX: Final = 1000

BRANCH_LISTS: Final = {"trueSteps": "true", "falseSteps": "false"}
INTO_CONFIG: Final = ("pluginId", "pluginVersion")

NODE: Final = Keys(
    *("id", "type", "name", "description", "config", "input", "join", "retry", "timeoutMs"),
    *("continueOnError", "queue", "position", *BRANCH_LISTS, *INTO_CONFIG),
    aliases={"retryConfig": "retry"},
)
RETRY: Final = Keys("maxAttempts", "backoffMs", "backoffMultiplier", "maxBackoffMs", "jitter")
AT_LEAST: Final = Keys("atLeast", "cancelOthers")


class Entry(Struct, frozen=True):
    """A branch of a condition that names the step it leads to, as older definitions do."""

    branch: str
    target: Member


class RawNode(Struct, frozen=True, kw_only=True):
    """A node, and what its document said that a node does not hold.

    node: with id or type "" where they could not be read.
    at: the pointer to it.
    position: its place in a chain of steps.
    at_least: how many edges its join waits for, where it gave a number.
    """

    node: Node
    at: str
    position: float | None = None
    branches: tuple[Entry, ...] = ()
    at_least: Member | None = None


def read_node(
    reader: Reader, given: Member, index: int, defaults: Mapping[str, Any]
) -> RawNode | None:
    """The node at `index` of the canonical document; None where there is no object.

    defaults: the members of the workflow's retry, which a node's retry is filled from.
    """
    canonical = f"/nodes/{index}"
    reader.places.note(canonical, given.at)
    members = reader.members(given, canonical, NODE)
    if members is None:
        return None
    spelled = required_text(reader, members, given, "type", longest=TYPE_CHARACTERS_MAX)
    type_name = canonical_name(spelled) or spelled
    branches = read_branches(reader, members, type_name)
    config, config_branches = read_config(reader, members, canonical, type_name)
    retry = members.get("retry")
    text = reader.text
    node = Node(
        id=read_id(reader, members, given),
        type=type_name,
        name=text(members.get("name"), longest=NAME_CHARACTERS_MAX),
        description=text(members.get("description"), longest=DESCRIPTION_CHARACTERS_MAX),
        config=config,
        input=read_input(reader, members),
        join=read_join(reader, members),
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
        branches=(*branches, *config_branches),
        at_least=read_at_least(reader, members, canonical),
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


def read_config(
    reader: Reader, members: Members, canonical: str, type_name: str
) -> tuple[dict[str, Any], tuple[Entry, ...]]:
    """The config with its members in canonical spelling, and the branches it named."""
    given = members.get("config", Member({}, ""))
    if not isinstance(given.value, dict):
        reader.invalid(given.at, f"this is an object, not {kind(given.value)}")
        return {}, ()
    if not reader.is_json(given):
        return {}, ()
    config: dict[str, Any] = {}
    lists: Members = {}
    for key, value in given.value.items():
        name = config_name(type_name, key, given.value)
        member = Member(value, f"{given.at}/{key}")
        if type_name == "condition" and name in BRANCH_LISTS:
            lists[name] = member
            continue
        reader.places.note(f"{canonical}/config/{name}", member.at)
        config[name] = value
    for name in INTO_CONFIG:
        if name in members and reader.is_json(members[name]):
            reader.places.note(f"{canonical}/config/{name}", members[name].at)
            config[name] = members[name].value
    return config, read_branches(reader, lists, type_name)


def config_name(type_name: str, key: str, config: Mapping[str, Any]) -> str:
    """A config member's canonical name: camelCase where only that is in the type's schema."""
    kind_of_node = NODE_TYPES.get(type_name)
    known = {} if kind_of_node is None else kind_of_node.config_schema.get("properties", {})
    name = camel(key)
    is_spelling = key not in known and (name in known or name in BRANCH_LISTS)
    return name if is_spelling and name not in config else key


def read_branches(reader: Reader, members: Members, type_name: str) -> tuple[Entry, ...]:
    """What `trueSteps` and `falseSteps` name; one step may stand without its list."""
    entries: list[Entry] = []
    for name, branch in BRANCH_LISTS.items():
        given = members.get(name)
        if given is None:
            continue
        if type_name != "condition":
            reader.report(given.at, Code.UNKNOWN_KEY, f"{name} belongs to a condition")
            continue
        targets = [given] if isinstance(given.value, str) else reader.items(given)
        named = (target for target in targets if reader.matching(target, ID) is not None)
        entries.extend(Entry(branch, target) for target in named)
    return tuple(entries)


def read_join(reader: Reader, members: Members) -> Join:
    """The join, `all` where it could not be read or is a number of edges."""
    given = members.get("join")
    if given is None or isinstance(given.value, dict):
        return Join.ALL
    if not isinstance(given.value, str) or given.value not in set(Join):
        reader.report(given.at, Code.BAD_JOIN, 'a join is "all", "any" or {atLeast: n}')
        return Join.ALL
    return Join(given.value)


def read_at_least(reader: Reader, members: Members, canonical: str) -> Member | None:
    """The number of edges that a join waits for, where it is one."""
    given = members.get("join")
    if given is None or not isinstance(given.value, dict):
        return None
    reader.report(given.at, Code.NOT_SUPPORTED, not_yet("atLeast"))
    found = reader.members(given, f"{canonical}/join", AT_LEAST) or {}
    reader.flag(found.get("cancelOthers"))
    number = found.get("atLeast")
    is_number = number is not None and type(number.value) is int and number.value >= 1
    if not is_number:
        reader.report(given.at, Code.BAD_JOIN, "atLeast is a number of edges, 1 or more")
        return None
    return number


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
