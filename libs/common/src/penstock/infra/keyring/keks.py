"""Key-encryption keys: they wrap data keys and nothing else, and never leave the process.

    keks = Keks(newest, older)
    wrapped = keks.wrap(tenant_id, key_id, data_key)      # always with the newest
    data_key = keks.unwrap(keks.newest, tenant_id, key_id, wrapped)

A wrapped key is nonce ‖ AES-256-GCM, bound to its tenant and its id: put into another row it opens
nothing.
"""

import hashlib
import hmac
import os
from collections.abc import Iterable
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from penstock.domain.errors import PenstockError

NONCE_BYTES = 12
ID_DIGITS = 16
ID_LABEL = b"penstock key-encryption key id 1"
WRAP_LABEL = b"penstock data key 1"


class KekUnknown(PenstockError):
    """The key-encryption key that wraps a data key is not among those of this process."""


class Unopenable(PenstockError):
    """What is sealed was sealed with another key, about something else, or has been changed."""


class Keks:
    """The key-encryption keys that a process has. `newest` is the id of the one that wraps."""

    def __init__(self, newest: bytes, older: Iterable[bytes] = ()) -> None:
        self.newest = kek_id(newest)
        self._keys = {kek_id(key): AESGCM(key) for key in (*older, newest)}

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all of them."""
        return frozenset(self._keys)

    def wrap(self, tenant_id: str, key_id: UUID, data_key: bytes) -> bytes:
        """`data_key` under the newest key."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._keys[self.newest].encrypt(nonce, data_key, bound(tenant_id, key_id))

    def unwrap(self, kek: str, tenant_id: str, key_id: UUID, wrapped: bytes) -> bytes:
        """A data key that the key `kek` wraps. Raises KekUnknown or Unopenable."""
        key = self._keys.get(kek)
        if key is None:
            raise KekUnknown(f"the key-encryption key {kek} is not among those of this process")
        nonce, rest = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            return key.decrypt(nonce, rest, bound(tenant_id, key_id))
        except (InvalidTag, ValueError):
            raise Unopenable(f"the data key {key_id} cannot be unwrapped") from None


def kek_id(key: bytes) -> str:
    """What names a key-encryption key without telling anything about it; hex."""
    return hmac.digest(key, ID_LABEL, hashlib.sha256).hex()[:ID_DIGITS]


def bound(tenant_id: str, key_id: UUID) -> bytes:
    """What a wrapped key belongs to."""
    return WRAP_LABEL + UUID(tenant_id).bytes + key_id.bytes
