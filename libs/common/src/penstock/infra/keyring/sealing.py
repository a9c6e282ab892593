"""Sealing with one data key of one tenant: AES-256-GCM, a random nonce of 96 bits in front.

    sealed = sealer.seal(b"hunter2", about=b"secret:api_token")
    sealer.open(sealed, about=b"secret:api_token")

What is sealed is bound to the tenant, the key and what it is about: moved elsewhere it is not
opened. Whoever keeps it keeps `sealer.key_id` beside it.
"""

import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from penstock.infra.keyring.keks import NONCE_BYTES, Unopenable

DATA_KEY_BYTES = 32
TAG_BYTES = 16
OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES
"""What sealing adds to a text."""
SEALS_MAX = 2**28
"""Uses of a key by one process, after which it asks for another one. Random nonces are good for
2**32 messages under one key (NIST SP 800-38D), which so leaves room for 16 processes."""


class Sealer:
    """A data key in use.

    key_id: of the key; name: the same as text. sealed: how often this process has sealed with it.
    """

    __slots__ = ("_bound", "_key", "key_id", "name", "sealed", "tenant_id")

    def __init__(self, tenant_id: str, key_id: UUID, data_key: bytes) -> None:
        self.tenant_id = tenant_id
        self.key_id = key_id
        self.name = str(key_id)
        self.sealed = 0
        self._bound = UUID(tenant_id).bytes + key_id.bytes
        self._key = AESGCM(data_key)

    @property
    def is_worn(self) -> bool:
        """Whether this process has sealed enough with it."""
        return self.sealed >= SEALS_MAX

    def seal(self, data: bytes, *, about: bytes) -> bytes:
        """`data` so that only `open` with the same `about` gives it back."""
        self.sealed += 1
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._key.encrypt(nonce, data, self._bound + about)

    def open(self, sealed: bytes, *, about: bytes) -> bytes:
        """What was sealed about `about`. Raises Unopenable."""
        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._key.decrypt(nonce, rest, self._bound + about)
        except (InvalidTag, ValueError):
            raise Unopenable from None
