"""Registering, logging in, and out again."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from penstock.api import bodies, queries_registry, queries_users
from penstock.api.answers import answered
from penstock.api.audit.acts import noted
from penstock.api.auth import PUBLIC, SelfReader, credential_of
from penstock.api.errors import Problem
from penstock.api.idempotency import identity
from penstock.api.identity import logins, sessions
from penstock.api.identity.accounts import Accounts
from penstock.api.identity.addresses import client_of, normal_email
from penstock.api.identity.enrolling import Proof, digests_of, enrol, profile
from penstock.api.identity.tokens import LIFE_S
from penstock.api.openapi import gives, takes
from penstock.api.parts import Parts, parts_of, sender_of
from penstock.api.registry import Written
from penstock.api.routes import users
from penstock.api.routes.tenants import PLATFORM
from penstock.api.schemas_identity import (
    Acceptance,
    Login,
    MeShown,
    PasswordChange,
    RefreshToken,
    RegisteredShown,
    Registration,
    TokensShown,
)
from penstock.api.writes import settled
from penstock.domain.access.events import LoggedIn, LoggedOut, LoginFailed, SessionRevoked
from penstock.domain.identity import Permission, Role, permits
from penstock.domain.ids import derived
from penstock.domain.tenant.commands import CreateTenant
from penstock.domain.tenant.events import TenantConfig
from penstock.domain.user.commands import AcceptInvitation, ChangePassword, CreateUser
from penstock.domain.user.state import Users

FIRST_USER = "first user"
CHANGES = b"password of "
"""Changes of a password are counted by user, wrong ones and right ones, apart from logins."""
WRONG_PASSWORD = "WRONG_PASSWORD"
REGISTRATION_CLOSED = "REGISTRATION_CLOSED"
SPENT = "the invitation is not good any more"

router = APIRouter(prefix="/api/auth", tags=["auth"])


class Unproven(Problem):
    """What was presented proves nothing; the answer does not say why."""

    def __init__(self, message: str) -> None:
        super().__init__(401, message, headers={"WWW-Authenticate": 'Bearer realm="penstock"'})


@router.post(
    "/register",
    status_code=201,
    dependencies=[PUBLIC],
    responses=gives(RegisteredShown, status=201),
    openapi_extra=takes(Registration),
)
async def register(request: Request) -> Response:
    """Make a tenant with its first admin, and log them in, where that is open to everybody."""
    parts = parts_of(request)
    if not parts.accounts.may_register:
        said = "nobody registers here: an operator makes tenants, and an admin invites users"
        raise Problem(403, said, code=REGISTRATION_CLOSED)
    sent = await bodies.value(request)
    asked = bodies.fitted(sent, Registration)
    attempt = await parts.accounts.failures.begin(client_of(request, parts.accounts.proxies))
    hashed = {name: value for name, value in sent.items() if name != "password"}
    made = identity(request, PLATFORM, hashed)
    user_id = UUID(derived(str(made.id), FIRST_USER))
    actor = f"user:{user_id}"
    sender = sender_of(request, actor)
    command = CreateTenant(
        name=(await parts.seals.texts.marks(str(made.id))).closed(asked.tenant_name),
        config=TenantConfig(),
        created_by=actor,
        request_hash=made.request_hash,
    )
    first = CreateUser(
        user_id=str(user_id),
        role=Role.ADMIN,
        profile=await profile(parts.seals, str(made.id), asked.email, asked.name),
        created_by=actor,
        request_hash=made.request_hash,
    )

    async def write() -> Written[Users]:
        await parts.registry.tenant(str(made.id), command, sender)
        return await parts.registry.users(str(made.id), first, sender)

    proof = Proof(password=asked.password)
    written = await enrol(parts.accounts, made.id, user_id, asked.email, proof, write)
    await parts.accounts.failures.succeeded(attempt)
    user = written.state.by_id[str(user_id)]
    body = {
        "tenant": {"id": str(made.id), "name": asked.tenant_name},
        "user": users.shown(user, str(user_id), asked.email, asked.name),
        **await logged_in(request, parts.accounts, made.id, user_id),
    }
    return await settled(parts, written, body, status=201)


@router.post(
    "/login",
    dependencies=[PUBLIC],
    responses=gives(TokensShown),
    openapi_extra=takes(Login),
)
async def log_in(request: Request) -> Response:
    """Prove an email address with a password."""
    accounts = parts_of(request).accounts
    asked = await bodies.model(request, Login)
    email = normal_email(asked.email)
    digests = digests_of(accounts, email or "")
    attempt = await accounts.failures.begin(client_of(request, accounts.proxies), digests[0])
    found = None if email is None else await logins.find(accounts.engine, digests)
    stored = None if found is None else found.password_hash
    fits = await accounts.passwords.fits(asked.password, stored)
    if found is not None:
        noted(request, LoginFailed, found.tenant_id, f"user:{found.user_id}")
    if found is None or not fits or not await is_active(accounts, found):
        raise Unproven("email address or password is wrong")
    await accounts.failures.succeeded(attempt)
    await logins.redigest(accounts.engine, found, digests[0])
    body = await logged_in(request, accounts, found.tenant_id, found.user_id)
    noted(request, LoggedIn, found.tenant_id, f"user:{found.user_id}")
    return answered(body)


@router.post(
    "/refresh",
    dependencies=[PUBLIC],
    responses=gives(TokensShown),
    openapi_extra=takes(RefreshToken),
)
async def refresh(request: Request) -> Response:
    """A new token for a refresh token, which is good once; a second use ends the session."""
    accounts = parts_of(request).accounts
    asked = await bodies.model(request, RefreshToken)
    found = await sessions.rotate(accounts.engine, asked.refresh_token)
    if not isinstance(found, sessions.UserSession):
        if found is not None:
            noted(request, SessionRevoked, found.tenant_id, f"user:{found.user_id}")
        await failed(request, accounts)
        ended = sessions.session_id_of(asked.refresh_token)
        if ended is not None:
            accounts.bearers.forget_session(ended)
        raise Unproven("the refresh token is not good any more")
    if not await is_active(accounts, logins.Login(found.tenant_id, found.user_id)):
        await sessions.end(accounts.engine, found.refresh_token)
        raise Unproven("the refresh token is not good any more")
    return answered(tokens_of(request, accounts, found))


@router.post(
    "/logout",
    status_code=204,
    dependencies=[PUBLIC],
    responses=gives(None, status=204),
    openapi_extra=takes(RefreshToken),
)
async def log_out(request: Request) -> Response:
    """End the session of a refresh token; its tokens open nothing any more."""
    accounts = parts_of(request).accounts
    asked = await bodies.model(request, RefreshToken)
    ended = await sessions.end(accounts.engine, asked.refresh_token)
    if ended is not None:
        accounts.bearers.forget_session(ended.id)
        noted(request, LoggedOut, ended.tenant_id, f"user:{ended.user_id}")
    return Response(status_code=204)


@router.post(
    "/accept",
    dependencies=[PUBLIC],
    responses=gives(TokensShown),
    openapi_extra=takes(Acceptance),
)
async def accept(request: Request) -> Response:
    """Take up an invitation: choose a password, and be logged in.

    The event comes before the password: should that fail, the invitation can be taken up again.
    """
    parts = parts_of(request)
    accounts = parts.accounts
    asked = await bodies.model(request, Acceptance)
    invited = await invited_by(accounts, asked.token)
    if invited is None:
        await failed(request, accounts)
        raise Unproven(SPENT)
    hashed = await accounts.passwords.hashed(asked.password)
    sender = sender_of(request, f"user:{invited.user_id}")
    command = AcceptInvitation(user_id=str(invited.user_id))
    written = await parts.registry.users(str(invited.tenant_id), command, sender)
    accounts.people.forget(invited.tenant_id)
    login = invited._replace(password_hash=hashed)
    if not await logins.accept(accounts.engine, login, sessions.hash_of(asked.token)):
        raise Unproven(SPENT)
    body = await logged_in(request, accounts, invited.tenant_id, invited.user_id)
    return await settled(parts, written, body)


@router.post(
    "/password",
    status_code=204,
    responses=gives(None, status=204),
    openapi_extra=takes(PasswordChange),
)
async def change_password(request: Request, caller: SelfReader) -> Response:
    """Choose another password, by the old one. One's other sessions end, and this one goes on.

    The event comes before the password: should that fail, the old one is good.
    """
    parts = parts_of(request)
    accounts = parts.accounts
    asked = await bodies.model(request, PasswordChange)
    kind, _, id_ = caller.actor.partition(":")
    if kind != "user" or caller.tenant_id is None:
        raise Problem(403, "only users have passwords", code="NO_PASSWORD")
    login = logins.Login(UUID(caller.tenant_id), UUID(id_))
    attempt = await accounts.failures.begin(
        client_of(request, accounts.proxies), CHANGES + login.user_id.bytes
    )
    stored = await logins.password_of(accounts.engine, login)
    if not await accounts.passwords.fits(asked.password, stored) or stored is None:
        raise Problem(403, "the old password is wrong", code=WRONG_PASSWORD)
    await accounts.failures.succeeded(attempt._replace(account=None))
    changed = login._replace(password_hash=await accounts.passwords.hashed(asked.new_password))
    command = ChangePassword(user_id=id_)
    written = await parts.registry.users(
        caller.tenant_id, command, sender_of(request, caller.actor)
    )
    if not await logins.change_password(accounts.engine, changed, stored):
        raise Problem(409, "the password was changed by somebody else just now")
    session_id = accounts.bearers.session_of(credential_of(request))
    for ended in await sessions.end_others(accounts.engine, *changed[:2], session_id):
        accounts.bearers.forget_session(ended)
    return await settled(parts, written, None, status=204)


@router.get("/me", responses=gives(MeShown))
async def me(request: Request, caller: SelfReader) -> Response:
    """Who calls, and what they may."""
    parts = parts_of(request)
    kind, _, id_ = caller.actor.partition(":")
    user, tenant = None, None
    if caller.tenant_id is not None:
        row = await queries_registry.tenant(parts.engine, UUID(caller.tenant_id))
        if row is not None:
            name = await parts.seals.texts.opened(caller.tenant_id, row["name"])
            tenant = {"id": caller.tenant_id, "name": name}
        if kind == "user":
            user = await own(parts, caller.tenant_id, UUID(id_))
    body = {
        "actor": caller.actor,
        "role": caller.role,
        "permissions": [each for each in Permission if permits(caller.role, each)],
        "tenant": tenant,
        "user": user,
    }
    return answered(body)


async def own(parts: Parts, tenant_id: str, user_id: UUID) -> dict[str, Any] | None:
    """A user as they see themselves; None until the read models have them."""
    row = await queries_users.user(parts.engine, tenant_id, user_id)
    if row is None:
        return None
    (body,) = await queries_users.shown_users([row], parts.payloads(tenant_id))
    return body


async def invited_by(accounts: Accounts, token: str) -> logins.Login | None:
    """Whom a token invites, while it is good."""
    if not sessions.is_invite(token):
        return None
    return await logins.find_invitation(accounts.engine, sessions.hash_of(token))


async def is_active(accounts: Accounts, login: logins.Login) -> bool:
    """Whether the log has the user, and they may log in."""
    return await accounts.people.role_of(login.tenant_id, login.user_id) is not None


async def failed(request: Request, accounts: Accounts) -> None:
    """Count a failure by its address. Raises TooManyAttempts."""
    await accounts.failures.begin(client_of(request, accounts.proxies))


async def logged_in(
    request: Request, accounts: Accounts, tenant_id: UUID, user_id: UUID
) -> dict[str, Any]:
    """A new session's tokens."""
    session = await sessions.begin(accounts.engine, tenant_id, user_id)
    return tokens_of(request, accounts, session)


def tokens_of(
    request: Request, accounts: Accounts, session: sessions.UserSession
) -> dict[str, Any]:
    """A session's tokens, as clients get them."""
    request.scope["tenant"] = str(session.tenant_id)
    request.scope["actor"] = f"user:{session.user_id}"
    return {
        "token": accounts.tokens.made(session.user_id, session.tenant_id, session.id),
        "refreshToken": session.refresh_token,
        "expiresIn": LIFE_S,
    }
