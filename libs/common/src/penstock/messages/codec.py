"""Decisions as bytes and back, upcasting on the way in.

The kind of a history says which events its decisions hold. What was written under the present
shapes is decoded in one pass; older decisions event by event through the upcasters.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Generic, TypeVar, cast

import msgspec

from penstock.domain.run.events import RunEvent
from penstock.messages.catalogue import EVENT_TYPES, EVENTS, NUMBER, RUN, Catalogue
from penstock.messages.envelope import Cause, Decision, Envelope, RawDecision
from penstock.messages.upcasters import UPCASTERS, Upcasters, upcast

E = TypeVar("E")
M = TypeVar("M")


DAMAGE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises on a damaged body; the last one where it is nested too deeply."""


class Undecodable(Exception):
    """A body that is no message of its kind: damaged, or written by a newer version."""


class Recorded(Envelope, Generic[E], frozen=True):
    """A decision of any kind, decoded."""

    events: tuple[E, ...]


class Codec(Generic[E]):
    """Encodes and decodes the decisions of one kind."""

    def __init__(
        self,
        kind: str,
        union: Any,
        *,
        catalogue: Catalogue = EVENT_TYPES,
        upcasters: Upcasters = UPCASTERS,
    ) -> None:
        self.kind = kind
        self._catalogue = catalogue
        self._upcasters = upcasters
        self._oldest_present = catalogue.unchanged_since(kind)
        self._present = msgspec.json.Decoder(cast("type[Recorded[E]]", Recorded[union]))
        self._event = msgspec.json.Decoder(cast("type[E]", union))

    def encode(
        self,
        events: Sequence[E],
        causes: Sequence[Cause],
        *,
        decision_id: str,
        at: int,
        previous_hash: str,
        snapshot: int = 0,
    ) -> bytes:
        """The body of a decision made at `at` (ms) after the one whose hash is `previous_hash`.

        snapshot: sequence of the history's last snapshot, 0 for none.
        """
        return _encode(
            Recorded(
                id=decision_id,
                at=at,
                previous_hash=previous_hash,
                causes=tuple(causes),
                catalogue=self._catalogue.number,
                snapshot=snapshot,
                events=tuple(events),
            )
        )

    def decode(self, body: bytes) -> Recorded[E]:
        """The decision that `body` is, its events in their present shapes, else Undecodable."""
        try:
            decision = self._present.decode(body)
        except DAMAGE as error:
            return self._decode_raw(body, error)
        if self._oldest_present <= decision.catalogue <= self._catalogue.number:
            return decision
        return self._decode_raw(body, None)

    def _decode_raw(self, body: bytes, error: Exception | None) -> Recorded[E]:
        try:
            raw = _decode_raw(body)
            if error is not None and raw.catalogue >= self._oldest_present:
                raise Undecodable(f"{self.kind}: {error}") from error
            if raw.catalogue > self._catalogue.number:
                raise Undecodable(f"{self.kind}: written under catalogue {raw.catalogue}")
            events = tuple(self._event.decode(self._upcast(e, raw.catalogue)) for e in raw.events)
        except (*DAMAGE, KeyError, TypeError) as damage:
            raise Undecodable(f"{self.kind}: {damage}") from damage
        return Recorded(
            id=raw.id,
            at=raw.at,
            previous_hash=raw.previous_hash,
            causes=raw.causes,
            catalogue=raw.catalogue,
            snapshot=raw.snapshot,
            events=events,
        )

    def _upcast(self, event: msgspec.Raw, under: int) -> bytes:
        """By way of plain objects: what an upcaster does not touch stays as it was written."""
        old = msgspec.json.decode(event)
        new = upcast(old, self.kind, under=under, catalogue=self._catalogue, by=self._upcasters)
        return bytes(event) if new is old else _encode(new)


def read(decode: Callable[[bytes], M], body: bytes) -> M:
    """What `decode` makes of a message's body, else Undecodable."""
    try:
        return decode(body)
    except DAMAGE as damage:
        raise Undecodable(str(damage)) from damage


_encode = msgspec.json.encode
_decode_raw = msgspec.json.Decoder(RawDecision).decode
_run_decoder = msgspec.json.Decoder(Decision)


@cache
def codec_for(kind: str) -> Codec[Any]:
    """The codec of a kind; `Undecodable` for one that is not in the catalogue."""
    if kind not in EVENTS:
        raise Undecodable(f"no such kind: {kind[:64]!r}")
    return Codec(kind, EVENTS[kind])


def decode_run_decision(body: bytes) -> Decision:
    """A run's decision, its events in their present shapes, else Undecodable."""
    try:
        decision = _run_decoder.decode(body)
        if decision.catalogue == NUMBER:
            return decision
    except DAMAGE:
        pass
    recorded: Recorded[RunEvent] = codec_for(RUN).decode(body)
    return Decision(
        id=recorded.id,
        at=recorded.at,
        previous_hash=recorded.previous_hash,
        causes=recorded.causes,
        catalogue=recorded.catalogue,
        snapshot=recorded.snapshot,
        events=recorded.events,
    )


def encode_decision(
    events: Sequence[RunEvent],
    causes: Sequence[Cause],
    *,
    decision_id: str,
    at: int,
    previous_hash: str,
) -> bytes:
    """The body of a decision about a run."""
    codec: Codec[RunEvent] = codec_for(RUN)
    return codec.encode(events, causes, decision_id=decision_id, at=at, previous_hash=previous_hash)
