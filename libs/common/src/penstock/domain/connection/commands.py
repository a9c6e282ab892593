"""What may be asked of a connection. Its secret fields go into the vault, sealed, not through here.

config: the public part alone.
"""

from msgspec import Struct

from penstock.domain.payload import Payload


class CreateConnection(Struct, frozen=True, kw_only=True):
    """Begin a connection. A repeat with the same `request_hash` adds nothing."""

    name: str
    type: str
    config: Payload
    by: str
    request_hash: str = ""


class ReplaceConnection(Struct, frozen=True, kw_only=True):
    """Have all of it be otherwise. revisions: those that may be changed, None for any."""

    type: str
    config: Payload
    by: str
    revisions: frozenset[int] | None = None


class RemoveConnection(Struct, frozen=True, kw_only=True):
    """Let no step use it any more. revisions: as in `ReplaceConnection`."""

    by: str
    revisions: frozenset[int] | None = None


ConnectionCommand = CreateConnection | ReplaceConnection | RemoveConnection
