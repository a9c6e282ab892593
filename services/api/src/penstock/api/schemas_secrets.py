"""Secrets and connections in the HTTP contract: what is secret is sent and never answered."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr

from penstock.api.schemas import Wire
from penstock.api.schemas_registry import VariableName
from penstock.domain.connection.types import SECRET_BYTES_MAX, SECRET_BYTES_MIN

ConnectionName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]
"""What a step names in its `connection`."""
CHARACTERS_MIN = -(-SECRET_BYTES_MIN // 4)
"""A schema counts characters, of which one has at most four bytes; what is said is in bytes."""


def bounded(value: SecretStr) -> SecretStr:
    """A value that can be found wherever it must not be."""
    size = len(value.get_secret_value().encode(errors="surrogatepass"))
    if not SECRET_BYTES_MIN <= size <= SECRET_BYTES_MAX:
        raise ValueError(f"must have {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes as UTF-8")
    return value


SecretValue = Annotated[
    SecretStr,
    AfterValidator(bounded),
    Field(json_schema_extra={"minLength": CHARACTERS_MIN, "maxLength": SECRET_BYTES_MAX}),
]


class NewSecret(Wire):
    """A secret to be made."""

    name: VariableName
    value: SecretValue


class SecretChange(Wire):
    """Another value for a secret; a `name` must be its own."""

    value: SecretValue
    name: str | None = None


class SecretShown(Wire):
    """That there is a secret, which some fields of steps read as `secrets.<name>`."""

    id: str
    name: str
    created_by: str
    created_at: datetime
    updated_by: str
    updated_at: datetime


class NewConnection(Wire):
    """A connection to be made; `config` is as the JSON Schema of its type says."""

    name: ConnectionName
    type: str
    config: dict[str, Any]


class ConnectionChange(Wire):
    """What a connection is to be from now on, secret fields too; a `name` must be its own."""

    type: str
    config: dict[str, Any]
    name: str | None = None


class ConnectionShown(Wire):
    """A connection. config: without its secret fields, whose names are in `secretFields`."""

    id: str
    name: str
    type: str
    config: dict[str, Any]
    secret_fields: list[str]
    created_by: str
    created_at: datetime
    updated_by: str
    updated_at: datetime


class ConnectionTypeShown(Wire):
    """A type of connection. configSchema: JSON Schema, its secret fields marked `writeOnly`."""

    type: str
    description: str
    config_schema: dict[str, Any]
