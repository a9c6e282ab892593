"""Users of a tenant, for its admins."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from penstock.api import bodies, pages, queries_users
from penstock.api.answers import answered, moment_of_ms
from penstock.api.auth import Caller, UsersManager
from penstock.api.errors import Problem
from penstock.api.idempotency import identity
from penstock.api.identity import logins
from penstock.api.identity.enrolling import Proof, enrol, invitation, profile
from penstock.api.identity.logins import Login
from penstock.api.identity.sessions import hash_of, invite_token
from penstock.api.openapi import gives, gives_page_of, takes
from penstock.api.pages import Cursor, Limit
from penstock.api.parts import Parts, parts_of, sender_of
from penstock.api.registry import Written
from penstock.api.runnable import uuid_or_none
from penstock.api.schemas_identity import NewUser, UserChange, UserShown
from penstock.api.writes import read_after, settled
from penstock.domain.errors import Refused
from penstock.domain.identity import Role, may_grant
from penstock.domain.user.commands import ChangeUser, CreateUser, InviteAgain, RemoveUser
from penstock.domain.user.state import User, Users
from penstock.infra.postgres.engine import Row

router = APIRouter(prefix="/api/users", tags=["users"])


@router.get("", responses=gives_page_of(UserShown))
async def list_users(
    request: Request,
    caller: UsersManager,
    limit: Limit = pages.LIMIT_DEFAULT,
    cursor: Cursor = None,
) -> Response:
    """The tenant's users, newest first."""
    parts = parts_of(request)
    await read_after(request, parts)
    of = pages.listing(request)
    after = pages.after(cursor, of)
    rows = await queries_users.users(parts.engine, caller.tenant_id, after=after, limit=limit + 1)
    shown = await queries_users.shown_users(rows[:limit], parts.payloads(caller.tenant_id))
    page = pages.page(rows, limit, lambda row: row, of=of)
    return answered({**page, "items": shown})


@router.post(
    "", status_code=201, responses=gives(UserShown, status=201), openapi_extra=takes(NewUser)
)
async def create_user(request: Request, caller: UsersManager) -> Response:
    """Add a user with a password, or invite one: `inviteToken` is shown in this answer only."""
    parts = parts_of(request)
    sent = await bodies.value(request)
    asked = bodies.fitted(sent, NewUser)
    refuse_higher(caller, asked.role)
    hashed = {name: value for name, value in sent.items() if name != "password"}
    made = identity(request, caller.tenant_id, hashed)
    invite = None if asked.password is not None else invitation(made, parts.pepper)
    command = CreateUser(
        user_id=str(made.id),
        role=asked.role,
        profile=await profile(parts.seals, caller.tenant_id, asked.email, asked.name),
        created_by=caller.actor,
        is_invited=invite is not None,
        request_hash=made.request_hash,
    )
    sender = sender_of(request, caller.actor)

    async def write() -> Written[Users]:
        return await parts.registry.users(caller.tenant_id, command, sender)

    proof = Proof(password=asked.password, invite=invite)
    tenant_id = UUID(caller.tenant_id)
    written = await enrol(parts.accounts, tenant_id, made.id, asked.email, proof, write)
    body = shown(written.state.by_id[str(made.id)], str(made.id), asked.email, asked.name)
    if invite is not None:
        body["inviteToken"] = invite
    headers = {"Location": f"/api/users/{made.id}"}
    return await settled(parts, written, body, status=201, headers=headers)


@router.get("/{user_id}", responses=gives(UserShown))
async def get_user(request: Request, user_id: str, caller: UsersManager) -> Response:
    """One user."""
    parts = parts_of(request)
    await read_after(request, parts)
    row = await known(parts, caller, user_id)
    (body,) = await queries_users.shown_users([row], parts.payloads(caller.tenant_id))
    return answered(body)


@router.patch("/{user_id}", responses=gives(UserShown), openapi_extra=takes(UserChange))
async def change_user(request: Request, user_id: str, caller: UsersManager) -> Response:
    """Give a user another role or name, as a JSON merge patch; a role holds at once."""
    parts = parts_of(request)
    row = await known(parts, caller, user_id)
    asked = await bodies.model(request, UserChange)
    if asked.role is not None:
        refuse_higher(caller, asked.role)
    before = await queries_users.profile_of(row, parts.payloads(caller.tenant_id))
    name = before["name"] if asked.name is None else asked.name
    changes_name = name != before["name"]
    found, changed = str(row["id"]), None
    if changes_name:
        changed = await profile(parts.seals, caller.tenant_id, before["email"], name)
    command = ChangeUser(user_id=found, role=asked.role, profile=changed)
    sender = sender_of(request, caller.actor)
    written = await parts.registry.users(caller.tenant_id, command, sender)
    parts.accounts.people.forget(UUID(caller.tenant_id))
    return await settled(
        parts, written, shown(written.state.by_id[found], found, before["email"], name)
    )


@router.post("/{user_id}/invitation", responses=gives(UserShown))
async def invite_again(request: Request, user_id: str, caller: UsersManager) -> Response:
    """Invite a user once more, who lost the invitation or the password.

    Former invitations, the password and all sessions are void: the user is `invited` again. The
    answer alone shows `inviteToken`.
    """
    parts = parts_of(request)
    row = await known(parts, caller, user_id)
    if caller.actor == f"user:{row['id']}":
        raise Problem(409, "this would log you out for good: change your password instead")
    login, invite = Login(UUID(caller.tenant_id), row["id"]), invite_token()
    sender = sender_of(request, caller.actor)
    command = InviteAgain(user_id=str(row["id"]))
    written = await parts.registry.users(caller.tenant_id, command, sender)
    parts.accounts.people.forget(login.tenant_id)
    if not await logins.invite_again(parts.engine, login, hash_of(invite)):
        raise Problem(409, "the user was removed meanwhile")
    before = await queries_users.profile_of(row, parts.payloads(caller.tenant_id))
    user = written.state.by_id[str(row["id"])]
    body = shown(user, str(row["id"]), before["email"], before["name"])
    return await settled(parts, written, {**body, "inviteToken": invite})


@router.delete("/{user_id}", status_code=204, responses=gives(None, status=204))
async def remove_user(request: Request, user_id: str, caller: UsersManager) -> Response:
    """Let a user be one of the tenant's no more, at once; their sessions end."""
    parts = parts_of(request)
    row = await known(parts, caller, user_id)
    login = Login(UUID(caller.tenant_id), row["id"])
    sender = sender_of(request, caller.actor)
    await logins.doubt(parts.engine, login)
    try:
        command = RemoveUser(user_id=str(row["id"]))
        written = await parts.registry.users(caller.tenant_id, command, sender)
    except Refused:
        await logins.settle(parts.engine, login)
        raise
    parts.accounts.people.forget(login.tenant_id)
    await logins.forget(parts.engine, login)
    return await settled(parts, written, None, status=204)


def refuse_higher(caller: Caller, role: Role) -> None:
    """Raise Problem 403 for a role above the caller's own."""
    if not may_grant(caller.role, role):
        raise Problem(403, f"the role {caller.role} cannot give the role {role}")


async def known(parts: Parts, caller: Caller, user_id: str) -> Row:
    """A user's row. Raises Problem 404."""
    found = uuid_or_none(user_id)
    row = None if found is None else await queries_users.user(parts.engine, caller.tenant_id, found)
    if row is None:
        raise Problem(404, "there is no such user")
    return row


def shown(user: User, user_id: str, email: str, name: str) -> dict[str, Any]:
    """A user as clients see them, from what the write left behind."""
    return {
        "id": user_id,
        "email": email,
        "name": name,
        "role": Role(user.role),
        "status": user.status,
        "createdBy": user.created_by,
        "createdAt": moment_of_ms(user.created_at),
        "acceptedAt": moment_of_ms(user.accepted_at),
    }
