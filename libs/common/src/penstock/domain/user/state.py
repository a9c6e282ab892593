"""The users of a tenant as a value, and the fold that makes it; None is an empty history."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from immutables import Map
from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.identity import Role
from penstock.domain.payload import Payload
from penstock.domain.user.events import (
    UserAccepted,
    UserCreated,
    UserEvent,
    UserInvited,
    UserInvitedAgain,
    UserPasswordChanged,
    UserProfileChanged,
    UserRemoved,
    UserRoleChanged,
)


class Status(StrEnum):
    """How far a user has come."""

    INVITED = "invited"
    ACTIVE = "active"
    REMOVED = "removed"


class User(Struct, frozen=True, kw_only=True):
    """A user as they stand. created_by: an actor."""

    role: Role
    profile: Payload
    status: Status
    created_at: int
    created_by: str
    request_hash: str = ""
    accepted_at: int | None = None
    removed_at: int | None = None


class Users(Struct, frozen=True):
    """All users that a tenant has or had, by id."""

    by_id: Map[str, User] = Map()

    def living(self, user_id: str) -> User | None:
        """A user who is not removed."""
        found = self.by_id.get(user_id)
        return None if found is None or found.status is Status.REMOVED else found


def evolve(users: Users | None, event: UserEvent) -> Users:
    """The users after `event`."""
    by_id = Map[str, User]() if users is None else users.by_id
    return Users(by_id.set(event.user_id, evolve_one(by_id.get(event.user_id), event)))


def evolve_one(user: User | None, event: UserEvent) -> User:
    """One user after an event about them."""
    if isinstance(event, UserCreated | UserInvited):
        return begun(event)
    assert user is not None, "a user's history begins with UserCreated or UserInvited"
    match event:
        case UserAccepted(accepted_at=at):
            return replace(user, status=Status.ACTIVE, accepted_at=at)
        case UserRoleChanged(role=role):
            return replace(user, role=role)
        case UserProfileChanged(profile=profile):
            return replace(user, profile=profile)
        case UserPasswordChanged():
            return user
        case UserInvitedAgain():
            return replace(user, status=Status.INVITED, accepted_at=None)
        case UserRemoved(removed_at=at):
            return replace(user, status=Status.REMOVED, removed_at=at)
        case _:
            assert_never(event)


def begun(event: UserCreated | UserInvited) -> User:
    """A user at the beginning."""
    return User(
        role=event.role,
        profile=event.profile,
        status=Status.INVITED if isinstance(event, UserInvited) else Status.ACTIVE,
        created_at=event.created_at,
        created_by=event.created_by,
        request_hash=event.request_hash,
    )
