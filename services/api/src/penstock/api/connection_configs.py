"""Configs of connections: checked by the JSON Schema of their type, without repeating a secret."""

from typing import Any

import msgspec
from msgspec import Struct

from penstock.api.errors import detail, invalid
from penstock.domain.connection.types import (
    CONNECTION_TYPES,
    SECRET_BYTES_MAX,
    SECRET_BYTES_MIN,
    ConnectionType,
    parted,
)
from penstock.infra.schemas import check_value

CONFIG_BYTES_MAX = 16 * 1024
"""Of a config's public part as JSON."""


class Asked(Struct, frozen=True):
    """A valid connection: its type, the public part of its config, and what goes into the vault."""

    kind: ConnectionType
    public: bytes
    sealed: bytes


def asked_of(type_name: str, config: dict[str, Any]) -> Asked:
    """What a body asks for. Raises Problem 400 that names every fault."""
    kind = CONNECTION_TYPES.get(type_name)
    if kind is None:
        said = f"must be one of {', '.join(CONNECTION_TYPES)}"
        raise invalid("the body is not valid", detail("/type", "SCHEMA_INVALID", said))
    faults = [*schema_faults(kind, config), *size_faults(kind, config)]
    if faults:
        raise invalid("the connection is not valid", *faults)
    parts = parted(kind, config)
    public = msgspec.json.encode(parts.public, order="sorted")
    if len(public) > CONFIG_BYTES_MAX:
        said = f"has {len(public)} bytes as JSON, more than {CONFIG_BYTES_MAX}"
        raise invalid("the body is not valid", detail("/config", "LIMIT_EXCEEDED", said))
    whole = {"type": kind.name, "config": parts.public, "secrets": parts.secret}
    return Asked(kind, public, msgspec.json.encode(whole))


def schema_faults(kind: ConnectionType, config: dict[str, Any]) -> list[dict[str, str]]:
    """What the schema finds wrong; of a secret field no more than that."""
    hidden = {f"/{name}" for name in kind.secret_fields if name in config}
    return [
        detail(
            f"/config{pointer}",
            "CONFIG_INVALID",
            "is not valid" if pointer in hidden else message,
        )
        for pointer, message in check_value(kind.config_schema, config)
    ]


def size_faults(kind: ConnectionType, config: dict[str, Any]) -> list[dict[str, str]]:
    """Secret fields that are too short to be hidden, or too long to be kept."""
    said = f"must have {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes as UTF-8"
    return [
        detail(f"/config/{name}", "CONFIG_INVALID", said)
        for name in kind.secret_fields
        if isinstance(value := config.get(name), str)
        and not SECRET_BYTES_MIN <= len(value.encode(errors="surrogatepass")) <= SECRET_BYTES_MAX
    ]
