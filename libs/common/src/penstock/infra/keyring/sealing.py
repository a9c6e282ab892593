"""Sealing with one data key of one tenant: AES-256-GCM, a random nonce of 96 bits in front.

    sealed = sealer.seal(b"hunter2", about=b"secret:api_token")
    sealer.open(sealed, about=b"secret:api_token")

What is sealed is bound to the tenant, the key and what it is about: moved elsewhere it is not
opened. Whoever keeps it keeps `sealer.key_id` beside it.

What has to be compared is sealed with a nonce that is a keyed digest of it, so that the same is
the same sealed; whoever has no key sees that two are equal, and not what they are.
"""

import hashlib
import hmac
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from penstock.infra.keyring.keks import NONCE_BYTES, Unopenable

DATA_KEY_BYTES = 32
TAG_BYTES = 16
OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES
"""What sealing adds to a text."""
DIGEST_LABEL = b"penstock digests 1"
SEALS_MAX = 2**28
"""Uses of a key by one process, after which it asks for another one. Random nonces are good for
2**32 messages under one key (NIST SP 800-38D), which so leaves room for 16 processes."""


class Sealer:
    """A data key in use.

    key_id: of the key; name: the same as text. sealed: how often this process has sealed with it.
    """

    __slots__ = ("_bound", "_digests", "_key", "key_id", "name", "sealed", "tenant_id")

    def __init__(self, tenant_id: str, key_id: UUID, data_key: bytes) -> None:
        self.tenant_id = tenant_id
        self.key_id = key_id
        self.name = str(key_id)
        self.sealed = 0
        self._bound = UUID(tenant_id).bytes + key_id.bytes
        self._key = AESGCM(data_key)
        self._digests = hmac.digest(data_key, DIGEST_LABEL + self._bound, hashlib.sha256)

    @property
    def is_worn(self) -> bool:
        """Whether this process has sealed enough with it."""
        return self.sealed >= SEALS_MAX

    def seal(self, data: bytes, *, about: bytes) -> bytes:
        """`data` so that only `open` with the same `about` gives it back."""
        self.sealed += 1
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._key.encrypt(nonce, data, self._bound + about)

    def seal_same(self, data: bytes, *, about: bytes) -> bytes:
        """As `seal`, and the same whenever it is the same that is sealed.

        A nonce stands for one text: two have the same one with a chance of 2**-96, as always.
        """
        self.sealed += 1
        nonce = self.digest(data, about=about)[:NONCE_BYTES]
        return nonce + self._key.encrypt(nonce, data, self._bound + about)

    def digest(self, data: bytes, *, about: bytes) -> bytes:
        """32 bytes that tell `data` from all else, and nothing about it without the key."""
        matter = len(about).to_bytes(4, "big") + about
        return hmac.digest(self._digests, matter + data, hashlib.sha256)

    def open(self, sealed: bytes, *, about: bytes) -> bytes:
        """What was sealed about `about`. Raises Unopenable."""
        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._key.decrypt(nonce, rest, self._bound + about)
        except (InvalidTag, ValueError):
            raise Unopenable from None
