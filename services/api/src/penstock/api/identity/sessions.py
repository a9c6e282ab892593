"""Who is logged in: a session goes from login to logout and is kept alive by refresh tokens.

A refresh token is good once; its use brings the next. One that comes a second time was copied by
somebody, so the whole session ends. Tokens are `psr_<session>_<secret>`, invitations
`psi_<secret>`; only their SHA-256 is kept, which is enough for 32 random bytes.
"""

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from typing import NamedTuple
from uuid import UUID, uuid4

from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.tenant import tenant_session

SESSION_S = 30 * 24 * 3600
"""After that a password is asked for again, however busy the session was."""
SESSIONS_MAX = 50
"""Of one user; a further login ends the oldest."""
SECRET_BYTES = 32

FIND = "select * from vault.find_session(%(id)s)"
BEGIN = """
insert into vault.sessions (tenant_id, id, user_id, hash, created_at, expires_at)
values (%(tenant)s, %(id)s, %(user)s, %(hash)s, now(), now() + make_interval(secs => %(life)s))
"""
CROWD_OUT = """
delete from vault.sessions where tenant_id = %(tenant)s and id in (
    select id from vault.sessions where tenant_id = %(tenant)s and user_id = %(user)s
    order by created_at desc, id offset %(kept)s)
"""
ROTATE = """
update vault.sessions set hash = %(next)s
where tenant_id = %(tenant)s and id = %(id)s and hash = %(hash)s
  and revoked_at is null and expires_at > now()
"""
REVOKE = """
update vault.sessions set revoked_at = now()
where tenant_id = %(tenant)s and id = %(id)s and revoked_at is null
"""
END_OTHERS = """
update vault.sessions set revoked_at = now()
where tenant_id = %(tenant)s and user_id = %(user)s and id is distinct from %(kept)s
  and revoked_at is null returning id
"""
IS_LIVE = """
select true as live from vault.sessions where tenant_id = %(tenant)s and id = %(id)s
  and user_id = %(user)s and revoked_at is null and expires_at > now()
"""

_REFRESH = re.compile(r"psr_([0-9a-f]{32})_[A-Za-z0-9_-]{43}")
_INVITE = re.compile(r"psi_[A-Za-z0-9_-]{43}")


class UserSession(NamedTuple):
    """A user's session, and the refresh token that is good now."""

    tenant_id: UUID
    user_id: UUID
    id: UUID
    refresh_token: str


class Ended(NamedTuple):
    """Whose session went on until one of its old tokens came."""

    tenant_id: UUID
    user_id: UUID


async def begin(engine: Engine, tenant_id: UUID, user_id: UUID) -> UserSession:
    """Log a user in."""
    session_id = uuid4()
    made = UserSession(tenant_id, user_id, session_id, refresh_token(session_id))
    wanted = {
        "tenant": tenant_id,
        "id": session_id,
        "user": user_id,
        "hash": hash_of(made.refresh_token),
        "life": SESSION_S,
        "kept": SESSIONS_MAX,
    }
    async with tenant_session(engine, tenant_id) as session:
        await session.run(BEGIN, wanted)
        await session.run(CROWD_OUT, wanted)
    return made


async def rotate(engine: Engine, token: str) -> UserSession | Ended | None:
    """The session with its next token; for any token but the last one its end, or None."""
    found = await _of(engine, token)
    if found is None:
        return None
    following = found._replace(refresh_token=refresh_token(found.id))
    wanted = {
        "tenant": found.tenant_id,
        "id": found.id,
        "hash": hash_of(token),
        "next": hash_of(following.refresh_token),
    }
    async with tenant_session(engine, found.tenant_id) as session:
        if await session.run(ROTATE, wanted) == 1:
            return following
        was_live = await session.run(REVOKE, wanted) == 1
    return Ended(found.tenant_id, found.user_id) if was_live else None


async def end(engine: Engine, token: str) -> UserSession | None:
    """End the session that a token belongs to; None where there is none."""
    found = await _of(engine, token)
    if found is not None:
        async with tenant_session(engine, found.tenant_id) as session:
            await session.run(REVOKE, {"tenant": found.tenant_id, "id": found.id})
    return found


async def end_others(
    engine: Engine, tenant_id: UUID, user_id: UUID, kept: UUID | None
) -> list[UUID]:
    """End all sessions of a user but `kept`; which ones."""
    wanted = {"tenant": tenant_id, "user": user_id, "kept": kept}
    async with tenant_session(engine, tenant_id) as session:
        return [row["id"] for row in await session.all(END_OTHERS, wanted)]


async def is_live(engine: Engine, tenant_id: UUID, session_id: UUID, user_id: UUID) -> bool:
    """Whether a session of a user goes on."""
    wanted = {"tenant": tenant_id, "id": session_id, "user": user_id}
    async with tenant_session(engine, tenant_id) as session:
        return await session.one(IS_LIVE, wanted) is not None


async def _of(engine: Engine, token: str) -> UserSession | None:
    """Whose session a token names, whether or not the token is good."""
    session_id = session_id_of(token)
    if session_id is None:
        return None
    async with engine.transaction() as session:
        row = await session.one(FIND, {"id": session_id})
    return None if row is None else UserSession(row["tenant_id"], row["user_id"], session_id, token)


def session_id_of(token: str) -> UUID | None:
    """The session that a refresh token names; None for what is no such token."""
    found = _REFRESH.fullmatch(token)
    return UUID(found[1]) if found else None


def refresh_token(session_id: UUID) -> str:
    """A new token of a session."""
    return f"psr_{session_id.hex}_{secret()}"


def invite_token(raw: bytes | None = None) -> str:
    """A new invitation; raw: its 32 bytes, where they are not to be random."""
    return f"psi_{secret(raw)}"


def is_invite(text: str) -> bool:
    """Whether a text can be an invitation."""
    return _INVITE.fullmatch(text) is not None


def hash_of(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


def secret(raw: bytes | None = None) -> str:
    """32 bytes as text, random ones unless given."""
    return urlsafe_b64encode(raw or secrets.token_bytes(SECRET_BYTES)).decode().rstrip("=")
