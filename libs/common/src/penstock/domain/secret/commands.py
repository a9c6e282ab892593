"""What may be asked of a secret. Its value is no part of it: that goes into the vault, sealed."""

from msgspec import Struct


class CreateSecret(Struct, frozen=True, kw_only=True):
    """Begin a secret. A repeat with the same `request_hash` adds nothing."""

    name: str
    by: str
    request_hash: str = ""


class ReplaceSecret(Struct, frozen=True, kw_only=True):
    """Give it another value. revisions: those that may be changed, None when any will do."""

    by: str
    revisions: frozenset[int] | None = None


class RemoveSecret(Struct, frozen=True, kw_only=True):
    """Let no step read it any more. revisions: as in `ReplaceSecret`."""

    by: str
    revisions: frozenset[int] | None = None


SecretCommand = CreateSecret | ReplaceSecret | RemoveSecret
