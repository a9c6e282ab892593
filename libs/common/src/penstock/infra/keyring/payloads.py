"""Payloads sealed with their tenant's data key, and opened again.

    payload = seals.at_hand(tenant_id, data) or await seals.sealed(tenant_id, data)
    text = await seals.text(tenant_id, payload, stored)

Inline a sealed payload is a JSON string, base64; an object in the blob store is the sealed bytes
themselves. It may be handed from one run of the tenant to another without being opened, so it is
bound to the tenant and to nothing less. `null` is not sealed: it is what a step says that says
nothing, and there is nothing in it to hide.

What schedulers put together themselves (the error of a child) is not sealed, and what was said in
it is closed text; that is opened in payloads that are not sealed, and in no others.
"""

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable
from functools import lru_cache
from uuid import UUID

from msgspec import Raw

from penstock.domain.payload import NULL, UNSEALED, Payload
from penstock.infra.keyring.data_keys import DataKeys
from penstock.infra.keyring.keks import Unopenable
from penstock.infra.keyring.sealing import Sealer
from penstock.infra.keyring.texts import Texts

ABOUT = b"payload"
NAMES_MAX = 10_000
"""Of keys, read once and kept: every payload has one."""
QUOTE = b'"'


class Seals:
    """Seals and opens what belongs to tenants. texts: the same for words."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys
        self.texts = Texts(keys)

    # --- sealing ---------------------------------------------------------------------------------

    def at_hand(self, tenant_id: str, data: bytes) -> Payload | None:
        """`data` (JSON text) as an inline payload, without waiting; None when a key is missing."""
        if data == NULL.inline:
            return NULL
        sealer = self._keys.at_hand(tenant_id)
        return None if sealer is None else inline_sealed(sealer, data)

    async def sealed(self, tenant_id: str, data: bytes) -> Payload:
        """The same, waiting for the key. Raises as `DataKeys.sealer`."""
        if data == NULL.inline:
            return NULL
        return inline_sealed(await self._keys.sealer(tenant_id), data)

    async def stored(self, tenant_id: str, data: bytes) -> tuple[str, bytes]:
        """The name of the key, and `data` as an object of the blob store. Raises as `sealed`."""
        sealer = await self._keys.sealer(tenant_id)
        return sealer.name, sealer.seal(data, about=ABOUT)

    # --- opening ---------------------------------------------------------------------------------

    def text_at_hand(self, tenant_id: str, payload: Payload) -> Raw | None:
        """The JSON text of an inline payload, without waiting; None when a key is missing.

        Raises Unopenable.
        """
        if payload.enc == UNSEALED:
            text = self.texts.json_at_hand(tenant_id, bytes(payload.inline))
            return None if text is None else Raw(text)
        sealer = self._keys.opener_at_hand(tenant_id, named(payload.enc))
        return None if sealer is None else Raw(opened(sealer, bytes(payload.inline), inline=True))

    async def text(self, tenant_id: str, payload: Payload, stored: bytes) -> Raw:
        """The JSON text of a payload whose bytes are `stored`: its `inline`, or its object's.

        Raises Unopenable, and as `DataKeys.opener`.
        """
        if payload.enc == UNSEALED:
            return Raw(await self.texts.json(tenant_id, stored))
        sealer = await self._keys.opener(tenant_id, named(payload.enc))
        return Raw(opened(sealer, stored, inline=payload.blob is None))

    async def have(self, tenant_id: str, names: Iterable[str]) -> None:
        """Have the keys of these names at hand for a while. Raises as `DataKeys.opener`."""
        for name in names:
            if name != UNSEALED:
                await self._keys.opener(tenant_id, named(name))

    def close(self, tenant_id: str) -> None:
        """Seal and open nothing of the tenant any more: see `DataKeys.close`."""
        self._keys.close(tenant_id)


def inline_sealed(sealer: Sealer, data: bytes) -> Payload:
    """`data` as a payload that carries itself, sealed."""
    stored = QUOTE + b64encode(sealer.seal(data, about=ABOUT)) + QUOTE
    return Payload(
        size=len(stored),
        sha256=hashlib.sha256(stored).hexdigest(),
        enc=sealer.name,
        inline=Raw(stored),
    )


def opened(sealer: Sealer, stored: bytes, *, inline: bool) -> bytes:
    """What `stored` was made of. Raises Unopenable."""
    if not inline:
        return sealer.open(stored, about=ABOUT)
    try:
        sealed = b64decode(stored[1:-1], validate=True)
    except NotBase64:
        raise Unopenable from None
    return sealer.open(sealed, about=ABOUT)


@lru_cache(maxsize=NAMES_MAX)
def named(enc: str) -> UUID:
    """The data key that `enc` names. Raises Unopenable for what is no such name."""
    try:
        return UUID(enc)
    except ValueError:
        raise Unopenable from None
