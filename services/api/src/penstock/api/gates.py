"""The gates of a run that is about to begin, and what a gate's history says of who waits there."""

from typing import NamedTuple

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from penstock.api.errors import detail, invalid
from penstock.api.payloads import Allowance, Payloads
from penstock.domain.gate.events import GateEvent, GateSnapshotTaken, GateUse
from penstock.domain.gate.evolve import evolve
from penstock.domain.gate.explain import place_of, told
from penstock.domain.gate.state import CLOSED, Gate
from penstock.domain.payload import Payload
from penstock.domain.run.explain import Waiting
from penstock.domain.run.timeline import Cause
from penstock.domain.tenant.events import Limits
from penstock.domain.workflow.model import Definition
from penstock.infra.blobs.port import Blobs
from penstock.infra.gates import (
    Asker,
    KeyFailed,
    gates_of,
    reads_key,
    scope_of,
    tenant_gate,
)
from penstock.infra.nats import subjects
from penstock.infra.nats.direct import Direct, Recorded
from penstock.infra.nats.streams import EVENTS
from penstock.messages.catalogue import GATE
from penstock.messages.codec import Codec, Undecodable, codec_for
from penstock.messages.codec import Recorded as Decided
from penstock.messages.envelope import NO_HASH

PAGE = 256
DECISIONS_MAX = 5_000
"""Of a gate, read to explain a run; there are fewer since its last snapshot."""


class Entry(NamedTuple):
    """What a run is going to work on. pointer: of its input in the request, for what is wrong."""

    run_id: str
    given: Payload
    variables: Payload | None
    pointer: str = ""


async def gates_at(
    payloads: Payloads, definition: Definition, asker: Asker, entry: Entry, limits: Limits
) -> tuple[GateUse, ...]:
    """The gates that the run passes before it starts, that of its tenant last.

    Raises Problem 400 where the key of its concurrency comes to nothing.
    """
    scope, marks = None, None
    if reads_key(definition):
        marks = await payloads.marks()
        allowance = Allowance()
        read = entry.variables
        given = msgspec.json.decode(await payloads.text(entry.given, allowance))
        found = {} if read is None else msgspec.json.decode(await payloads.text(read, allowance))
        scope = scope_of(entry.run_id, given, found)
    try:
        return gates_of(definition, asker, scope, marks) + tenant_gate(asker, limits)
    except KeyFailed as error:
        said = str(error)
        raise invalid(said, detail(entry.pointer, error.code, said)) from None


class Doors:
    """What gates stand like, as their histories in the log say."""

    def __init__(self, direct: Direct, blobs: Blobs) -> None:
        self._direct = direct
        self._blobs = blobs

    async def explained(self, tenant_id: str, run_id: str, wait: Waiting, at: int) -> Waiting:
        """A wait for a gate with who holds it, and the run's place in line; others as they are."""
        if wait.cause is not Cause.GATE:
            return wait
        gate = await self.gate(tenant_id, wait.on[0])
        if gate is None:
            return wait
        place = place_of(gate, run_id, at=at)
        said = told(place)
        return replace(
            wait,
            on=place.holders,
            until=place.opens_at,
            detail=f"{wait.detail}: {said}" if said else wait.detail,
        )

    async def gate(self, tenant_id: str, gate_id: str) -> Gate | None:
        """The gate as it is now; None where the log does not tell it in reasonable time."""
        subject = subjects.events(tenant_id, GATE, gate_id)
        last = await self._direct.last(EVENTS, subject)
        if last is None:
            return None
        try:
            return await self._folded(subject, last)
        except Undecodable:
            return None

    async def _folded(self, subject: str, last: Recorded) -> Gate | None:
        """The gate whose last message is known, from its last snapshot on. Raises Undecodable."""
        codec: Codec[GateEvent] = codec_for(GATE)
        newest = codec.decode(last.body)
        first = last.seq if is_snapshot(newest) else newest.snapshot
        gate, seq, may_begin = CLOSED, max(0, first - 1), False
        for _ in range(0, DECISIONS_MAX, PAGE):
            for message in await self._direct.read_subject(EVENTS, subject, after=seq, batch=PAGE):
                decision = codec.decode(message.body)
                may_begin = may_begin or decision.previous_hash == NO_HASH or is_snapshot(decision)
                for event in decision.events:
                    gate = evolve(gate, await self._whole(event))
                seq = message.seq
            if not may_begin or seq >= last.seq:
                break
        return gate if may_begin and seq >= last.seq else None

    async def _whole(self, event: GateEvent) -> GateEvent:
        """The event with the state in it, where it is one that is told by it."""
        if not isinstance(event, GateSnapshotTaken) or event.state.inline:
            return event
        assert event.state.blob is not None, "a state is inline or an object"
        state = Raw(await self._blobs.get(event.state.blob))
        return replace(event, state=replace(event.state, inline=state))


def is_snapshot(decision: Decided[GateEvent]) -> bool:
    """Whether a fold may begin with the decision, whatever came before."""
    return bool(decision.events) and isinstance(decision.events[0], GateSnapshotTaken)
