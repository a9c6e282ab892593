"""Payloads, opened and made: what a task names is read, what a step says is kept.

Opening gives the bytes inline and unsealed, wherever they were. What was read from elsewhere is
checked against its hash; a small cache spares the siblings of a fan-out the same read. Whatever
leaves is sealed with the tenant's key, what was opened and is only passed on too.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from penstock.domain.payload import INLINE_MAX_BYTES, NULL, PAYLOAD_MAX_BYTES, UNSEALED, Payload
from penstock.domain.run.events import RunEvent
from penstock.domain.run.rest import payload_at
from penstock.executor.allowances import Allowances
from penstock.executor.outcome import Carried, StepFault
from penstock.executor.patience import tried
from penstock.infra.blobs.port import Blobs, Owner, owner_of
from penstock.infra.keyring.data_keys import KeyGone
from penstock.infra.keyring.keks import Unopenable
from penstock.infra.keyring.payloads import Seals
from penstock.infra.keyring.texts import BEGIN_BYTES
from penstock.infra.telemetry.metrics import executor_blob_bytes
from penstock.messages.envelope import RawDecision, Task

UNASKED_MAX_BYTES = 1024
"""What is said in so few bytes is within every tenant's limit, so that it costs no look-up."""

CACHED_MAX = 64
CACHED_BYTES_MAX = 256 * 1024
"""A larger payload is not cached, so that the cache stays under 16 MiB."""

DECISIONS_MAX = 16
"""Each is a message, so of 1 MiB at the most."""

TOO_LARGE = "PAYLOAD_TOO_LARGE"

ReadEvents = Callable[[int], Awaitable[bytes | None]]
"""The body of the decision at a position of EVENTS, None where there is none."""

decode_decision = msgspec.json.Decoder(RawDecision).decode
decode_payloads = msgspec.json.Decoder(dict[str, Payload]).decode
decode_event = msgspec.json.Decoder(RunEvent).decode


class Opened(Payload, frozen=True, gc=False):
    """A payload that can be read, beside what is stored of it."""

    stored: Payload = NULL


class Unavailable(Exception):
    """A payload is not where it should be, at least not now."""


class Payloads:
    """Reads and keeps the payloads of steps."""

    def __init__(
        self, blobs: Blobs, seals: Seals, allowances: Allowances, read_events: ReadEvents
    ) -> None:
        self._blobs = blobs
        self._seals = seals
        self._allowances = allowances
        self._read_events = read_events
        self._cached: OrderedDict[tuple[str, str], Payload] = OrderedDict()
        self._decisions: OrderedDict[int, RawDecision] = OrderedDict()

    def close(self, tenant: str) -> None:
        """Open and make nothing of a tenant any more, and let go of what was opened."""
        self._seals.close(tenant)
        for known in [each for each in self._cached if each[0] == tenant]:
            del self._cached[known]

    async def opened(self, payload: Payload, tenant: str) -> Payload:
        """`payload` with its bytes inline. Raises StepFault, retryable, when they are not there."""
        if is_open(payload):
            return payload
        if payload.blob is not None and not payload.blob.startswith(f"{tenant}/"):
            raise StepFault("PAYLOAD_UNAVAILABLE", "the payload is not this tenant's")
        known = (tenant, payload.sha256)
        cached = self._cached.get(known)
        if cached is None:
            cached = await tried(lambda: self._read(payload, tenant))
            self._remember(known, cached)
        return cached

    def at_hand(self, payloads: Mapping[str, Payload], tenant: str) -> Mapping[str, Payload] | None:
        """The same for payloads that are inline, without waiting; None when a key is missing."""
        opened = {}
        for name, payload in payloads.items():
            if payload.inline and (payload.enc != UNSEALED or not is_open(payload)):
                try:
                    text = self._seals.text_at_hand(tenant, payload)
                except Unopenable:
                    return None
                if text is None:
                    return None
                opened[name] = unsealed(payload, text)
        return {**payloads, **opened} if opened else payloads

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

    def fits_at_once(self, said: Raw, tenant: str) -> bool:
        """Whether something new is known to be no larger than a payload of the tenant may be."""
        size = memoryview(said).nbytes
        if size <= UNASKED_MAX_BYTES:
            return True
        most = self._allowances.payload_bytes_max_at_hand(tenant)
        return most is not None and size <= most

    async def refuse_large(self, said: Raw, tenant: str, what: str) -> None:
        """Raise StepFault, final, for something new that is larger than the tenant's may be.

        A retryable one where nobody can tell.
        """
        if self.fits_at_once(said, tenant):
            return
        size = memoryview(said).nbytes
        most = await tried(lambda: self._allowances.payload_bytes_max(tenant))
        if size > most:
            told = f"the step's {what} has {size} bytes as JSON"
            raise StepFault(TOO_LARGE, f"{told}, maxPayloadBytes of the tenant is {most}")

    def kept_at_once(self, carried: Carried, *, tenant: str, run_id: str) -> Payload | None:
        """What is said as a payload, without waiting; None for nothing, and where it must wait."""
        data = to_seal(carried, tenant, run_id)
        if not isinstance(data, bytes):
            return data
        return None if len(data) > INLINE_MAX_BYTES else self._seals.at_hand(tenant, data)

    def words_at_hand(self, text: str, *, tenant: str) -> str | None:
        """What an error says, closed, without waiting; None when a key is missing."""
        return self._seals.texts.at_hand(tenant, text)

    async def words(self, text: str, *, tenant: str) -> str:
        """The same, waiting for the key. Raises StepFault, retryable, when there is none."""
        return text and await tried(lambda: self._seals.texts.closed(tenant, text))

    async def kept(self, carried: Carried, *, tenant: str, run_id: str) -> Payload | None:
        """What is said as a payload, made by a run; in the blob store when it is large.

        Raises StepFault: PAYLOAD_TOO_LARGE, or retryable when the store does not take it.
        """
        data = to_seal(carried, tenant, run_id)
        if not isinstance(data, bytes):
            return data
        if len(data) <= INLINE_MAX_BYTES:
            return await tried(lambda: self._seals.sealed(tenant, data))
        if len(data) > PAYLOAD_MAX_BYTES:
            raise StepFault(
                TOO_LARGE, f"{len(data)} bytes are over the {PAYLOAD_MAX_BYTES} allowed"
            )
        enc, stored = await tried(lambda: self._seals.stored(tenant, data))
        name = await tried(lambda: self._blobs.put(stored, tenant=tenant, run_id=run_id))
        executor_blob_bytes.labels("out").inc(len(stored))
        sha256 = hashlib.sha256(stored).hexdigest()
        return Payload(size=len(stored), sha256=sha256, enc=enc, blob=name)

    async def _read(self, payload: Payload, tenant: str) -> Opened:
        held, data = await self._found(payload)
        if hashlib.sha256(data).hexdigest() != payload.sha256:
            raise Unavailable("the bytes found are not those that were kept")
        try:
            return unsealed(held, await self._seals.text(tenant, held, data))
        except (Unopenable, KeyGone) as error:
            said = "what the step needs was sealed with a key that is no more"
            raise StepFault("PAYLOAD_UNAVAILABLE", said) from error

    async def _found(self, payload: Payload) -> tuple[Payload, bytes]:
        """A payload where its bytes are, and these."""
        if payload.inline:
            return payload, bytes(payload.inline)
        if payload.blob is not None:
            data = await self._blobs.get(payload.blob)
            executor_blob_bytes.labels("in").inc(len(data))
            return payload, data
        assert payload.at is not None, "a payload is inline, a blob, or at a place"
        held = await self._held_at(payload.at)
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

    def _remember(self, known: tuple[str, str], payload: Payload) -> None:
        if payload.size > CACHED_BYTES_MAX:
            return
        self._cached[known] = payload
        if len(self._cached) > CACHED_MAX:
            self._cached.popitem(last=False)


def is_open(payload: Payload) -> bool:
    """Whether the payload's JSON text can be read as it is."""
    if isinstance(payload, Opened):
        return True
    return is_plain(payload) and BEGIN_BYTES not in bytes(payload.inline)


def is_plain(payload: Payload) -> bool:
    """Whether the payload's bytes are here, and not sealed."""
    return bool(payload.inline) and payload.enc == UNSEALED


def unsealed(stored: Payload, text: Raw) -> Opened:
    """The payload with its JSON text. The hash stays that of what is stored: it is its name."""
    return Opened(size=len(bytes(text)), sha256=stored.sha256, inline=text, stored=stored)


def to_seal(carried: Carried, tenant: str, run_id: str) -> bytes | Payload | None:
    """The JSON text that has to be sealed; what can leave as it is, as that.

    What is only passed on leaves as it came, unless its object is another run's and goes with it.
    """
    if isinstance(carried, Opened):
        blob = carried.stored.blob
        is_ours = blob is not None and owner_of(blob) == Owner(tenant, run_id)
        is_sealed_here = blob is None and carried.stored.enc != UNSEALED
        return carried.stored if is_ours or is_sealed_here else bytes(carried.inline)
    if isinstance(carried, Raw):
        return bytes(carried)
    if carried is None or not is_plain(carried):
        return carried
    return bytes(carried.inline)
