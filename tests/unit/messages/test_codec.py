"""Decisions survive the wire, and the years."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from penstock.domain.payload import inline, of_value
from penstock.domain.run.events import RunEvent, StepReady, StepSucceeded
from penstock.messages.catalogue import EVENTS, NUMBER, RUN, Catalogue
from penstock.messages.codec import (
    Codec,
    Undecodable,
    codec_for,
    decode_run_decision,
    encode_decision,
    read,
)
from penstock.messages.envelope import NO_HASH, Cause

CAUSE = Cause(id="c-1", actor="key:1", events=1)


def written(*events: RunEvent) -> bytes:
    return encode_decision(events, [CAUSE], decision_id="d-1", at=5, previous_hash=NO_HASH)


def test_a_decision_comes_back_as_it_was() -> None:
    events = (StepReady(step_id="a", attempt=1), StepSucceeded(step_id="a", attempt=1, output=OUT))
    decision = decode_run_decision(written(*events))
    assert decision.events == events
    assert (decision.id, decision.at, decision.previous_hash) == ("d-1", 5, NO_HASH)
    assert decision.causes == (CAUSE,)
    assert decision.catalogue == NUMBER


OUT = of_value({"price": 12, "tags": ["a", "ü"]})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_payloads_pass_byte_for_byte(value: Any) -> None:
    payload = inline(msgspec.json.encode(value))
    (event,) = decode_run_decision(
        written(StepSucceeded(step_id="a", attempt=1, output=payload))
    ).events
    assert isinstance(event, StepSucceeded)
    assert event.output == payload


@given(st.binary(max_size=200))
def test_damage_is_undecodable_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(Undecodable):
        decode_run_decision(noise)


@given(st.data())
def test_a_damaged_decision_decodes_or_is_undecodable(data: st.DataObject) -> None:
    body = bytearray(written(StepReady(step_id="a", attempt=1)))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_run_decision(bytes(body))
    except Undecodable:
        return


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize("place", [b'{"id":', b'{"extra":', b'{"events":[{"type":"StepReady","a":'])
def test_what_nests_too_deeply_is_undecodable(place: bytes) -> None:
    for decode in (decode_run_decision, codec_for(RUN).decode, codec_for("workflow").decode):
        with pytest.raises(Undecodable):
            decode(place + DEEP)


def test_a_message_is_read_or_undecodable() -> None:
    decode = msgspec.json.Decoder(Cause).decode
    assert read(decode, msgspec.json.encode(CAUSE)) == CAUSE
    for body in (b"", b"\xff", b"[]", b'{"extra":' + DEEP + b"}"):
        with pytest.raises(Undecodable):
            read(decode, body)


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_every_kind_has_a_codec(kind: str) -> None:
    body = codec_for(kind).encode([], [], decision_id="d", at=1, previous_hash=NO_HASH)
    assert codec_for(kind).decode(body).events == ()


def test_an_unknown_kind_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        codec_for("nonsense")


def test_an_unknown_event_is_undecodable() -> None:
    body = written(StepReady(step_id="a", attempt=1)).replace(b"StepReady", b"StepDreamt")
    with pytest.raises(Undecodable):
        decode_run_decision(body)


def test_what_a_newer_version_wrote_is_undecodable() -> None:
    body = msgspec.json.decode(written(StepReady(step_id="a", attempt=1)))
    body["catalogue"] = NUMBER + 1
    with pytest.raises(Undecodable):
        decode_run_decision(msgspec.json.encode(body))
    with pytest.raises(Undecodable):
        codec_for(RUN).decode(msgspec.json.encode(body))


def test_unknown_keys_are_ignored() -> None:
    body = msgspec.json.decode(written(StepReady(step_id="a", attempt=1)))
    body["extra"] = body["events"][0]["extra"] = 1
    assert decode_run_decision(msgspec.json.encode(body)).events == (
        StepReady(step_id="a", attempt=1),
    )


class Weighed(Struct, frozen=True, tag=True, tag_field="type", kw_only=True):
    """Once `{"kilos": 2}`, then `{"grams": 2000}`, now grams in a list."""

    grams: list[int]


class Sold(Struct, frozen=True, tag=True, tag_field="type", kw_only=True):
    to: str


PARCEL = Catalogue({"parcel": Weighed | Sold}, changed={("parcel", "Weighed"): (2, 4)}, number=4)


def in_grams(event: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Weighed", "grams": event["kilos"] * 1000}


def in_a_list(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "grams": [event["grams"]]}


CODEC: Codec[Weighed | Sold] = Codec(
    "parcel",
    Weighed | Sold,
    catalogue=PARCEL,
    upcasters={("parcel", "Weighed", 1): in_grams, ("parcel", "Weighed", 2): in_a_list},
)


def old(number: int, *events: dict[str, Any]) -> bytes:
    envelope = {"id": "d", "at": 1, "previousHash": NO_HASH, "causes": [], "events": events}
    return msgspec.json.encode(envelope | ({} if number == 1 else {"catalogue": number}))


@pytest.mark.parametrize(
    ("number", "event"),
    [
        (1, {"type": "Weighed", "kilos": 2}),
        (2, {"type": "Weighed", "grams": 2000}),
        (3, {"type": "Weighed", "grams": 2000}),
        (4, {"type": "Weighed", "grams": [2000]}),
    ],
)
def test_every_old_shape_is_read_as_the_present_one(number: int, event: dict[str, Any]) -> None:
    decision = CODEC.decode(old(number, event, {"type": "Sold", "to": "ann"}))
    assert decision.events == (Weighed(grams=[2000]), Sold(to="ann"))
    assert decision.catalogue == number


def test_an_old_shape_under_a_new_number_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        CODEC.decode(old(4, {"type": "Weighed", "kilos": 2}))


def test_an_upcaster_that_cannot_read_its_event_says_undecodable() -> None:
    with pytest.raises(Undecodable):
        CODEC.decode(old(1, {"type": "Weighed"}))


def test_new_decisions_carry_the_present_number() -> None:
    body = CODEC.encode([Sold(to="ann")], [], decision_id="d", at=1, previous_hash=NO_HASH)
    assert CODEC.decode(body).catalogue == 4
