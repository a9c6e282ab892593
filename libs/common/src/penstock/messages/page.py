"""The page that lists every message, made from the catalogue and the envelopes.

`python -m penstock.messages.page > docs/messages.md` writes it anew.
"""

import sys
from collections.abc import Iterable, Iterator
from inspect import getdoc
from typing import Any, get_args

import msgspec
from msgspec import Struct, inspect

from penstock.domain.run.commands import Report
from penstock.messages import envelope
from penstock.messages.catalogue import COMMAND_TYPES, EVENT, EVENT_TYPES, GATE, NUMBER, RUN, USERS
from penstock.messages.rollcall import RollCall

INTRODUCTION = f"""\
# Messages

Every command, report and event with its members as they are on the wire: JSON, camelCase, the name
in the member `type`. A member that has its default is left out; a reader ignores members that it
does not know. Moments are milliseconds since the epoch, UTC. The descriptions name members as
Python does (`step_id` is `stepId`). [Architecture](architecture.md) tells who sends what to whom.

What tenants say in words stands here closed, `{{sealed:<data key>:<base64url>}}`, whole or within a
sentence: `workflowName`, `name` of workflows, keys and tenants, `description`, `tags`, `label`,
`reason`, `message`, `source`, `egressAllow`. Older events have it in the clear.

Events are stored for ever and have versions; this is catalogue number {NUMBER}. Commands and
reports are not stored and have none. This page is made from the classes:
`python -m penstock.messages.page > docs/messages.md`.
"""
COMMANDS = """\
## Commands

What clients ask of a run, and the scheduler of itself. Each travels in a
[CommandMessage](#commandmessage) on `penstock.cmd.<tenant>.<partition>.run.<id>`.
"""
GATE_COMMANDS = """\
## Commands to gates

What the scheduler asks of a gate, in a [GateMessage](#gatemessage) on
`penstock.cmd.<tenant>.<partition>.gate.<id>`.
"""
REPORTS = """\
## Reports

What executors say about an attempt. They travel together in a [Reports](#reports-1) message on
`penstock.rep.<scope>.<partition>`.
"""
ENVELOPES = "## Envelopes\n\nWhat goes around them, and what else is sent.\n"
VALUES = "## Values\n\nWhat members hold that are objects themselves.\n"

REPORTED = get_args(Report)
SENT = (
    envelope.CommandMessage,
    envelope.GateMessage,
    envelope.Reply,
    envelope.Reports,
    envelope.Work,
)
ENVELOPED: tuple[type[Struct], ...] = (
    *SENT,
    envelope.StepCancels,
    envelope.Decision,
    RollCall,
)
WORDS: dict[type[inspect.Type], str] = {
    inspect.IntType: "integer",
    inspect.StrType: "string",
    inspect.BoolType: "boolean",
    inspect.NoneType: "null",
    inspect.RawType: "JSON",
}


def messages_page() -> str:
    """The page, Markdown."""
    asked = [each.type for each in COMMAND_TYPES.of_kind(RUN) if each.type not in REPORTED]
    of_gates = [each.type for each in COMMAND_TYPES.of_kind(GATE)]
    parts = [INTRODUCTION, COMMANDS, *map(described, asked), REPORTS, *map(described, REPORTED)]
    parts += [GATE_COMMANDS, *map(described, of_gates)]
    for kind in dict.fromkeys(each.kind for each in EVENT_TYPES.types.values()):
        log = "evt" if kind in {RUN, EVENT, GATE} else "reg"
        what = kind if kind == USERS else f"a {kind}"
        parts.append(f"## Events of {what}\n\nOn `penstock.{log}.<tenant>.{kind}.<id>`.\n")
        for each in EVENT_TYPES.of_kind(kind):
            since = f"Version {each.version}, since catalogue {each.since[-1]}.\n"
            parts.append(described(each.type, since))
    parts += [ENVELOPES, *map(described, ENVELOPED), VALUES, *map(described, values())]
    return "\n".join(parts)


def described(struct: type[Struct], note: str = "") -> str:
    """One message: what it is, and its members."""
    lines = [f"### {struct.__name__}\n\n{getdoc(struct)}\n", *([note] if note else [])]
    rows = [
        f"| `{field.encode_name}` | {type_name(field.type)} | {default_of(field)} |"
        for field in fields_of(struct)
    ]
    if rows:
        lines += ["| Member | Type | Default |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def fields_of(struct: type[Struct]) -> tuple[inspect.Field, ...]:
    """The members of a struct."""
    found = inspect.type_info(struct)
    assert isinstance(found, inspect.StructType)
    return found.fields


def default_of(field: inspect.Field) -> str:
    """A member's default in JSON; nothing for one that is always there."""
    if field.required:
        return ""
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if isinstance(value, Struct | msgspec.Raw):
        return "its own defaults" if isinstance(value, Struct) else "absent"
    return f"`{msgspec.json.encode(value).decode()}`"


def type_name(found: inspect.Type) -> str:
    """A type in words, objects by a link to where they are described."""
    match found:
        case inspect.UnionType(types=types):
            named = all(isinstance(each, inspect.StructType) and each.tag for each in types)
            return "one of the above" if named else " or ".join(map(type_name, types))
        case inspect.StructType(cls=cls):
            return f"[{cls.__name__}](#{cls.__name__.lower()})"
        case inspect.EnumType(cls=cls):
            return " or ".join(f"`{member.value}`" for member in cls)
        case inspect.VarTupleType(item_type=item):
            return f"array of {type_name(item)}"
        case inspect.TupleType(item_types=items):
            return f"[{', '.join(map(type_name, items))}]"
        case inspect.DictType(value_type=value):
            return f"object of {type_name(value)}"
        case _:
            return WORDS[type(found)]


def values() -> list[type[Struct]]:
    """The objects in members that are described nowhere else, by name."""
    catalogued = [*COMMAND_TYPES.types.values(), *EVENT_TYPES.types.values()]
    told: set[Any] = {*(each.type for each in catalogued), *ENVELOPED}
    found: dict[str, type[Struct]] = {}
    waiting = list(told)
    while waiting:
        for struct in structs_in(field.type for field in fields_of(waiting.pop())):
            if struct not in told:
                told.add(struct)
                found[struct.__name__] = struct
                waiting.append(struct)
    return [found[name] for name in sorted(found)]


def structs_in(types: Iterable[inspect.Type]) -> Iterator[type[Struct]]:
    """The structs that some types name, within unions, arrays and objects too."""
    for found in types:
        match found:
            case inspect.StructType(cls=cls):
                yield cls
            case inspect.UnionType(types=inner) | inspect.TupleType(item_types=inner):
                yield from structs_in(inner)
            case inspect.VarTupleType(item_type=one) | inspect.DictType(value_type=one):
                yield from structs_in((one,))


if __name__ == "__main__":
    sys.stdout.write(messages_page())
