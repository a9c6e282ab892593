"""Every type of connection: the JSON Schema (2020-12) of its config, secret fields included.

A secret field is marked `writeOnly`: it is sealed in the vault, never shown, and no part of any
event. All else is public.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

SECRET_BYTES_MIN: Final = 6
"""A shorter value would be found all over what a step says, and hidden there for no reason."""
SECRET_BYTES_MAX: Final = 16 * 1024
"""A private key with its chain of certificates."""

Schema = Mapping[str, Any]

TEXT: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 1024}
SECRET: Final[Schema] = {
    "type": "string",
    "minLength": SECRET_BYTES_MIN,
    "maxLength": SECRET_BYTES_MAX,
    "writeOnly": True,
}
HOST: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,253}$"}
PORT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}
URL: Final[Schema] = {
    "type": "string",
    "pattern": "^[hH][tT][tT][pP][sS]?://[^/\\s@]+(/[^\\s]*)?$",
    "maxLength": 2048,
}
TOKEN: Final[Schema] = {"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$"}


HOSTS: Final[Schema] = {
    "type": "array",
    "items": HOST,
    "minItems": 1,
    "maxItems": 100,
    "description": "The only hosts that requests may go to; without it any",
}


class ConnectionType(Struct, frozen=True, kw_only=True):
    """One type of connection. is_http: whether it signs HTTP requests of steps."""

    name: str
    description: str
    config_schema: Schema
    is_http: bool = False

    @property
    def secret_fields(self) -> tuple[str, ...]:
        """The members of its config that nobody is shown."""
        properties = self.config_schema["properties"]
        return tuple(name for name, schema in properties.items() if schema.get("writeOnly"))


def config_of(properties: Mapping[str, Schema], *required: str) -> Schema:
    """The schema of an object with these members and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": dict(properties),
    }


TYPES: Final = (
    ConnectionType(
        name="http_basic",
        description="Signs requests with a user's name and password",
        config_schema=config_of(
            {"username": TEXT, "password": SECRET, "hosts": HOSTS}, "username", "password"
        ),
        is_http=True,
    ),
    ConnectionType(
        name="bearer",
        description="Signs requests with a token",
        config_schema=config_of({"token": SECRET, "hosts": HOSTS}, "token"),
        is_http=True,
    ),
    ConnectionType(
        name="api_key",
        description="Puts a key into a header or into the query",
        config_schema=config_of(
            {
                "in": {"enum": ["header", "query"], "default": "header"},
                "name": {**TOKEN, "description": "Of the header or the query parameter"},
                "key": SECRET,
                "hosts": HOSTS,
            },
            "name",
            "key",
        ),
        is_http=True,
    ),
    ConnectionType(
        name="oauth2_client_credentials",
        description="Signs requests with a token that a server gives for an id and a secret",
        config_schema=config_of(
            {
                "tokenUrl": URL,
                "clientId": TEXT,
                "clientSecret": SECRET,
                "scope": TEXT,
                "audience": TEXT,
                "hosts": HOSTS,
                "authentication": {"enum": ["basic", "body"], "default": "basic"},
            },
            "tokenUrl",
            "clientId",
            "clientSecret",
        ),
        is_http=True,
    ),
    ConnectionType(
        name="smtp",
        description="A server that takes e-mail",
        config_schema=config_of(
            {
                "host": HOST,
                "port": {**PORT, "description": "Without it 587, or 465 for tls"},
                "security": {"enum": ["starttls", "tls", "none"], "default": "starttls"},
                "from": TEXT,
                "username": TEXT,
                "password": SECRET,
            },
            "host",
        ),
    ),
    ConnectionType(
        name="postgres",
        description="A Postgres database",
        config_schema=config_of(
            {
                "host": HOST,
                "port": {**PORT, "default": 5432},
                "database": TEXT,
                "username": TEXT,
                "password": SECRET,
                "sslMode": {
                    "enum": ["disable", "require", "verify-ca", "verify-full"],
                    "default": "require",
                },
            },
            "host",
            "database",
            "username",
        ),
    ),
    ConnectionType(
        name="s3",
        description="Signs requests to a bucket that speaks S3, by AWS Signature Version 4",
        config_schema=config_of(
            {
                "endpoint": URL,
                "region": {**TEXT, "default": "us-east-1"},
                "bucket": TEXT,
                "accessKeyId": TEXT,
                "secretAccessKey": SECRET,
            },
            "bucket",
            "accessKeyId",
            "secretAccessKey",
        ),
        is_http=True,
    ),
    ConnectionType(
        name="openai",
        description="An OpenAI-compatible endpoint; signs requests to what is under its baseUrl",
        config_schema=config_of({"baseUrl": URL, "organization": TEXT, "apiKey": SECRET}, "apiKey"),
        is_http=True,
    ),
)

CONNECTION_TYPES: Final[Mapping[str, ConnectionType]] = {kind.name: kind for kind in TYPES}


class Parted(Struct, frozen=True):
    """A config in two: what may be shown, and what is sealed."""

    public: dict[str, Any]
    secret: dict[str, str]


def parted(kind: ConnectionType, config: Mapping[str, Any]) -> Parted:
    """A valid config, taken apart."""
    hidden = frozenset(kind.secret_fields)
    return Parted(
        {name: value for name, value in config.items() if name not in hidden},
        {name: value for name, value in config.items() if name in hidden},
    )
