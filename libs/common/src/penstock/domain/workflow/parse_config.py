"""Reading a node's config, whatever its spelling; a loop's body is left for `parse_drawing`."""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from penstock.domain.workflow.node_types import NODE_TYPES
from penstock.domain.workflow.problems import Code
from penstock.domain.workflow.reading import Member, Members, Reader, camel, kind

ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Of a node, a workflow and a queue; what stands in a subject must match it."""

BRANCH_LISTS: Final = {"trueSteps": "true", "falseSteps": "false"}
INTO_CONFIG: Final = ("pluginId", "pluginVersion")
AUTH: Final = "auth"
CONNECTION: Final = "connection"


class Entry(Struct, frozen=True):
    """A branch of a condition that names the step it leads to, as older definitions do."""

    branch: str
    target: Member


class RawConfig(Struct, frozen=True, kw_only=True):
    """A config, and what its document said that a config does not hold.

    values: the config with its members in canonical spelling, but for a loop's body.
    branches: what the lists of a condition named.
    body: a loop's body as it was given.
    """

    values: dict[str, Any]
    branches: tuple[Entry, ...] = ()
    body: Member | None = None


def read_config(reader: Reader, members: Members, canonical: str, type_name: str) -> RawConfig:
    """The config of a node of this type, whose own members these are."""
    given = members.get("config", Member({}, ""))
    if not isinstance(given.value, dict):
        reader.invalid(given.at, f"this is an object, not {kind(given.value)}")
        return RawConfig(values={})
    body = given.value.get("body") if type_name == "loop" else None
    rest = {key: value for key, value in given.value.items() if body is None or key != "body"}
    if not reader.is_json(Member(rest, given.at)):
        rest = {}
    values: dict[str, Any] = {}
    lists: Members = {}
    for key, value in rest.items():
        name = config_name(type_name, key, given.value)
        member = Member(value, f"{given.at}/{key}")
        if name == AUTH and names_connection(type_name, given.value):
            values[CONNECTION] = value[CONNECTION]
            reader.places.note(f"{canonical}/config/{CONNECTION}", f"{member.at}/{CONNECTION}")
            continue
        if type_name == "condition" and name in BRANCH_LISTS:
            lists[name] = member
            continue
        reader.places.note(f"{canonical}/config/{name}", member.at)
        values[name] = value
    for name in INTO_CONFIG:
        if name in members and reader.is_json(members[name]):
            reader.places.note(f"{canonical}/config/{name}", members[name].at)
            values[name] = members[name].value
    return RawConfig(
        values=with_branches_spelled(type_name, values),
        branches=read_branches(reader, lists, type_name),
        body=None if body is None else Member(body, f"{given.at}/body"),
    )


def config_name(type_name: str, key: str, config: Mapping[str, Any]) -> str:
    """A config member's canonical name: camelCase where only that is in the type's schema."""
    kind_of_node = NODE_TYPES.get(type_name)
    if kind_of_node is None:
        return camel(key) if camel(key) in BRANCH_LISTS and camel(key) not in config else key
    known = kind_of_node.config_schema.get("properties", {})
    name = kind_of_node.config_aliases.get(camel(key), camel(key))
    is_spelling = key not in known and (name in known or name in BRANCH_LISTS)
    return name if is_spelling and name not in config else key


def names_connection(type_name: str, config: Mapping[str, Any]) -> bool:
    """Whether a config's `auth: {connection: name}` is what another says as `connection: name`."""
    kind_of_node = NODE_TYPES.get(type_name)
    said = config.get(AUTH)
    takes = kind_of_node is not None and kind_of_node.takes_connection
    return takes and CONNECTION not in config and isinstance(said, dict) and [*said] == [CONNECTION]


def with_branches_spelled(type_name: str, config: dict[str, Any]) -> dict[str, Any]:
    """The config with the branches that it names in their canonical spelling."""
    kind_of_node = NODE_TYPES.get(type_name)
    if kind_of_node is None or not kind_of_node.branch_aliases:
        return config
    spelled = {
        name: kind_of_node.branch_aliases.get(config[name], config[name])
        for name in kind_of_node.branch_fields
        if isinstance(config.get(name), str)
    }
    return config | spelled


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
