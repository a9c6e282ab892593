"""A statement, and how values of events become its parameters."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from penstock.projector.arrays import MS_MAX

Parameters = dict[str, Any]


class Statement(NamedTuple):
    """SQL with `%(name)s` parameters."""

    sql: str
    parameters: Parameters


def updating(table: str, changes: str, condition: str) -> str:
    """An UPDATE of a read model."""
    return f"update penstock.{table} set {changes} where {condition}"


def moment(at_ms: int | None) -> datetime | None:
    """Milliseconds since the epoch; None for what is no moment."""
    if at_ms is None or not 0 < at_ms < MS_MAX:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def json_text(value: object) -> str:
    """A value for a column of type json."""
    return msgspec.json.encode(value).decode()


def plain_text(value: str) -> str:
    """A text that Postgres takes."""
    return value.replace("\0", "\ufffd")
