"""API keys as texts."""

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from penstock.api.credentials import hash_of, key_id_of, new_key, pepper_of, repeated_key, same

PEPPER = pepper_of(bytes(32))


@given(st.uuids())
def test_a_key_names_its_id(key_id: UUID) -> None:
    assert key_id_of(new_key(key_id).text) == key_id


@given(st.text(max_size=200))
def test_any_other_text_is_no_key(text: str) -> None:
    assert key_id_of(text) is None


def test_secrets_differ_and_repeats_do_not() -> None:
    key_id = uuid4()
    assert new_key(key_id).text != new_key(key_id).text
    assert repeated_key(key_id, PEPPER) == repeated_key(key_id, PEPPER)
    assert repeated_key(key_id, PEPPER).text != repeated_key(uuid4(), PEPPER).text
    assert repeated_key(key_id, PEPPER).text != repeated_key(key_id, pepper_of(b"1" * 32)).text


def test_the_pepper_is_part_of_the_hash() -> None:
    text = new_key(uuid4()).text
    assert same(hash_of(text, PEPPER), hash_of(text, PEPPER))
    assert not same(hash_of(text, PEPPER), hash_of(text, pepper_of(b"1" * 32)))
    assert bytes(32) not in PEPPER
