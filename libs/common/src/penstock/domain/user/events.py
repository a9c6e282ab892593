"""What can have happened to the users of a tenant. Stored for ever.

Moments are milliseconds since the epoch, UTC; who did it is the actor of the decision's cause.
All that tells who somebody is stands in the member `profile`; no password or hash of one, and no
token, is ever part of an event.
"""

from penstock.domain.identity import Role
from penstock.domain.message import Message
from penstock.domain.payload import Payload


class Event(Message, frozen=True, kw_only=True):
    """The shape that all events of users share: tagged by their name."""

    user_id: str


class UserCreated(Event, frozen=True):
    """The user exists and may log in with a password.

    profile: `{email, name}`. request_hash: what was asked under which Idempotency-Key, empty
    without one.
    """

    role: Role
    profile: Payload
    created_at: int
    created_by: str
    request_hash: str = ""


class UserInvited(Event, frozen=True):
    """The user exists and may log in once the invitation is accepted; members as in UserCreated."""

    role: Role
    profile: Payload
    created_at: int
    created_by: str
    request_hash: str = ""


class UserAccepted(Event, frozen=True):
    """The user has taken up the invitation and has a password from here on."""

    accepted_at: int


class UserRoleChanged(Event, frozen=True):
    """The user may do what `role` may from here on."""

    role: Role
    changed_at: int


class UserProfileChanged(Event, frozen=True):
    """`profile` replaces what was said of the user before."""

    profile: Payload
    changed_at: int


class UserPasswordChanged(Event, frozen=True):
    """The user has proven the old password and chosen another; their other sessions are over."""

    changed_at: int


class UserInvitedAgain(Event, frozen=True):
    """Nothing that the user proved themselves with is good any more but a new invitation."""

    invited_at: int


class UserRemoved(Event, frozen=True):
    """The user is one of the tenant's no more; the id never comes back."""

    removed_at: int


UserEvent = (
    UserCreated
    | UserInvited
    | UserAccepted
    | UserRoleChanged
    | UserProfileChanged
    | UserPasswordChanged
    | UserInvitedAgain
    | UserRemoved
)
