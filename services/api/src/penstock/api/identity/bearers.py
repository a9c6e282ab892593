"""Tokens to principals: what a token proves, and what is true of that now."""

import hashlib
from collections import OrderedDict
from time import monotonic
from typing import NamedTuple
from uuid import UUID

from penstock.api.identity import sessions
from penstock.api.identity.jws import BadToken, unproven
from penstock.api.identity.oidc import Oidc
from penstock.api.identity.people import REMEMBERED_S, People
from penstock.api.identity.tokens import Tokens
from penstock.domain.identity import Principal
from penstock.infra.postgres.engine import Engine
from penstock.infra.telemetry import logs

SESSIONS_REMEMBERED_MAX = 10_000

_log = logs.logger(__name__)


class Subject(NamedTuple):
    """A user of a tenant."""

    tenant_id: UUID
    user_id: UUID


class Bearers:
    """Tells who presents a token: one of ours, or of the issuer that is trusted."""

    def __init__(
        self, engine: Engine, *, tokens: Tokens, people: People, oidc: Oidc | None = None
    ) -> None:
        self._engine = engine
        self._tokens = tokens
        self._people = people
        self._oidc = oidc
        self._live: OrderedDict[UUID, float] = OrderedDict()

    async def principal(self, text: str) -> Principal | None:
        """Who presents the token `text`; None when it opens nothing.

        Raises `Unavailable` when a server is away that would have to be asked.
        """
        try:
            subject = await self._subject(text)
        except BadToken as error:
            _log.info("token refused", reason=str(error), token=fingerprint(text))
            return None
        if subject is None:
            return None
        role = await self._people.role_of(subject.tenant_id, subject.user_id)
        if role is None:
            return None
        return Principal(
            actor=f"user:{subject.user_id}", role=role, tenant_id=str(subject.tenant_id)
        )

    def session_of(self, text: str) -> UUID | None:
        """The session that a token belongs to; None for one of the issuer."""
        try:
            return self._tokens.read(text).session_id
        except BadToken:
            return None

    def forget_session(self, session_id: UUID) -> None:
        """Ask again: the session may be over."""
        self._live.pop(session_id, None)

    async def _subject(self, text: str) -> Subject | None:
        if self._oidc is not None:
            token = unproven(text)
            if not self._tokens.signs(token):
                login = await self._oidc.login(token)
                return None if login is None else Subject(login.tenant_id, login.user_id)
        claims = self._tokens.read(text)
        if not await self._is_live(claims.tenant_id, claims.session_id, claims.user_id):
            return None
        return Subject(claims.tenant_id, claims.user_id)

    async def _is_live(self, tenant_id: UUID, session_id: UUID, user_id: UUID) -> bool:
        if self._live.get(session_id, 0.0) > monotonic():
            return True
        self._live.pop(session_id, None)
        if not await sessions.is_live(self._engine, tenant_id, session_id, user_id):
            return False
        self._live[session_id] = monotonic() + REMEMBERED_S
        if len(self._live) > SESSIONS_REMEMBERED_MAX:
            self._live.popitem(last=False)
        return True


def fingerprint(text: str) -> str:
    """What logs say of a token: enough to tell two apart."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12]
