"""Tokens as texts: there is one spelling of each, and it says what it was made of."""

import base64
import json
from time import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.identity.jws import BadToken, members, opened, unproven
from penstock.api.identity.jwt_keys import KeysInvalid, derived_keys, read_keys
from penstock.api.identity.tokens import LIFE_S, Tokens

KEYS = derived_keys([b"a secret of the tests"])
BAD_SETS = (
    *("", "[]", "{}", "not JSON", '{"keys": []}'),
    '{"keys": [{"kty": "oct", "k": "AAAA"}]}',
    '{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}',
    '{"keys": [{"kty": "EC", "crv": "P-384"}]}',
)


def segment(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def made() -> str:
    return Tokens(KEYS).made(uuid4(), uuid4(), uuid4())


@given(st.binary(min_size=1, max_size=200))
def test_a_segment_is_opened_to_what_it_was_made_of(raw: bytes) -> None:
    assert opened(segment(raw)) == raw


@given(st.text(alphabet="ABCxyz019-_=+/. \n", max_size=12))
def test_no_segment_has_two_spellings(text: str) -> None:
    try:
        raw = opened(text)
    except BadToken:
        return
    assert segment(raw) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(JSON)
def test_only_objects_are_members(value: Any) -> None:
    text = json.dumps(value).encode()
    if isinstance(value, dict):
        assert members(text) == value
    else:
        with pytest.raises(BadToken):
            members(text)


@given(st.uuids(), st.uuids(), st.uuids())
def test_a_token_says_who_it_was_made_for(user: UUID, tenant: UUID, session: UUID) -> None:
    claims = Tokens(KEYS).read(Tokens(KEYS).made(user, tenant, session))
    assert claims[:3] == (user, tenant, session)
    assert 0 < claims.expires_at - time() <= LIFE_S


@given(st.data())
def test_a_token_with_one_character_changed_proves_nothing(data: st.DataObject) -> None:
    token = made()
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != token[place]))
    with pytest.raises(BadToken):
        Tokens(KEYS).read(token[:place] + other + token[place + 1 :])


@given(st.text(max_size=60))
def test_no_text_makes_the_reader_stumble(text: str) -> None:
    whole = segment(text.encode(errors="replace"))
    for token in (text, f"{text}.{text}.{text}", f"{whole}.{whole}.{whole}"):
        with pytest.raises(BadToken):
            Tokens(KEYS).read(token)


def test_a_token_is_well_formed_before_it_is_proven() -> None:
    assert unproven(made()).header == {"alg": "ES256", "kid": KEYS.signing, "typ": "at+jwt"}


@pytest.mark.parametrize("text", BAD_SETS)
def test_a_set_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(KeysInvalid):
        read_keys(text)


def test_the_first_key_must_be_able_to_sign() -> None:
    key = KEYS.keys[KEYS.signing].key
    public, private = key.as_dict(private=False), key.as_dict(private=True)
    with pytest.raises(KeysInvalid, match="private"):
        read_keys(json.dumps({"keys": [public]}))
    with pytest.raises(KeysInvalid, match="same kid"):
        read_keys(json.dumps({"keys": [private, private]}))
    assert read_keys(json.dumps({"keys": [private]})).signing == KEYS.signing
