"""Payloads, opened and made: what a task names is read, what a step says is kept.

Opening gives the bytes inline, wherever they were. What was read from elsewhere is checked against
its hash; a small cache spares the siblings of a fan-out the same read.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from penstock.domain.payload import INLINE_MAX_BYTES, PAYLOAD_MAX_BYTES, UNSEALED, Payload, inline
from penstock.domain.run.events import RunEvent
from penstock.domain.run.rest import payload_at
from penstock.executor.outcome import StepFault
from penstock.executor.patience import tried
from penstock.infra.blobs.port import Blobs
from penstock.infra.telemetry.metrics import executor_blob_bytes
from penstock.messages.envelope import RawDecision, Task

CACHED_MAX = 64
CACHED_BYTES_MAX = 256 * 1024
"""A larger payload is not cached, so that the cache stays under 16 MiB."""

DECISIONS_MAX = 16
"""Each is a message, so of 1 MiB at the most."""

ReadEvents = Callable[[int], Awaitable[bytes | None]]
"""The body of the decision at a position of EVENTS, None where there is none."""

decode_decision = msgspec.json.Decoder(RawDecision).decode
decode_payloads = msgspec.json.Decoder(dict[str, Payload]).decode
decode_event = msgspec.json.Decoder(RunEvent).decode


class Unavailable(Exception):
    """A payload is not where it should be, at least not now."""


class Payloads:
    """Reads and keeps the payloads of steps."""

    def __init__(self, blobs: Blobs, read_events: ReadEvents) -> None:
        self._blobs = blobs
        self._read_events = read_events
        self._cached: OrderedDict[str, Payload] = OrderedDict()
        self._decisions: OrderedDict[int, RawDecision] = OrderedDict()

    async def opened(self, payload: Payload, tenant: str) -> Payload:
        """`payload` with its bytes inline. Raises StepFault, retryable, when they are not there."""
        if payload.inline:
            return payload
        if payload.blob is not None and not payload.blob.startswith(f"{tenant}/"):
            raise StepFault("PAYLOAD_UNAVAILABLE", "the payload is not this tenant's")
        cached = self._cached.get(payload.sha256)
        if cached is None:
            data = await tried(lambda: self._read(payload))
            cached = replace(payload, inline=Raw(data), at=None, blob=None)
            self._remember(cached)
        return cached

    async def carried(self, task: Task, tenant: str) -> Mapping[str, Payload]:
        """What the task reads, by name, also when it is too much for the task's message.

        Raises StepFault, retryable, when it is not there.
        """
        blob = task.payloads_blob
        if blob is None:
            return task.payloads
        if not blob.startswith(f"{tenant}/"):
            raise StepFault("PAYLOAD_UNAVAILABLE", "the payloads are not this tenant's")
        data = await tried(lambda: self._blobs.get(blob))
        executor_blob_bytes.labels("in").inc(len(data))
        return decode_payloads(data)

    async def kept(self, raw: Raw, *, tenant: str, run_id: str) -> Payload:
        """The payload of these bytes, made by a run; in the blob store when they are many.

        Raises StepFault: PAYLOAD_TOO_LARGE, or retryable when the store does not take them.
        """
        small = inline_if_small(raw)
        if small is not None:
            return small
        data = bytes(raw)
        if len(data) > PAYLOAD_MAX_BYTES:
            raise StepFault(
                "PAYLOAD_TOO_LARGE", f"{len(data)} bytes are over the {PAYLOAD_MAX_BYTES} allowed"
            )
        name = await tried(lambda: self._blobs.put(data, tenant=tenant, run_id=run_id))
        executor_blob_bytes.labels("out").inc(len(data))
        return Payload(size=len(data), sha256=hashlib.sha256(data).hexdigest(), blob=name)

    async def _read(self, payload: Payload) -> bytes:
        data = await self._found(payload)
        if hashlib.sha256(data).hexdigest() != payload.sha256:
            raise Unavailable("the bytes found are not those that were kept")
        return data

    async def _found(self, payload: Payload) -> bytes:
        if payload.enc != UNSEALED:
            raise Unavailable(f"sealed with {payload.enc}, which this executor cannot open")
        if payload.blob is not None:
            data = await self._blobs.get(payload.blob)
            executor_blob_bytes.labels("in").inc(len(data))
            return data
        assert payload.at is not None, "a payload is inline, a blob, or at a place"
        held = await self._held_at(payload.at)
        if held.inline:
            return bytes(held.inline)
        return await self._found(replace(held, at=None))

    async def _held_at(self, place: str) -> Payload:
        """What the event at `place`, `<sequence>.<index>/<member>`, holds there."""
        position, _, member = place.partition("/")
        sequence, _, index = position.partition(".")
        decision = await self._decision_at(int(sequence))
        held = payload_at(decode_event(decision.events[int(index)]), member)
        if held is None or (not held.inline and held.blob is None):
            raise Unavailable(f"no payload is held at {place}")
        return held

    async def _decision_at(self, sequence: int) -> RawDecision:
        """The decision at a place; many steps of a loop may have ended in the same one."""
        decision = self._decisions.get(sequence)
        if decision is None:
            body = await self._read_events(sequence)
            if body is None:
                raise Unavailable(f"the log holds nothing at {sequence}")
            decision = self._decisions[sequence] = decode_decision(body)
            if len(self._decisions) > DECISIONS_MAX:
                self._decisions.popitem(last=False)
        return decision

    def _remember(self, payload: Payload) -> None:
        if payload.size > CACHED_BYTES_MAX:
            return
        self._cached[payload.sha256] = payload
        if len(self._cached) > CACHED_MAX:
            self._cached.popitem(last=False)


def inline_if_small(raw: Raw) -> Payload | None:
    """The payload that carries these bytes itself, None when they are too many for that."""
    data = bytes(raw)
    return inline(data) if len(data) <= INLINE_MAX_BYTES else None
