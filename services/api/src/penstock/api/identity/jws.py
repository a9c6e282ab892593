"""Signed tokens, read with suspicion (RFC 7515, 7519 and 8725): nothing in one is believed early.

A token says which key signed it, and no more: `kid` picks a key that is known here already, and the
key says the algorithm. Headers that bring keys along, or make demands, are refused with the rest.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from typing import Any, NamedTuple, NoReturn

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

TOKEN_MAX_CHARACTERS = 8192
HEADER_MAX_BYTES = 1024
KID_MAX_CHARACTERS = 256
SKEW_S = 30
"""How far the clocks of those who make tokens and those who read them may be apart."""

ES256, RS256 = "ES256", "RS256"
TYPES = frozenset({"JWT", "AT+JWT"})
OURS = frozenset({"alg", "kid", "typ"})
THEIRS = OURS | {"x5t", "x5t#S256"}
"""Issuers tell their key's certificate, which nobody here looks at."""

Key = ECKey | RSAKey
Members = dict[str, Any]

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")


class BadToken(Exception):
    """The token proves nothing. The text is for logs and tests; callers are told nothing."""


class Known(NamedTuple):
    """A key that may have signed a token, and the one algorithm that it is for."""

    key: Key
    algorithm: str


class Unproven(NamedTuple):
    """A token that is well formed; nobody knows yet whether it is true."""

    text: str
    header: Members
    claims: Members


def looks_signed(text: str) -> bool:
    """Whether a credential can only be a token: no API key has a dot."""
    return "." in text


def unproven(text: str) -> Unproven:
    """What a token claims. Raises BadToken for all that is not in the one form we write."""
    if len(text) > TOKEN_MAX_CHARACTERS:
        raise BadToken("too long")
    segments = text.split(".")
    if len(segments) != 3:
        raise BadToken("not three segments")
    header, claims, signature = map(opened, segments)
    if len(header) > HEADER_MAX_BYTES or not signature:
        raise BadToken("no header or signature of ours")
    return Unproven(text, members(header), members(claims))


def opened(segment: str) -> bytes:
    """The bytes of one segment. Raises BadToken unless it is their only base64url text."""
    if _SEGMENT.fullmatch(segment) is None:
        raise BadToken("not base64url")
    try:
        raw = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except (NotBase64, ValueError):
        raise BadToken("not base64url") from None
    if urlsafe_b64encode(raw).decode().rstrip("=") != segment:
        raise BadToken("not canonical base64url")
    return raw


def members(raw: bytes) -> Members:
    """A JSON object without a name that stands twice. Raises BadToken."""
    try:
        found = json.loads(
            raw.decode(), object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
        )
    except (ValueError, RecursionError):
        raise BadToken("not JSON") from None
    if not isinstance(found, dict):
        raise BadToken("not an object")
    return found


def kid_of(header: Members, *, allowed: frozenset[str]) -> str:
    """The name of the key that a token says it is signed with. Raises BadToken."""
    if header.keys() - allowed:
        raise BadToken("a header that is not taken")
    kid, kind = header.get("kid"), header.get("typ", "JWT")
    if not isinstance(kid, str) or not 0 < len(kid) <= KID_MAX_CHARACTERS:
        raise BadToken("no kid")
    if not isinstance(kind, str) or kind.upper() not in TYPES:
        raise BadToken("another type")
    return kid


def prove(token: Unproven, known: Known) -> Members:
    """The claims of a token that `known` signed. Raises BadToken for any other."""
    if token.header.get("alg") != known.algorithm:
        raise BadToken("another algorithm than the key's")
    try:
        jws.deserialize_compact(token.text, known.key, algorithms=[known.algorithm])
    except (JoseError, ValueError) as error:
        raise BadToken(type(error).__name__) from None
    return token.claims


def signed(claims: Members, kid: str, known: Known) -> str:
    """A token with these claims."""
    header = {"alg": known.algorithm, "kid": kid, "typ": "at+jwt"}
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return jws.serialize_compact(header, payload, known.key, algorithms=[known.algorithm])


def check_moments(claims: Members, now: float, *, with_nbf: bool) -> None:
    """Raise BadToken unless the token is good now. now: s since the epoch.

    with_nbf: whether `nbf` must be there; where it is, it counts.
    """
    if moment(claims, "exp") <= now - SKEW_S:
        raise BadToken("expired")
    if moment(claims, "iat") > now + SKEW_S:
        raise BadToken("issued in the future")
    if (with_nbf or "nbf" in claims) and moment(claims, "nbf") > now + SKEW_S:
        raise BadToken("not good yet")


def moment(claims: Members, name: str) -> float:
    """A claim that is a moment, s since the epoch. Raises BadToken."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadToken(f"no {name}")
    return value


def text(claims: Members, name: str, *, at_most: int = 256) -> str:
    """A claim that is a text. Raises BadToken."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= at_most:
        raise BadToken(f"no {name}")
    return value


def _once(pairs: list[tuple[str, Any]]) -> Members:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise ValueError(text)
    return value
