"""Sealing: what is bound together opens together, and nothing else does."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.infra.keyring.keks import Keks, KekUnknown, Unopenable, kek_id
from penstock.infra.keyring.sealing import OVERHEAD_BYTES, SEALS_MAX, Sealer

TENANT = "0190a000-0000-7000-8000-00000000aaaa"
OTHER = "0190a000-0000-7000-8000-00000000bbbb"
KEY = UUID(int=7)
DATA_KEY = bytes(range(32))


def sealer(tenant: str = TENANT, key_id: UUID = KEY, data_key: bytes = DATA_KEY) -> Sealer:
    return Sealer(tenant, key_id, data_key)


@given(data=st.binary(max_size=300), about=st.binary(max_size=40))
def test_what_is_sealed_opens_with_the_same_key_about_the_same(data: bytes, about: bytes) -> None:
    sealed = sealer().seal(data, about=about)
    assert len(sealed) == len(data) + OVERHEAD_BYTES
    assert sealer().open(sealed, about=about) == data


@given(
    one=st.tuples(st.sampled_from((TENANT, OTHER)), st.integers(1, 3), st.binary(max_size=3)),
    other=st.tuples(st.sampled_from((TENANT, OTHER)), st.integers(1, 3), st.binary(max_size=3)),
)
def test_it_is_bound_to_tenant_key_and_matter(
    one: tuple[str, int, bytes], other: tuple[str, int, bytes]
) -> None:
    sealed = sealer(one[0], UUID(int=one[1])).seal(b"x", about=one[2])
    opener = sealer(other[0], UUID(int=other[1]))
    if one == other:
        assert opener.open(sealed, about=other[2]) == b"x"
    else:
        with pytest.raises(Unopenable):
            opener.open(sealed, about=other[2])


@given(at=st.integers(0, 30), bit=st.integers(0, 7))
def test_a_changed_bit_opens_nothing(at: int, bit: int) -> None:
    sealed = bytearray(sealer().seal(b"abc", about=b""))
    sealed[at] ^= 1 << bit
    with pytest.raises(Unopenable):
        sealer().open(bytes(sealed), about=b"")


def test_what_is_too_short_or_of_another_key_opens_nothing() -> None:
    for sealed in (b"", b"x" * 12, sealer(data_key=bytes(32)).seal(b"a", about=b"")):
        with pytest.raises(Unopenable):
            sealer().open(sealed, about=b"")


def test_the_same_is_never_sealed_the_same() -> None:
    one = sealer()
    assert len({one.seal(b"same", about=b"") for _ in range(100)}) == 100


def test_a_key_wears() -> None:
    one = sealer()
    one.sealed = SEALS_MAX - 1
    assert not one.is_worn
    one.seal(b"", about=b"")
    assert one.is_worn


def test_a_wrapped_key_is_bound_to_its_row() -> None:
    keks = Keks(bytes(32))
    wrapped = keks.wrap(TENANT, KEY, DATA_KEY)
    assert keks.unwrap(keks.newest, TENANT, KEY, wrapped) == DATA_KEY
    for tenant, key in ((OTHER, KEY), (TENANT, UUID(int=8))):
        with pytest.raises(Unopenable):
            keks.unwrap(keks.newest, tenant, key, wrapped)


def test_the_newest_wraps_and_older_ones_unwrap() -> None:
    old, new = Keks(b"o" * 32), Keks(b"n" * 32, [b"o" * 32])
    wrapped = old.wrap(TENANT, KEY, DATA_KEY)
    assert new.unwrap(old.newest, TENANT, KEY, wrapped) == DATA_KEY
    assert new.newest == kek_id(b"n" * 32) != old.newest
    with pytest.raises(KekUnknown, match=new.newest):
        old.unwrap(new.newest, TENANT, KEY, new.wrap(TENANT, KEY, DATA_KEY))


def test_the_name_of_a_key_tells_nothing_about_it() -> None:
    assert kek_id(b"k" * 32) != (b"k" * 32).hex()[:16]
    assert len(kek_id(b"k" * 32)) == 16
