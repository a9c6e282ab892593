"""Postgres's values as JSON has them, and JSON's values as Postgres takes them.

| In Postgres | In JSON |
|---|---|
| boolean | boolean |
| smallint, integer, bigint, oid, real, double precision | number (`NaN`, infinities: text) |
| json, jsonb | the value |
| bytea | base64 |
| timestamptz, timestamp | `2026-01-02T03:04:05.6Z`, the same without `Z` |
| an array | an array |
| anything else: numeric, uuid, date, interval, … | text, as Postgres writes it |
"""

import functools
import math
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import psycopg
from psycopg.adapt import AdaptersMap, Buffer, Loader
from psycopg.types.json import Jsonb
from psycopg.types.string import TextLoader

from penstock.executor.nodes.http_request import is_shallow

KEPT = frozenset({"bool", "int2", "int4", "int8", "oid", "float4", "float8", "bytea", "text"})
"""Types that psycopg reads as JSON has them, or nearly so. A numeric is none of them: a number of
JSON would round what is written down in money."""
JSON_TYPES = ("json", "jsonb")
MOMENT_TYPES = ("timestamp", "timestamptz")
MOMENT = re.compile(r"(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)(\+00)?")


class JsonLoader(Loader):
    """A json value; one that nests deeper than values may travel is its text."""

    def load(self, data: Buffer) -> Any:
        """The value."""
        text = bytes(data)
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return text.decode()
        return value if is_shallow(value) else text.decode()


class MomentLoader(Loader):
    """A moment as RFC 3339 writes it; one that it cannot write stays as Postgres writes it."""

    def load(self, data: Buffer) -> str:
        """The text."""
        text = bytes(data).decode()
        found = MOMENT.fullmatch(text)
        return text if found is None else f"{found[1]}T{found[2]}{'Z' if found[3] else ''}"


@functools.cache
def adapters() -> AdaptersMap:
    """How answers are read."""
    made = AdaptersMap(psycopg.adapters)
    for known in psycopg.adapters.types:
        if known.name not in KEPT:
            made.register_loader(known.oid, TextLoader)
    for name in JSON_TYPES:
        made.register_loader(name, JsonLoader)
    for name in MOMENT_TYPES:
        made.register_loader(name, MomentLoader)
    return made


def jsonable(value: Any) -> Any:
    """A value that was read, as JSON has it."""
    match value:
        case bytes():
            return b64encode(value).decode()
        case float() if not math.isfinite(value):
            return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
        case list():
            return [jsonable(inner) for inner in value]
        case _:
            return value


Parameters = Sequence[Any] | Mapping[str, Any]


def parameters(given: Parameters) -> Parameters:
    """JSON's values as they are bound: lists of plain values as arrays, all that nests as jsonb."""
    if isinstance(given, Mapping):
        return {name: bound(value) for name, value in given.items()}
    return [bound(value) for value in given]


def bound(value: Any) -> Any:
    """One of them."""
    nests = isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value)
    return Jsonb(value, dumps=msgspec.json.encode) if nests or isinstance(value, dict) else value
