"""Packed columns have the layout of Postgres's binary arrays."""

import struct
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from penstock.projector import arrays


def elements(packed: arrays.Packed) -> Iterator[bytes | None]:
    """The elements of a one-dimensional array, read by the book."""
    data = packed.data
    dimensions, _flags, oid = struct.unpack_from("!iii", data)
    assert oid == packed.oid
    if dimensions == 0:
        assert len(data) == 12
        return
    count, lower = struct.unpack_from("!ii", data, 12)
    assert (dimensions, lower) == (1, 1)
    at = 20
    for _ in range(count):
        (length,) = struct.unpack_from("!i", data, at)
        at += 4
        yield None if length < 0 else data[at : at + length]
        at += max(length, 0)
    assert at == len(data)


@given(st.lists(st.binary(min_size=16, max_size=16)))
def test_uuids(values: list[bytes]) -> None:
    assert list(elements(arrays.uuids(values))) == values


@given(st.lists(st.none() | st.text()))
def test_texts_are_utf8_without_zero_bytes(values: list[str | None]) -> None:
    expected = [
        None if value is None else value.replace("\0", "\ufffd").encode(errors="replace")
        for value in values
    ]
    assert list(elements(arrays.texts(values))) == expected


@given(st.lists(st.none() | st.binary(max_size=6000)))
def test_jsons_are_kept_byte_for_byte(values: list[bytes | None]) -> None:
    assert list(elements(arrays.jsons(values))) == values


@given(st.lists(st.none() | st.integers(-(2**31), 2**31 - 1)))
def test_ints(values: list[int | None]) -> None:
    expected = [None if value is None else struct.pack("!i", value) for value in values]
    assert list(elements(arrays.ints(values))) == expected


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_bigints(values: list[int]) -> None:
    packed = arrays.bigints(values)
    assert list(elements(packed)) == [struct.pack("!q", value) for value in values]


@given(st.lists(st.none() | st.integers()))
def test_a_moment_that_cannot_be_is_null(values: list[int | None]) -> None:
    for value, element in zip(values, elements(arrays.moments(values)), strict=True):
        if value is None or not 0 < value < arrays.MS_MAX:
            assert element is None
        else:
            assert element == struct.pack("!q", (value - 946_684_800_000) * 1000)


def test_bools() -> None:
    assert list(elements(arrays.bools([True, False, None]))) == [b"\x01", b"\x00", None]


def test_nested_texts_are_quoted() -> None:
    assert arrays.literal(["a", 'b"\\', "", "c,d"]) == '{"a","b\\"\\\\","","c,d"}'
    assert arrays.literal([]) == "{}"
