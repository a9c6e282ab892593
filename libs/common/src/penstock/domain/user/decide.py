"""The rules for the users of a tenant. A command that already took effect adds nothing.

All users of a tenant are one aggregate: two admins who demote each other at the same moment write
to one history, where the second write finds the first.
"""

from typing import assert_never

from penstock.domain.decider import Decider
from penstock.domain.errors import Conflict, NotFound
from penstock.domain.idempotency import CODE
from penstock.domain.identity import Role
from penstock.domain.user.commands import (
    AcceptInvitation,
    ChangePassword,
    ChangeUser,
    CreateUser,
    InviteAgain,
    RemoveUser,
    UserCommand,
)
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
from penstock.domain.user.state import Status, User, Users, evolve

USERS_MAX = 1000
"""Living users of a tenant: the aggregate is folded at every write."""

LAST_ADMIN = "LAST_ADMIN"
TOO_MANY = "LIMIT_EXCEEDED"


def decide(command: UserCommand, users: Users | None, /, *, at: int) -> list[UserEvent]:
    """The events that `command` adds to the history of a tenant's users. at: now, ms since epoch.

    Raises NotFound without such a user; Conflict with the code LAST_ADMIN, LIMIT_EXCEEDED, or that
    of an id that was given to another request.
    """
    known = users or Users()
    match command:
        case CreateUser():
            return create(command, known, at)
        case AcceptInvitation(user_id=user_id):
            invited = of(known, user_id).status is Status.INVITED
            return [UserAccepted(user_id=user_id, accepted_at=at)] if invited else []
        case ChangeUser():
            return change(command, known, at)
        case ChangePassword(user_id=user_id):
            of(known, user_id)
            return [UserPasswordChanged(user_id=user_id, changed_at=at)]
        case InviteAgain(user_id=user_id):
            of(known, user_id)
            return [UserInvitedAgain(user_id=user_id, invited_at=at)]
        case RemoveUser(user_id=user_id):
            return remove(user_id, known, at)
        case _:
            assert_never(command)


def create(command: CreateUser, users: Users, at: int) -> list[UserEvent]:
    """A user's first event; nothing when this very request made them before."""
    user = users.by_id.get(command.user_id)
    if user is not None:
        if not user.request_hash or user.request_hash != command.request_hash:
            raise Conflict("this idempotency key was used with another request", code=CODE)
        return []
    if sum(each.status is not Status.REMOVED for each in users.by_id.values()) >= USERS_MAX:
        raise Conflict(f"a tenant has at most {USERS_MAX} users", code=TOO_MANY)
    event = UserInvited if command.is_invited else UserCreated
    return [
        event(
            user_id=command.user_id,
            role=command.role,
            profile=command.profile,
            created_at=at,
            created_by=command.created_by,
            request_hash=command.request_hash,
        )
    ]


def change(command: ChangeUser, users: Users, at: int) -> list[UserEvent]:
    """What differs from what is."""
    user = of(users, command.user_id)
    events: list[UserEvent] = []
    if command.role is not None and command.role is not user.role:
        if command.role is not Role.ADMIN:
            refuse_last_admin(command.user_id, users)
        events.append(UserRoleChanged(user_id=command.user_id, role=command.role, changed_at=at))
    if command.profile is not None and command.profile != user.profile:
        events.append(
            UserProfileChanged(user_id=command.user_id, profile=command.profile, changed_at=at)
        )
    return events


def remove(user_id: str, users: Users, at: int) -> list[UserEvent]:
    """The last event of a user."""
    found = users.by_id.get(user_id)
    if found is not None and found.status is Status.REMOVED:
        return []
    of(users, user_id)
    refuse_last_admin(user_id, users)
    return [UserRemoved(user_id=user_id, removed_at=at)]


def of(users: Users, user_id: str) -> User:
    """A living user. Raises NotFound."""
    user = users.living(user_id)
    if user is None:
        raise NotFound("there is no such user")
    return user


def refuse_last_admin(user_id: str, users: Users) -> None:
    """Raise Conflict when nobody else could give users their roles afterwards.

    Who was invited and has not answered is no help to anybody yet.
    """
    admins = {id_ for id_, user in users.by_id.items() if is_admin(user)}
    if admins == {user_id}:
        raise Conflict("this is the tenant's last admin: make another one first", code=LAST_ADMIN)


def is_admin(user: User) -> bool:
    """Whether a user can act as an admin now."""
    return user.role is Role.ADMIN and user.status is Status.ACTIVE


USERS: Decider[UserCommand, UserEvent, Users | None] = Decider(
    initial=None, evolve=evolve, decide=decide
)
