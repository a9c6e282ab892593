"""Payloads that one history hands to another: brought along, so that neither needs the other.

A scheduler opens no payload on its way through a run. It brings them along, sealed as they are,
where a run begins another one or ends as somebody's child, for a place in one run's history is of
little use in another's: they are archived, and forgotten, each in its own time. It opens what
decides how a child begins, and what becomes an event of the tenant.
"""

from typing import Protocol

from msgspec import Raw
from msgspec.structs import replace

from penstock.domain.payload import INLINE_MAX_BYTES, Payload, inline
from penstock.domain.run.rest import payload_at
from penstock.infra.blobs.port import BlobCorrupt, BlobMissing, Blobs, Owner, owner_of
from penstock.infra.eventlog.log import LogUnavailable
from penstock.infra.keyring.data_keys import KeyGone
from penstock.infra.keyring.keks import Unopenable
from penstock.infra.keyring.payloads import Seals
from penstock.infra.keyring.texts import Marks
from penstock.infra.nats.direct import Direct, ReadUnavailable
from penstock.infra.nats.streams import EVENTS
from penstock.messages.codec import decode_run_decision

LOST = (BlobMissing, BlobCorrupt, Unopenable, KeyGone)
"""What is raised where the bytes of a payload cannot be had any more."""


class Decisions(Protocol):
    """Where decisions are found that have left the log."""

    async def at(self, seq: int) -> bytes | None:
        """The body of the decision with this sequence, None where there is none.

        Raises `LogUnavailable`.
        """


class Payloads:
    """Finds the bytes of payloads; archive: where those are that the log has lost.

    seals: opens what tenants have said; without them, what is sealed stays closed.
    """

    def __init__(
        self,
        blobs: Blobs,
        direct: Direct,
        archive: Decisions | None = None,
        seals: Seals | None = None,
    ) -> None:
        self._blobs = blobs
        self._direct = direct
        self._archive = archive
        self._seals = seals

    async def carried(self, payload: Payload) -> Payload:
        """The payload without a place in the log: inline where it was that, or by its blob.

        What neither the log nor the archive has keeps its place. Raises `LogUnavailable`.
        """
        if payload.at is None:
            return payload
        place, _, member = payload.at.partition("/")
        seq, _, index = place.partition(".")
        body = await self._decision(int(seq))
        if body is None:
            return payload
        held = payload_at(decode_run_decision(body).events[int(index)], member)
        return payload if held is None else held

    async def _decision(self, seq: int) -> bytes | None:
        """The body of a decision about a run, wherever it is."""
        try:
            found = await self._direct.by_seq(EVENTS, seq)
        except ReadUnavailable as error:
            raise LogUnavailable(str(error)) from error
        if found is not None:
            return found.body
        return None if self._archive is None else await self._archive.at(seq)

    async def handed(self, payload: Payload, *, tenant: str, run_id: str) -> Payload:
        """The payload as another run's own: what is an object is copied, for it goes with its run.

        One that is lost keeps its name. Raises `LogUnavailable`, `BlobsUnavailable`.
        """
        carried = await self.carried(payload)
        if carried.blob is None or owner_of(carried.blob) == Owner(tenant, run_id):
            return carried
        try:
            data = await self._blobs.get(carried.blob)
        except (BlobMissing, BlobCorrupt):
            return carried
        name = await self._blobs.put(data, tenant=tenant, run_id=run_id)
        return replace(carried, blob=name)

    async def text(self, payload: Payload, *, tenant: str) -> Raw:
        """What the tenant has said, JSON text. Raises as `stored`, and what `Seals.text` raises."""
        carried = await self.carried(payload)
        found = await self._stored(carried)
        assert self._seals is not None, "whoever opens payloads is given the seals"
        return await self._seals.text(tenant, carried, bytes(found))

    async def said(self, data: bytes, *, tenant: str, run_id: str) -> Payload:
        """`data`, JSON text of the tenant's, as a payload of a run, sealed.

        Raises `BlobsUnavailable`, and what `Seals.sealed` raises.
        """
        assert self._seals is not None, "whoever makes payloads is given the seals"
        if len(data) <= INLINE_MAX_BYTES:
            return await self._seals.sealed(tenant, data)
        enc, stored = await self._seals.stored(tenant, data)
        name = await self._blobs.put(stored, tenant=tenant, run_id=run_id)
        return Payload(size=len(stored), sha256=name.rpartition("/")[2], enc=enc, blob=name)

    async def words(self, text: str, *, tenant: str) -> str:
        """What quotes the tenant, closed. Raises what `Texts.closed` raises."""
        assert self._seals is not None, "whoever says something of a tenant's is given the seals"
        return await self._seals.texts.closed(tenant, text)

    async def marks(self, tenant: str) -> Marks:
        """What closes what has to be compared. Raises what `Texts.marks` raises."""
        assert self._seals is not None, "whoever says something of a tenant's is given the seals"
        return await self._seals.texts.marks(tenant)

    async def kept(self, recorded: str, *, tenant: str) -> str:
        """What history says, closed; without seals as it is. Raises what `Texts.kept` raises."""
        return recorded if self._seals is None else await self._seals.texts.kept(tenant, recorded)

    # --- states: what was said stands in them as it was sealed, they themselves are not ----------

    async def opened(self, payload: Payload) -> Payload:
        """A state with its bytes inline, its name in the store kept.

        Raises `LogUnavailable` or what `Blobs.get` raises.
        """
        return replace(payload, inline=await self._stored(await self.carried(payload)), at=None)

    async def made(self, data: bytes, *, tenant: str, run_id: str) -> Payload:
        """`data`, JSON text of a state, as a payload. Raises `BlobsUnavailable`."""
        if len(data) <= INLINE_MAX_BYTES:
            return inline(data)
        name = await self._blobs.put(data, tenant=tenant, run_id=run_id)
        return Payload(size=len(data), sha256=name.rpartition("/")[2], blob=name)

    async def _stored(self, carried: Payload) -> Raw:
        if carried.inline:
            return carried.inline
        assert carried.blob is not None, "a payload is inline, a blob, or at a place in the log"
        return Raw(await self._blobs.get(carried.blob))
