"""Payloads that are sealed and opened with a key that is at hand."""

import hashlib
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.infra.keyring.keks import Unopenable
from penstock.infra.keyring.payloads import ABOUT, inline_sealed, named, opened
from penstock.infra.keyring.sealing import Sealer

TENANT = str(UUID(int=1))


def sealer(tenant: str = TENANT) -> Sealer:
    return Sealer(tenant, UUID(int=2), b"k" * 32)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)


@given(values)
def test_a_sealed_payload_is_json_says_nothing_and_opens_to_what_was_said(value: Any) -> None:
    text = msgspec.json.encode(value)
    payload = inline_sealed(sealer(), text)
    stored = bytes(payload.inline)
    assert isinstance(msgspec.json.decode(stored), str)
    assert (payload.size, payload.enc) == (len(stored), str(UUID(int=2)))
    assert payload.sha256 == hashlib.sha256(stored).hexdigest()
    assert len(text) < 8 or text not in stored
    assert opened(sealer(), stored, inline=True) == text


def test_the_same_text_is_sealed_differently_each_time() -> None:
    one, other = (inline_sealed(sealer(), b'"x"') for _ in range(2))
    assert one.inline != other.inline


def test_another_tenants_key_and_changed_bytes_open_nothing() -> None:
    stored = bytes(inline_sealed(sealer(), b'{"card": 4111}').inline)
    with pytest.raises(Unopenable):
        opened(sealer(str(uuid4())), stored, inline=True)
    for at in (1, len(stored) // 2, len(stored) - 2):
        changed = bytearray(stored)
        changed[at] = ord("B") if changed[at] == ord("A") else ord("A")
        with pytest.raises(Unopenable):
            opened(sealer(), bytes(changed), inline=True)


@pytest.mark.parametrize("stored", [b'"not base64!"', b'""', b"7", b"{}"])
def test_what_was_never_sealed_is_not_opened(stored: bytes) -> None:
    with pytest.raises(Unopenable):
        opened(sealer(), stored, inline=True)


def test_an_object_is_stored_as_sealed_bytes() -> None:
    stored = sealer().seal(b"[1, 2]", about=ABOUT)
    assert opened(sealer(), stored, inline=False) == b"[1, 2]"


def test_a_name_that_is_no_key_is_refused() -> None:
    with pytest.raises(Unopenable):
        named("somebody's")
