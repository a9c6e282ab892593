"""What may be asked of the users of a tenant."""

from msgspec import Struct

from penstock.domain.identity import Role
from penstock.domain.payload import Payload


class CreateUser(Struct, frozen=True, kw_only=True):
    """Add a user, whose hash or invitation is already in the vault.

    A repeat with the same `user_id` and `request_hash` adds nothing. profile: `{email, name}`.
    """

    user_id: str
    role: Role
    profile: Payload
    created_by: str
    is_invited: bool = False
    request_hash: str = ""


class AcceptInvitation(Struct, frozen=True, kw_only=True):
    """Let the user log in from now on."""

    user_id: str


class ChangeUser(Struct, frozen=True, kw_only=True):
    """Give the user a role, a profile, or both; None leaves as it is."""

    user_id: str
    role: Role | None = None
    profile: Payload | None = None


class RemoveUser(Struct, frozen=True, kw_only=True):
    """Let the user be one of the tenant's no more."""

    user_id: str


class ChangePassword(Struct, frozen=True, kw_only=True):
    """Record that the user has chosen another password, which the vault is about to have."""

    user_id: str


class InviteAgain(Struct, frozen=True, kw_only=True):
    """Let the user prove themselves by a new invitation, and by nothing else, until they accept."""

    user_id: str


UserCommand = CreateUser | AcceptInvitation | ChangeUser | ChangePassword | InviteAgain | RemoveUser
