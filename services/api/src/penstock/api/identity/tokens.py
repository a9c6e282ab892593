"""Access tokens of our own: who it is for a quarter of an hour, and no more than who.

A token names a user, a tenant and a session. What the user may do, and whether all three are still
there, is asked of what is current (`penstock.api.identity.bearers`).
"""

import hashlib
from collections import OrderedDict
from time import time
from typing import NamedTuple
from uuid import UUID

from penstock.api.identity.jws import (
    OURS,
    SKEW_S,
    BadToken,
    Unproven,
    check_moments,
    kid_of,
    moment,
    prove,
    signed,
    text,
    unproven,
)
from penstock.api.identity.jwt_keys import KeySet

ISSUER = "penstock"
AUDIENCE = "penstock-api"
LIFE_S = 15 * 60
PROVEN_MAX = 10_000
"""Tokens whose signature was checked; of about 400 bytes each."""


class Claims(NamedTuple):
    """What a token says that was proven. expires_at: s since the epoch."""

    user_id: UUID
    tenant_id: UUID
    session_id: UUID
    expires_at: float


class Tokens:
    """Makes and reads tokens with one set of keys."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys
        self._proven: OrderedDict[bytes, Claims] = OrderedDict()

    def made(self, user_id: UUID, tenant_id: UUID, session_id: UUID) -> str:
        """A token that is good from now on for `LIFE_S`."""
        now = int(time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "tid": str(tenant_id),
            "sid": str(session_id),
            "iat": now,
            "nbf": now,
            "exp": now + LIFE_S,
        }
        return signed(claims, self._keys.signing, self._keys.keys[self._keys.signing])

    def signs(self, token: Unproven) -> bool:
        """Whether a token says that a key of ours signed it."""
        kid = token.header.get("kid")
        return isinstance(kid, str) and kid in self._keys.keys

    def read(self, token: str) -> Claims:
        """What a token proves. Raises BadToken."""
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        found = self._proven.get(digest)
        if found is None:
            found = self._prove(unproven(token))
            self._proven[digest] = found
            if len(self._proven) > PROVEN_MAX:
                self._proven.popitem(last=False)
        if found.expires_at <= time() - SKEW_S:
            raise BadToken("expired")
        return found

    def _prove(self, token: Unproven) -> Claims:
        known = self._keys.keys.get(kid_of(token.header, allowed=OURS))
        if known is None:
            raise BadToken("no such key")
        claims = prove(token, known)
        if claims.get("iss") != ISSUER or claims.get("aud") != AUDIENCE:
            raise BadToken("made by or for somebody else")
        check_moments(claims, time(), with_nbf=True)
        expires_at = moment(claims, "exp")
        if expires_at - moment(claims, "iat") > LIFE_S:
            raise BadToken("good for too long")
        try:
            user_id, tenant_id, session_id = (
                UUID(text(claims, name)) for name in ("sub", "tid", "sid")
            )
        except ValueError:
            raise BadToken("not ids") from None
        return Claims(user_id, tenant_id, session_id, expires_at)
