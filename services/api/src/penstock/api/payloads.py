"""Payloads opened for an answer: from where they are, while the answer stays bounded."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from penstock.api.errors import Problem
from penstock.api.unsealing import rows_opened
from penstock.domain.payload import INLINE_MAX_BYTES, Payload, inline
from penstock.infra.blobs.port import BlobCorrupt, BlobMissing, Blobs
from penstock.infra.keyring.data_keys import KeyGone
from penstock.infra.keyring.keks import Unopenable
from penstock.infra.keyring.payloads import Seals
from penstock.infra.keyring.texts import Marks
from penstock.infra.postgres.engine import Row
from penstock.infra.telemetry import logs

OPENED_MAX_BYTES = 32 * 1024 * 1024
"""Of one answer. What does not fit stands there as its reference, `{size, sha256, blob}`."""

Decisions = Callable[[int], Awaitable[bytes | None]]
"""Finds the body of a decision by its sequence in the log of events, None where it has gone."""

NULL = Raw(b"null")
START = "start"
"""The member of an event that holds what is going to be another one, with its payloads."""
DETAILS = "details"
"""The member of an event that stands in its error."""

_decode = msgspec.json.Decoder(Payload).decode
_log = logs.logger(__name__)


class Allowance:
    """How many bytes one answer may still open from the object store."""

    def __init__(self, left: int = OPENED_MAX_BYTES) -> None:
        self.left = left

    def take(self, size: int) -> bool:
        """Whether `size` more bytes fit."""
        if size > self.left:
            return False
        self.left -= size
        return True


class Payloads:
    """Opens and makes the payloads of one tenant."""

    def __init__(self, blobs: Blobs, seals: Seals, decision: Decisions, tenant_id: str) -> None:
        self._blobs = blobs
        self._seals = seals
        self._decision = decision
        self._tenant_id = tenant_id

    async def made(self, run_id: str, data: bytes) -> Payload:
        """`data` (JSON text) as a payload of a run, sealed: inline while small, else stored.

        Raises BlobsUnavailable, DatabaseUnavailable.
        """
        if len(data) <= INLINE_MAX_BYTES:
            return await self._seals.sealed(self._tenant_id, data)
        enc, stored = await self._seals.stored(self._tenant_id, data)
        return replace(await self._kept(run_id, stored), enc=enc)

    async def state(self, run_id: str, data: bytes) -> Payload:
        """`data`, a state to begin with: what was said stands in it sealed, it itself is not."""
        return inline(data) if len(data) <= INLINE_MAX_BYTES else await self._kept(run_id, data)

    async def state_of(self, payload: Payload) -> bytes:
        """A state as it is stored: what was said in it stays closed. Raises Problem 500."""
        try:
            return await self._fetched(payload)
        except (BlobMissing, BlobCorrupt) as error:
            raise lost(payload, error) from error

    async def _kept(self, run_id: str, data: bytes) -> Payload:
        name = await self._blobs.put(data, tenant=self._tenant_id, run_id=run_id)
        return Payload(size=len(data), sha256=name.rpartition("/")[2], blob=name)

    async def opened(self, stored: bytes | None, allowance: Allowance) -> Raw:
        """What a payload column holds, as JSON text; `null` for no payload."""
        return NULL if stored is None else await self.text(_decode(stored), allowance)

    async def text(self, payload: Payload, allowance: Allowance) -> Raw:
        """The payload's JSON text, or its reference where it cannot be opened here."""
        if not payload.inline and not allowance.take(payload.size):
            return reference(payload)
        try:
            stored = await self._fetched(payload)
            return await self._seals.text(self._tenant_id, payload, stored)
        except KeyGone:
            return reference(payload)
        except (BlobMissing, BlobCorrupt, Unopenable) as error:
            raise lost(payload, error) from error

    async def marks(self) -> Marks:
        """What closes the tenant's texts. Raises DatabaseUnavailable, KeyGone."""
        return await self._seals.texts.marks(self._tenant_id)

    async def marked(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Texts that are going to be compared, closed; nothing is asked where there are none."""
        return tuple(map((await self.marks()).closed, texts)) if texts else ()

    async def kept(self, recorded: Sequence[str]) -> tuple[str, ...]:
        """Texts of a history of before, closed as it would say them now."""
        return tuple(map((await self.marks()).kept, recorded)) if recorded else ()

    async def words(self, said: Any) -> Any:
        """Texts, or a value of them, with what is closed in them opened.

        Raises DatabaseUnavailable.
        """
        return await self._seals.texts.shown(self._tenant_id, said)

    async def rows(self, rows: Iterable[Row], *columns: str) -> list[Row]:
        """Rows with the texts in some columns opened. Raises DatabaseUnavailable."""
        return await rows_opened(self._seals, rows, *columns)

    async def _fetched(self, payload: Payload) -> bytes:
        if payload.inline:
            return bytes(payload.inline)
        if payload.blob is not None:
            return await self._blobs.get(payload.blob)
        place, _, member = (payload.at or "").partition("/")
        seq, _, index = place.partition(".")
        body = await self._decision(int(seq))
        if body is None:
            raise BlobMissing(payload.at)
        event = msgspec.json.decode(body, type=_Events).events[int(index)]
        if START in event:
            event = msgspec.json.decode(event[START], type=dict[str, Raw])
        if member == DETAILS:
            event = msgspec.json.decode(event["error"], type=dict[str, Raw])
        return bytes(msgspec.json.decode(event[member], type=Payload).inline)


class _Events(msgspec.Struct):
    events: list[dict[str, Raw]]


def lost(payload: Payload, error: Exception) -> Problem:
    """The problem of a payload that is not there, or not what it was."""
    _log.error("payload cannot be opened", payload=payload.sha256, error=repr(error))
    return Problem(500, "a stored payload cannot be opened")


def reference(payload: Payload) -> Raw:
    """A payload that is shown by what is known of it."""
    return Raw(msgspec.json.encode(payload))
