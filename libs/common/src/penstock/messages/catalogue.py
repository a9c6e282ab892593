"""Every message type by name and version.

Events are stored for ever, so each has a version, and every decision says the number of the
catalogue it was written under. To change the shape of an event: raise `NUMBER`, give the type a
further entry in `CHANGED` with that number, and write its upcaster (`upcasters.py`).

A kind is the token in the subject that names what a history is about.
"""

from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, NamedTuple, get_args

from msgspec import Struct
from msgspec.inspect import StructType, type_info

from penstock.domain.access.events import AccessEvent
from penstock.domain.connection.events import ConnectionEvent
from penstock.domain.event.events import EventEmitted
from penstock.domain.gate.commands import GateCommand
from penstock.domain.gate.events import GateEvent
from penstock.domain.idempotency import IdempotencyKeyUsed
from penstock.domain.run.commands import RunCommand
from penstock.domain.run.events import RunEvent
from penstock.domain.secret.events import SecretEvent
from penstock.domain.tenant.events import ApiKeyEvent, TenantEvent
from penstock.domain.user.events import UserEvent
from penstock.domain.variable.events import VariableEvent
from penstock.domain.workflow.events import WorkflowEvent

NUMBER = 1
"""What new decisions are written under."""

RUN = "run"
TENANT = "tenant"
KEY = "key"
WORKFLOW = "workflow"
VARIABLE = "variable"
USERS = "users"
SECRET = "secret"
CONNECTION = "connection"
IDEMPOTENCY = "idempotency"
ACCESS = "access"
EVENT = "event"
GATE = "gate"

EVENTS: Mapping[str, Any] = {
    RUN: RunEvent,
    TENANT: TenantEvent,
    KEY: ApiKeyEvent,
    WORKFLOW: WorkflowEvent,
    VARIABLE: VariableEvent,
    USERS: UserEvent,
    SECRET: SecretEvent,
    CONNECTION: ConnectionEvent,
    IDEMPOTENCY: IdempotencyKeyUsed,
    ACCESS: AccessEvent,
    EVENT: EventEmitted,
    GATE: GateEvent,
}
"""By kind, the union of what can have happened. A new aggregate adds one line."""

COMMANDS: Mapping[str, Any] = {RUN: RunCommand, GATE: GateCommand}
"""By kind, the union of what can be asked through COMMANDS. Never stored, so without versions."""

CHANGED: Mapping[tuple[str, str], tuple[int, ...]] = {}
"""By (kind, type), the catalogue numbers under which its shape changed, rising."""


class CatalogueError(Exception):
    """The catalogue contradicts itself; seen at import."""


class MessageType(NamedTuple):
    """A type of a kind; `since` holds the number under which each of its versions began."""

    kind: str
    name: str
    since: tuple[int, ...]
    type: type[Struct]

    @property
    def version(self) -> int:
        """The present version, from 1."""
        return len(self.since)

    def version_under(self, number: int) -> int:
        """The version that a catalogue of this number had, 0 where it had none."""
        return sum(since <= number for since in self.since)


class Catalogue:
    """The types of one family of messages, by kind and name."""

    def __init__(
        self,
        unions: Mapping[str, Any],
        *,
        changed: Mapping[tuple[str, str], tuple[int, ...]],
        number: int,
    ) -> None:
        self.number = number
        self.types: dict[tuple[str, str], MessageType] = {}
        for kind, union in unions.items():
            for member in _members(union):
                self._add(kind, member, changed.get((kind, _tag(member)), ()))
        for key in changed.keys() - self.types.keys():
            raise CatalogueError(f"{key} changed but is not in the catalogue")

    def of_kind(self, kind: str) -> tuple[MessageType, ...]:
        """The types of one kind, as its union lists them."""
        return tuple(each for each in self.types.values() if each.kind == kind)

    def unchanged_since(self, kind: str) -> int:
        """The lowest number under which every type of the kind had its present shape."""
        return max((each.since[-1] for each in self.of_kind(kind) if each.version > 1), default=1)

    def _add(self, kind: str, member: type[Struct], changed: tuple[int, ...]) -> None:
        name = _tag(member)
        if (kind, name) in self.types:
            raise CatalogueError(f"{kind} has two types named {name}")
        since = (1, *changed)
        if list(since) != sorted(set(since)) or since[-1] > self.number:
            raise CatalogueError(f"{kind} {name} changed under impossible numbers: {changed}")
        self.types[kind, name] = MessageType(kind, name, since, member)


def _members(union: Any) -> Iterable[type[Struct]]:
    return get_args(union) if isinstance(union, UnionType) else (union,)


def _tag(member: type[Struct]) -> str:
    info = type_info(member)
    if not isinstance(info, StructType) or not isinstance(info.tag, str):
        raise CatalogueError(f"{member.__name__} has no name on the wire")
    return info.tag


EVENT_TYPES = Catalogue(EVENTS, changed=CHANGED, number=NUMBER)
COMMAND_TYPES = Catalogue(COMMANDS, changed={}, number=NUMBER)
