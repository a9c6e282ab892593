"""What may be asked of a variable."""

from msgspec import Struct

from penstock.domain.payload import Payload


class CreateVariable(Struct, frozen=True, kw_only=True):
    """Begin a variable. A repeat with the same `request_hash` adds nothing."""

    name: str
    value: Payload
    created_by: str
    description: str = ""
    request_hash: str = ""


class ChangeVariable(Struct, frozen=True, kw_only=True):
    """Give it a value and a description.

    revisions: those that may be changed, None when any will do.
    """

    value: Payload
    description: str = ""
    revisions: frozenset[int] | None = None


class DeleteVariable(Struct, frozen=True, kw_only=True):
    """Let nobody read it any more. revisions: as in `ChangeVariable`."""

    revisions: frozenset[int] | None = None


VariableCommand = CreateVariable | ChangeVariable | DeleteVariable
