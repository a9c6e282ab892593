"""Whole columns as Postgres arrays in binary, for `unnest`.

Packing a column at once costs a tenth of what one adapted value each would. An array is one
dimension of elements, each its length and its bytes; length -1 is null.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any, ClassVar

from psycopg import AsyncConnection, Connection
from psycopg.adapt import Dumper
from psycopg.pq import Format

NULL = b"\xff\xff\xff\xff"
LENGTHS_MAX = 4096

_HEADER = Struct("!iiIii")
_INT = Struct("!i")
_INT4 = Struct("!ii")
_INT8 = Struct("!iq")
_LENGTHS = [_INT.pack(length) for length in range(LENGTHS_MAX)]
_INTS = [_INT4.pack(4, number) for number in range(1024)]
_SIZE_UUID = _INT.pack(16)
_TRUE, _FALSE = b"\x00\x00\x00\x01\x01", b"\x00\x00\x00\x01\x00"

EPOCH_MS = 946_684_800_000
"""Postgres counts from 2000-01-01."""
MS_MAX = 1 << 43
"""The year 2248; what is beyond is not a moment but somebody's mistake, and is stored as null."""


class Packed:
    """A finished array; each subclass is of one type."""

    oid: ClassVar[int]
    array_oid: ClassVar[int]
    __slots__ = ("data",)

    def __init__(self, elements: bytes, count: int) -> None:
        self.data = (
            _HEADER.pack(1, 1, self.oid, count, 1) + elements
            if count
            else _HEADER.pack(0, 0, self.oid, 0, 0)[:12]
        )


class Uuids(Packed):
    """`uuid[]`."""

    oid, array_oid = 2950, 2951


class Texts(Packed):
    """`text[]`."""

    oid, array_oid = 25, 1009


class Jsons(Packed):
    """`json[]`."""

    oid, array_oid = 114, 199


class Byteas(Packed):
    """`bytea[]`."""

    oid, array_oid = 17, 1001


class Ints(Packed):
    """`int4[]`."""

    oid, array_oid = 23, 1007


class BigInts(Packed):
    """`int8[]`."""

    oid, array_oid = 20, 1016


class Moments(Packed):
    """`timestamptz[]`."""

    oid, array_oid = 1184, 1185


class Bools(Packed):
    """`bool[]`."""

    oid, array_oid = 16, 1000


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> bytes:
        """The array, which is packed already."""
        data: bytes = obj.data
        return data


def register(connection: AsyncConnection[Any] | Connection[Any]) -> None:
    """Let cursors that are made from now on take `Packed` parameters."""
    for packed in (Uuids, Texts, Jsons, Byteas, Ints, BigInts, Moments, Bools):
        dumper = type(f"{packed.__name__}Dumper", (_PackedDumper,), {"oid": packed.array_oid})
        connection.adapters.register_dumper(packed, dumper)


def is_null(values: Sequence[object]) -> bool:
    """Whether none of the values is there: of most columns that only some steps fill."""
    return values.count(None) == len(values)


def uuids(values: Sequence[bytes]) -> Uuids:
    """Ids of 16 bytes each, none of them null."""
    return Uuids(_SIZE_UUID + _SIZE_UUID.join(values) if values else b"", len(values))


def uuids_or_null(values: Sequence[bytes | None]) -> Uuids:
    """Ids of 16 bytes each, or null."""
    return Uuids(_sized(values), len(values))


def _sized(values: Sequence[bytes | None]) -> bytes:
    if is_null(values):
        return NULL * len(values)
    return b"".join(
        [
            NULL
            if value is None
            else (_LENGTHS[len(value)] if len(value) < LENGTHS_MAX else _INT.pack(len(value)))
            + value
            for value in values
        ]
    )


def texts(values: Sequence[str | None]) -> Texts:
    """Texts; a zero byte, which Postgres cannot hold, becomes the replacement character."""
    if is_null(values):
        return Texts(NULL * len(values), len(values))
    encoded = [
        None
        if value is None
        else (value if "\0" not in value else value.replace("\0", "\ufffd")).encode(
            errors="replace"
        )
        for value in values
    ]
    return Texts(_sized(encoded), len(values))


def jsons(values: Sequence[bytes | None]) -> Jsons:
    """JSON texts, kept byte for byte."""
    return Jsons(_sized(values), len(values))


def byteas(values: Sequence[bytes]) -> Byteas:
    """Byte strings."""
    return Byteas(_sized(values), len(values))


def ints(values: Sequence[int | None]) -> Ints:
    """Numbers of 32 bits."""
    return Ints(
        b"".join(
            [
                NULL
                if value is None
                else _INTS[value]
                if 0 <= value < len(_INTS)
                else _INT4.pack(4, value)
                for value in values
            ]
        ),
        len(values),
    )


def bigints(values: Sequence[int]) -> BigInts:
    """Numbers of 64 bits."""
    return BigInts(b"".join([_INT8.pack(8, value) for value in values]), len(values))


def moments(values: Sequence[int | None]) -> Moments:
    """Moments, given in ms since 1970; 0 and what cannot be a moment become null."""
    if is_null(values):
        return Moments(NULL * len(values), len(values))
    return Moments(
        b"".join(
            [
                _INT8.pack(8, (value - EPOCH_MS) * 1000)
                if value is not None and 0 < value < MS_MAX
                else NULL
                for value in values
            ]
        ),
        len(values),
    )


def bools(values: Sequence[bool | None]) -> Bools:
    """Truth values."""
    return Bools(
        b"".join([NULL if value is None else _TRUE if value else _FALSE for value in values]),
        len(values),
    )


def literal(values: Iterable[str]) -> str:
    """Texts as one array literal, for a column of arrays: `unnest` would flatten nested ones."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"
