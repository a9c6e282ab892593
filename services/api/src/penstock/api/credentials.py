"""API keys as texts: made, taken apart, hashed. `psk_<id>_<secret>`, id 32 hex digits.

What is stored is SHA-256(pepper ‖ key): a secret of 32 random bytes needs no slow hash, and the
pepper makes a stolen table worthless without the process's own key.
"""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from typing import NamedTuple
from uuid import UUID

SECRET_BYTES = 32
KEY_MAX_CHARACTERS = 128
PEPPER_LABEL = b"penstock api key pepper 1"
SECRET_LABEL = b"penstock api key secret 1"

_KEY = re.compile(r"psk_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")


class ApiKeyText(NamedTuple):
    """A key as its owner sees it once."""

    id: UUID
    text: str


def pepper_of(key_encryption_key: bytes) -> bytes:
    """The pepper that belongs to an installation's key-encryption key."""
    return hmac.digest(key_encryption_key, PEPPER_LABEL, hashlib.sha256)


def new_key(key_id: UUID) -> ApiKeyText:
    """A key with a random secret."""
    return assembled(key_id, secrets.token_bytes(SECRET_BYTES))


def repeated_key(key_id: UUID, pepper: bytes) -> ApiKeyText:
    """The key of a request with an Idempotency-Key, whose repeat must show the same again.

    The secret follows from the id, which such a request fixes, and the pepper.
    """
    return assembled(key_id, hmac.digest(pepper, SECRET_LABEL + key_id.bytes, hashlib.sha256))


def assembled(key_id: UUID, secret: bytes) -> ApiKeyText:
    """Id and secret as one text."""
    text = urlsafe_b64encode(secret).decode().rstrip("=")
    return ApiKeyText(key_id, f"psk_{key_id.hex}_{text}")


def key_id_of(text: str) -> UUID | None:
    """The id in a key's text, None where that is no key of ours."""
    found = _KEY.fullmatch(text) if len(text) <= KEY_MAX_CHARACTERS else None
    return UUID(found[1]) if found else None


def hash_of(text: str, pepper: bytes) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(pepper + text.encode()).digest()


def same(left: bytes, right: bytes) -> bool:
    """Whether two hashes are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(left, right)
