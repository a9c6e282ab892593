"""How somebody becomes a user: first the vault, then the event, then the vault is told so.

Whatever fails in between leaves a login that is doubtful, which the sweep settles by the log.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from uuid import UUID

from penstock.api.answers import encode
from penstock.api.idempotency import Identity
from penstock.api.identity import logins
from penstock.api.identity.accounts import Accounts
from penstock.api.identity.addresses import email_digest
from penstock.api.identity.logins import Login
from penstock.api.identity.sessions import hash_of, invite_token
from penstock.api.registry import Written
from penstock.domain.errors import Conflict, Refused
from penstock.domain.idempotency import CODE
from penstock.domain.payload import Payload
from penstock.domain.user.state import Users
from penstock.infra.keyring.payloads import Seals

INVITE_LABEL = b"penstock invitation 1\0"

Write = Callable[[], Awaitable[Written[Users]]]


class Proof(NamedTuple):
    """What somebody will log in with: a password, or an invitation to choose one."""

    password: str | None = None
    invite: str | None = None


def digests_of(accounts: Accounts, email: str) -> list[bytes]:
    """An address as the vault may have it; new ones are kept as the first."""
    return [email_digest(email, pepper) for pepper in accounts.peppers]


async def profile(seals: Seals, tenant_id: str, email: str, name: str) -> Payload:
    """All that tells who somebody is, sealed. Raises as `Seals.sealed`."""
    return await seals.sealed(tenant_id, encode({"email": email, "name": name}))


def invitation(made: Identity, pepper: bytes) -> str:
    """A new invitation; a request that is repeated under its Idempotency-Key gets the same one."""
    if not made.request_hash:
        return invite_token()
    return invite_token(hmac.digest(pepper, INVITE_LABEL + made.id.bytes, hashlib.sha256))


async def enrol(
    accounts: Accounts, tenant_id: UUID, user_id: UUID, email: str, proof: Proof, write: Write
) -> Written[Users]:
    """Make a user, whose event `write` writes.

    A repeated request settles nothing, for its user may have been removed since. Raises Conflict
    where the address is somebody else's, or where the same request was made with another password;
    and what `write` raises.
    """
    password = None if proof.password is None else await accounts.passwords.hashed(proof.password)
    login = Login(tenant_id, user_id, password)
    kept = await logins.keep(
        accounts.engine,
        login,
        digests_of(accounts, email),
        invite_hash=None if proof.invite is None else hash_of(proof.invite),
    )
    if kept is not None and proof.password is not None:
        await refuse_other_password(accounts, proof.password, kept)
    try:
        written = await write()
    except Refused:
        if kept is None:
            await logins.forget(accounts.engine, login)
        raise
    accounts.people.forget(tenant_id)
    if not written.replayed:
        await logins.settle(accounts.engine, login)
    return written


async def refuse_other_password(accounts: Accounts, password: str, kept: Login) -> None:
    """Raise Conflict where a repeated request brings another password than the first one."""
    if not await accounts.passwords.fits(password, kept.password_hash):
        raise Conflict(logins.OTHER_REQUEST, code=CODE)
