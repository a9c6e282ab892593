"""Tokens of an issuer that the operator trusts (OpenID Connect), for users that are here already.

The issuer is asked once for its document and its keys, which are remembered. Keys come from there
alone, whatever a token says; what a token says of itself is that its bearer has an email address.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import monotonic, time
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from penstock.api.errors import Unavailable
from penstock.api.identity import logins
from penstock.api.identity.addresses import email_digest, normal_email
from penstock.api.identity.jws import (
    ES256,
    KID_MAX_CHARACTERS,
    RS256,
    THEIRS,
    BadToken,
    Known,
    Members,
    Unproven,
    check_moments,
    kid_of,
    prove,
    text,
)
from penstock.infra.postgres.engine import Engine
from penstock.infra.telemetry import logs

DOCUMENT = "/.well-known/openid-configuration"
TIMEOUT_S = 5.0
ANSWER_MAX_BYTES = 256 * 1024
KEYS_MAX = 50
RSA_BITS_MIN = 2048
FRESH_S = 600.0
"""Keys that are older are asked for again, and used while the issuer is away."""
GOOD_S = 24 * 3600.0
"""Keys that are older prove nothing."""
PAUSE_S = 10.0
"""Between two questions to the issuer, whatever tokens say."""
LOGINS_GOOD_S = 5.0
LOGINS_MAX = 10_000

_log = logs.logger(__name__)


class Oidc:
    """The keys of one issuer, and whose addresses its tokens name."""

    def __init__(
        self,
        engine: Engine,
        *,
        issuer: str,
        audience: str,
        peppers: Sequence[bytes],
        may_be_plain: bool,
    ) -> None:
        self._engine = engine
        self._issuer = issuer
        self._audience = audience
        self._peppers = peppers
        self._may_be_plain = may_be_plain
        self._keys: dict[str, Known] = {}
        self._read_at = float("-inf")
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()
        self._logins: OrderedDict[str, tuple[float, logins.Login]] = OrderedDict()

    async def login(self, token: Unproven) -> logins.Login | None:
        """Whose token it is; None where nobody here has its address.

        Raises BadToken, and `Unavailable` while the issuer's keys are not to be had.
        """
        if token.claims.get("iss") != self._issuer:
            raise BadToken("made by somebody else")
        kid = kid_of(token.header, allowed=THEIRS)
        known = await self._key(kid)
        if known is None:
            raise BadToken("no such key")
        claims = prove(token, known)
        check_moments(claims, time(), with_nbf=False)
        return await self._login_of(self._email_of(claims))

    def _email_of(self, claims: Members) -> str:
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        if not isinstance(audiences, list) or self._audience not in audiences:
            raise BadToken("made for somebody else")
        email = normal_email(text(claims, "email"))
        if email is None or claims.get("email_verified") is not True:
            raise BadToken("no verified address")
        return email

    async def _login_of(self, email: str) -> logins.Login | None:
        until, known = self._logins.get(email, (0.0, None))
        if known is not None and until > monotonic():
            return known
        self._logins.pop(email, None)
        digests = [email_digest(email, pepper) for pepper in self._peppers]
        found = await logins.find(self._engine, digests)
        if found is not None:
            self._logins[email] = (monotonic() + LOGINS_GOOD_S, found)
            if len(self._logins) > LOGINS_MAX:
                self._logins.popitem(last=False)
        return found

    async def _key(self, kid: str) -> Known | None:
        """A key by its name; asks the issuer when there is reason to."""
        if kid not in self._keys or monotonic() > self._read_at + FRESH_S:
            async with self._lock:
                if kid not in self._keys or monotonic() > self._read_at + FRESH_S:
                    await self._ask()
        if monotonic() > self._read_at + GOOD_S:
            raise Unavailable("the keys of the issuer are not to be had now")
        return self._keys.get(kid)

    async def _ask(self) -> None:
        if monotonic() < self._asked_at + PAUSE_S:
            return
        self._asked_at = monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self._keys = await self._asked()
        except (httpx.HTTPError, ValueError, TimeoutError) as error:
            _log.warning("issuer unreachable", error=repr(error))
            return
        self._read_at = monotonic()

    async def _asked(self) -> dict[str, Known]:
        """The issuer's keys. Raises httpx.HTTPError or ValueError."""
        async with httpx.AsyncClient(
            follow_redirects=False, trust_env=False, timeout=TIMEOUT_S
        ) as client:
            document = await answered(client, self._issuer.rstrip("/") + DOCUMENT)
            if document.get("issuer") != self._issuer:
                raise ValueError("the document is another issuer's")
            url = document.get("jwks_uri")
            if not isinstance(url, str) or urlsplit(url).scheme not in self._schemes():
                raise ValueError("no jwks_uri to be trusted")
            found = await answered(client, url)
        keys = found.get("keys")
        return usable(keys if isinstance(keys, list) else [])

    def _schemes(self) -> set[str]:
        return {"https", "http"} if self._may_be_plain else {"https"}


async def answered(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """The JSON object at a URL. Raises httpx.HTTPError or ValueError."""
    body = b""
    async with client.stream("GET", url, headers={"Accept": "application/json"}) as answer:
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"answered {answer.status_code}")
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > ANSWER_MAX_BYTES:
                raise ValueError("answered too much")
    return msgspec.json.decode(body, type=dict[str, Any])


def usable(jwks: Sequence[object]) -> dict[str, Known]:
    """The public keys that may sign tokens here; what else an issuer has is passed over."""
    found = {}
    for jwk in jwks[:KEYS_MAX]:
        if isinstance(jwk, dict):
            kid, known = jwk.get("kid"), of_jwk(jwk)
            if known is not None and isinstance(kid, str) and 0 < len(kid) <= KID_MAX_CHARACTERS:
                found[kid] = known
    return found


READERS: dict[str, tuple[str, Callable[[dict[str, Any]], ECKey | RSAKey]]] = {
    "RSA": (RS256, RSAKey.import_key),
    "EC": (ES256, ECKey.import_key),
}


def of_jwk(jwk: dict[str, Any]) -> Known | None:
    """A key and its one algorithm; None for one that is for something else, or too weak."""
    algorithm, read = READERS.get(str(jwk.get("kty")), ("", None))
    if read is None or jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        return None
    if algorithm == ES256 and jwk.get("crv") != "P-256":
        return None
    try:
        key = read(jwk)
        if isinstance(key, RSAKey) and key.public_key.key_size < RSA_BITS_MIN:
            return None
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return Known(key, algorithm)
