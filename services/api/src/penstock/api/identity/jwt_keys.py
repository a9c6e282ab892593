"""The installation's own keys for tokens: a local set, of which the first one signs.

To change the key: put a new one first and keep the old one until its tokens have expired. Where no
set is given, the key follows from `PENSTOCK_JWT_SECRET` or from the key-encryption key, so that all
replicas of an installation have the same one.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from penstock.api.identity.jws import ES256, Known

LABEL = b"penstock token key 1"
KEYS_MAX = 16
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the curve P-256: a private key is a number from 1 to one less."""


class KeysInvalid(ValueError):
    """The set cannot be used; the text says why, and holds nothing of it."""


class KeySet(NamedTuple):
    """Keys by `kid`; `signing` is the one that signs."""

    signing: str
    keys: dict[str, Known]


def derived_keys(secrets: Sequence[bytes]) -> KeySet:
    """A key of each secret; the first one's signs."""
    found = [ECKey.import_key(private_key(secret)) for secret in secrets]
    return key_set(found)


def private_key(secret: bytes) -> ec.EllipticCurvePrivateKey:
    """The private key that follows from a secret."""
    wide = b"".join(hmac.digest(secret, LABEL + bytes([n]), hashlib.sha256) for n in (1, 2))
    number = int.from_bytes(wide) % (ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def read_keys(text: str) -> KeySet:
    """The keys of a JWK set as text. Raises KeysInvalid."""
    try:
        found = msgspec.json.decode(text, type=_Set).keys
    except msgspec.DecodeError:
        raise KeysInvalid("must be a JWK set: an object with a list `keys`") from None
    if not 0 < len(found) <= KEYS_MAX:
        raise KeysInvalid(f"must hold 1 to {KEYS_MAX} keys")
    keys = [_key(each) for each in found]
    if not keys[0].is_private:
        raise KeysInvalid("the first key signs, so it must be a private one")
    return key_set(keys)


def key_set(keys: Sequence[ECKey]) -> KeySet:
    """Keys by their names: their own, else their thumbprints. Raises KeysInvalid."""
    named = {str(key.kid or key.thumbprint()): Known(key, ES256) for key in keys}
    if len(named) != len(keys):
        raise KeysInvalid("two keys have the same kid")
    return KeySet(next(iter(named)), named)


class _Set(msgspec.Struct):
    keys: list[dict[str, Any]]


def _key(jwk: dict[str, Any]) -> ECKey:
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise KeysInvalid("every key must be of the curve P-256 (kty EC), for ES256")
    try:
        return ECKey.import_key(jwk)
    except (JoseError, ValueError, TypeError, KeyError):
        raise KeysInvalid("a key cannot be read") from None
