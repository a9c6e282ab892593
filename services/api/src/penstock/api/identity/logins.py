"""How users prove themselves, in the vault: their address, their password, their invitation.

A login is written before the event of the user it belongs to and is doubtful until that is in the
log; before a removal it becomes doubtful again. Whatever fails in between, the sweep
(`penstock.api.identity.sweep`) asks the log and settles it.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from psycopg.errors import UniqueViolation

from penstock.domain.errors import Conflict
from penstock.domain.idempotency import CODE
from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.tenant import tenant_session

INVITED_S = 7 * 24 * 3600
EMAIL_TAKEN = "EMAIL_TAKEN"
OTHER_REQUEST = "this idempotency key was used with another request"

FIND = "select * from vault.find_login(%(digests)s)"
FIND_INVITATION = "select * from vault.find_invitation(%(hash)s)"
OWN = "select password_hash from vault.logins where tenant_id = %(tenant)s and user_id = %(user)s"
DOUBTFUL = "select * from vault.list_doubtful(now() - make_interval(secs => %(age)s), %(at_most)s)"
SWEEP = "select vault.sweep(%(at_most)s)"

KEEP_EMAIL = """
insert into vault.emails (digest, tenant_id, user_id) values (%(digest)s, %(tenant)s, %(user)s)
"""
KEEP = """
insert into vault.logins
    (tenant_id, user_id, password_hash, invite_hash, invite_expires_at, doubtful_since)
values (%(tenant)s, %(user)s, %(password)s, %(invite)s,
    case when %(invite)s::bytea is not null then now() + make_interval(secs => %(invited)s) end,
    now())
"""
OF_USER = "where tenant_id = %(tenant)s and user_id = %(user)s"
REDIGEST = f"update vault.emails set digest = %(digest)s {OF_USER} and digest <> %(digest)s"
SETTLE = f"update vault.logins set doubtful_since = null {OF_USER}"
DOUBT = f"update vault.logins set doubtful_since = now() {OF_USER}"
ACCEPT = f"""
update vault.logins set password_hash = %(password)s, invite_hash = null, invite_expires_at = null
{OF_USER} and invite_hash = %(invite)s and invite_expires_at > now()
"""
CHANGE = f"""
update vault.logins set password_hash = %(password)s, invite_hash = null, invite_expires_at = null
{OF_USER} and password_hash = %(former)s
"""
INVITE_AGAIN = f"""
update vault.logins set password_hash = null, invite_hash = %(invite)s,
    invite_expires_at = now() + make_interval(secs => %(invited)s)
{OF_USER}
"""
END_SESSIONS = f"delete from vault.sessions {OF_USER}"
FORGET = (
    END_SESSIONS,
    f"delete from vault.emails {OF_USER}",
    f"delete from vault.logins {OF_USER}",
)
FORGET_TENANT = (
    "delete from vault.sessions where tenant_id = %(tenant)s",
    "delete from vault.emails where tenant_id = %(tenant)s",
    "delete from vault.logins where tenant_id = %(tenant)s",
)


class Login(NamedTuple):
    """A user as the vault knows them; without a password until an invitation is accepted."""

    tenant_id: UUID
    user_id: UUID
    password_hash: str | None = None


async def find(engine: Engine, digests: Sequence[bytes]) -> Login | None:
    """The login that belongs to an address, by any of its digests."""
    async with engine.transaction() as session:
        row = await session.one(FIND, {"digests": list(digests)})
    return None if row is None else Login(row["tenant_id"], row["user_id"], row["password_hash"])


async def find_invitation(engine: Engine, invite_hash: bytes) -> Login | None:
    """Who was invited with a token that is still good."""
    async with engine.transaction() as session:
        row = await session.one(FIND_INVITATION, {"hash": invite_hash})
    return None if row is None else Login(row["tenant_id"], row["user_id"])


async def keep(
    engine: Engine,
    login: Login,
    digests: Sequence[bytes],
    *,
    invite_hash: bytes | None = None,
) -> Login | None:
    """Keep a new login under the first of its address's digests; it is doubtful.

    The same user again changes nothing: the answer is then what was kept before. Raises Conflict
    with the code EMAIL_TAKEN where the address is somebody else's, and with that of a reused key
    where the user has another address.
    """
    found = await find(engine, digests)
    if found is None:
        wanted = {
            "tenant": login.tenant_id,
            "user": login.user_id,
            "digest": digests[0],
            "password": login.password_hash,
            "invite": invite_hash,
            "invited": INVITED_S,
        }
        try:
            async with tenant_session(engine, login.tenant_id) as session:
                await session.run(KEEP_EMAIL, wanted)
                await session.run(KEEP, wanted)
        except UniqueViolation:
            found = await find(engine, digests)
            if found is None:
                raise Conflict(OTHER_REQUEST, code=CODE) from None
    if found is not None and (found.tenant_id, found.user_id) != (login.tenant_id, login.user_id):
        raise Conflict("somebody has this email address already", code=EMAIL_TAKEN)
    return found


async def settle(engine: Engine, login: Login) -> None:
    """The log has the user."""
    await _run(engine, login, SETTLE)


async def doubt(engine: Engine, login: Login) -> None:
    """The log may be about to lose the user."""
    await _run(engine, login, DOUBT)


async def redigest(engine: Engine, login: Login, digest: bytes) -> None:
    """Keep an address under another digest from now on."""
    async with tenant_session(engine, login.tenant_id) as session:
        wanted = {"tenant": login.tenant_id, "user": login.user_id, "digest": digest}
        await session.run(REDIGEST, wanted)


async def accept(engine: Engine, login: Login, invite_hash: bytes) -> bool:
    """Use up an invitation for a password; False where it was used or is over."""
    wanted = {
        "tenant": login.tenant_id,
        "user": login.user_id,
        "password": login.password_hash,
        "invite": invite_hash,
    }
    async with tenant_session(engine, login.tenant_id) as session:
        return await session.run(ACCEPT, wanted) == 1


async def password_of(engine: Engine, login: Login) -> str | None:
    """The hash of a user's password; None where there is none."""
    async with tenant_session(engine, login.tenant_id) as session:
        row = await session.one(OWN, {"tenant": login.tenant_id, "user": login.user_id})
    return None if row is None else row["password_hash"]


async def change_password(engine: Engine, login: Login, former_hash: str) -> bool:
    """Keep the login's hash instead of a former one; False where that is not there any more."""
    wanted = {
        "tenant": login.tenant_id,
        "user": login.user_id,
        "password": login.password_hash,
        "former": former_hash,
    }
    async with tenant_session(engine, login.tenant_id) as session:
        return await session.run(CHANGE, wanted) == 1


async def invite_again(engine: Engine, login: Login, invite_hash: bytes) -> bool:
    """Keep an invitation instead of what there was; sessions end. False without a login."""
    wanted = {
        "tenant": login.tenant_id,
        "user": login.user_id,
        "invite": invite_hash,
        "invited": INVITED_S,
    }
    async with tenant_session(engine, login.tenant_id) as session:
        await session.run(END_SESSIONS, wanted)
        return await session.run(INVITE_AGAIN, wanted) == 1


async def forget(engine: Engine, login: Login) -> None:
    """Let nothing be left of a login, its sessions and its address."""
    for statement in FORGET:
        await _run(engine, login, statement)


async def forget_tenant(engine: Engine, tenant_id: str) -> None:
    """Let nothing be left of all logins of a tenant."""
    async with tenant_session(engine, tenant_id) as session:
        for statement in FORGET_TENANT:
            await session.run(statement, {"tenant": tenant_id})


async def doubtful(engine: Engine, *, age_s: int, at_most: int) -> list[Login]:
    """Logins that have been doubtful for so long, the oldest first."""
    async with engine.transaction() as session:
        rows = await session.all(DOUBTFUL, {"age": age_s, "at_most": at_most})
    return [Login(row["tenant_id"], row["user_id"]) for row in rows]


async def sweep(engine: Engine, *, at_most: int) -> None:
    """Drop sessions and counts of failures that are over."""
    async with engine.transaction() as session:
        await session.one(SWEEP, {"at_most": at_most})


async def _run(engine: Engine, login: Login, statement: str) -> None:
    async with tenant_session(engine, login.tenant_id) as session:
        await session.run(statement, {"tenant": login.tenant_id, "user": login.user_id})
