"""What happens to users changes in their rows: one row for each that a tenant has or had."""

from typing import assert_never

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
from penstock.domain.user.state import Status
from penstock.projector.projections.statements import (
    Parameters,
    Statement,
    json_text,
    moment,
    plain_text,
    updating,
)

Changing = (
    UserCreated
    | UserInvited
    | UserAccepted
    | UserRoleChanged
    | UserProfileChanged
    | UserInvitedAgain
    | UserRemoved
)
"""The events that a row tells of."""

CREATED = """
insert into penstock.users
    (tenant_id, id, role, status, profile, created_by, created_at, accepted_at)
values (%(tenant)s, %(user)s, %(role)s, %(status)s, %(profile)s, %(by)s, %(created_at)s, null)
"""
OF_USER = "tenant_id = %(tenant)s and id = %(user)s"


def user_statements(event: UserEvent, tenant: str) -> list[Statement]:
    """What one event about a user of `tenant` changes; of a password, no row knows anything."""
    if isinstance(event, UserPasswordChanged):
        return []
    changes, values = _change(event)
    sql = changes if changes is CREATED else updating("users", changes, OF_USER)
    return [Statement(sql, {"tenant": tenant, "user": event.user_id, **values})]


def _change(event: Changing) -> tuple[str, Parameters]:
    match event:
        case UserCreated():
            return CREATED, _begun(event, Status.ACTIVE)
        case UserInvited():
            return CREATED, _begun(event, Status.INVITED)
        case UserAccepted(accepted_at=at):
            values: Parameters = {"status": str(Status.ACTIVE), "at": moment(at)}
            return "status = %(status)s, accepted_at = %(at)s", values
        case UserRoleChanged(role=role):
            return "role = %(role)s", {"role": str(role)}
        case UserProfileChanged(profile=profile):
            return "profile = %(profile)s", {"profile": json_text(profile)}
        case UserInvitedAgain():
            return "status = %(status)s, accepted_at = null", {"status": str(Status.INVITED)}
        case UserRemoved(removed_at=at):
            values = {"status": str(Status.REMOVED), "at": moment(at)}
            return "status = %(status)s, removed_at = %(at)s", values
        case _:
            assert_never(event)


def _begun(event: UserCreated | UserInvited, status: Status) -> Parameters:
    return {
        "role": str(event.role),
        "status": str(status),
        "profile": json_text(event.profile),
        "by": plain_text(event.created_by),
        "created_at": moment(event.created_at),
    }
