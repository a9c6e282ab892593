"""A connection in use, and what an attempt uses besides."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class Connection(Struct, frozen=True):
    """A connection that may be used now. config: its public part; secrets: its secret fields."""

    type: str
    config: dict[str, Any]
    secrets: dict[str, str]
    name: str = ""


Secrets = Mapping[str, str]
"""Values by name."""
