"""The environment as frozen values: one class per process, each variable named `PENSTOCK_<FIELD>`.

`load(ApiSettings)` reads and checks; a wrong or missing value raises `SettingsInvalid`, whose text
names every variable at fault and never repeats a value, for it may be a secret. Any variable can be
given as a file instead: `PENSTOCK_ADMIN_KEY_FILE=/run/secrets/admin` reads that file's text.
`settings_rows` lists all variables for the documentation.
"""

import base64
import binascii
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from penstock.infra.production import unsafe
from penstock.infra.settings_identity import IdentitySettings, issuer_problems
from penstock.infra.settings_outside import HttpUrl, OutsideSettings, Port
from penstock.infra.settings_values import (
    listed,
    nats_urls,
    origins,
    postgres_url,
    queue_names,
)

PREFIX = "PENSTOCK_"
FILE_SUFFIX = "_FILE"
FILE_BYTES_MAX = 64 * 1024
"""A secret file is a key or a URL; anything larger is the wrong file."""
QUEUES_MAX = 64
"""Each has a consumer of its own, and a window in every scheduler."""
KEY_BYTES = 32
"""AES-256."""
KEYS_OLD_MAX = 8
"""Beside the newest: two are there while one is replaced; more are left behind by mistake."""


class SettingsInvalid(ValueError):
    """Some variables are missing or wrong. `names` holds them; the text says what is wrong."""

    def __init__(self, problems: dict[str, str]) -> None:
        self.names = tuple(problems)
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems.items()))


class Environment(StrEnum):
    """Where the process runs; production refuses what is unsafe (`penstock.infra.production`)."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class LogLevel(StrEnum):
    """The least severe line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class SyncInterval(StrEnum):
    """When JetStream syncs what it has stored: before each acknowledgement, or now and then."""

    ALWAYS = "always"
    EVERY_TWO_MINUTES = "2m"


def _key(value: SecretStr) -> SecretStr:
    key_bytes(value)
    return value


def key_bytes(key: SecretStr) -> bytes:
    """The 32 bytes that a key-encryption key's URL-safe base64 text stands for, else ValueError."""
    text = key.get_secret_value()
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ValueError(f"must be {KEY_BYTES} bytes as URL-safe base64")
    return raw


NatsUrl = Annotated[str, AfterValidator(nats_urls)]
PostgresUrl = Annotated[str, AfterValidator(postgres_url)]
KeyEncryptionKey = Annotated[SecretStr, AfterValidator(_key)]
KeyEncryptionKeys = Annotated[
    tuple[KeyEncryptionKey, ...],
    NoDecode,
    BeforeValidator(listed),
    Field(max_length=KEYS_OLD_MAX),
]
Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)]
Queues = Annotated[Listed, Field(min_length=1, max_length=QUEUES_MAX), AfterValidator(queue_names)]
Origins = Annotated[Listed, AfterValidator(origins)]


class FileSource(PydanticBaseSettingsSource):
    """Values from the files that `PENSTOCK_<FIELD>_FILE` name."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The file's text without surrounding space, or None when the variable is unset."""
        path = os.environ.get(f"{PREFIX}{field_name.upper()}{FILE_SUFFIX}")
        if not path:
            return None, field_name, False
        return _file_text(f"{PREFIX}{field_name.upper()}{FILE_SUFFIX}", path), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All fields that have a file."""
        found = ((name, self.get_field_value(field, name)[0]) for name, field in self._fields())
        return {name: value for name, value in found if value is not None}

    def _fields(self) -> Iterator[tuple[str, FieldInfo]]:
        yield from self.settings_cls.model_fields.items()


def _file_text(variable: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise SettingsInvalid({variable: f"file is larger than {FILE_BYTES_MAX} bytes"})
        return content.decode().strip()
    except OSError as error:
        raise SettingsInvalid({variable: f"cannot be read: {error.strerror}"}) from None
    except UnicodeDecodeError:
        raise SettingsInvalid({variable: "is not UTF-8 text"}) from None


class SharedSettings(BaseSettings):
    """What every process needs to know."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True
    )
    PROCESS: ClassVar[str] = "every process"

    env: Environment = Field(
        Environment.DEVELOPMENT, description="`development`, `test` or `production`"
    )
    log_level: LogLevel = Field(
        LogLevel.INFO, description="Least severe log line: `debug`, `info`, `warning`, `error`"
    )
    nats_url: NatsUrl = Field(
        "nats://127.0.0.1:4222", repr=False, description="NATS servers, separated by commas"
    )
    instance: str = Field(
        "penstock-0",
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="This process's own name, unique among its kind",
    )
    metrics_port: Port = Field(
        9464, description="Port of `/livez`, `/readyz` and `/metrics` (the API: on its own port)"
    )
    metrics_host: str = Field("127.0.0.1", description="Address of that port")
    graceful_timeout_s: float = Field(
        8, ge=1, le=600, description="Seconds to finish or hand back work after SIGTERM"
    )

    queues: Queues = Field(
        ("default",),
        description="Queues of work that there are, `default` always; one set for all processes",
    )
    s3_bucket: str = Field(
        "",
        pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$",
        description="Bucket for large payloads and definitions; without one JetStream keeps them",
    )
    s3_endpoint: HttpUrl = Field(
        "", description="URL of the store that speaks S3; without one that of AWS in the region"
    )
    s3_region: str = Field("us-east-1", pattern=r"^[a-z0-9-]{1,64}$", description="Its region")
    s3_access_key: SecretStr = Field(
        SecretStr(""), description="Access key id; without one what the machine itself may do"
    )
    s3_secret_key: SecretStr = Field(
        SecretStr(""), repr=False, description="The access key's secret"
    )
    s3_prefix: str = Field(
        "",
        pattern=r"^([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)?$",
        description="Before the name of every object, so that a bucket can be shared",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments go before the environment, that before files; no `.env` is read."""
        return init_settings, env_settings, FileSource(settings_cls)


class DatabaseSettings(SharedSettings):
    """What a process needs that opens Postgres."""

    database_url: PostgresUrl = Field(
        repr=False, description="Postgres, as the role of this very process"
    )


class KeyringSettings(DatabaseSettings):
    """What a process needs that seals or opens what belongs to a tenant."""

    key_encryption_key: KeyEncryptionKey = Field(
        description="32 bytes, URL-safe base64: wraps the tenants' data keys; `up` makes one"
    )
    key_encryption_keys_old: KeyEncryptionKeys = Field(
        (), description="Other such keys, separated by commas, that may wrap data keys still"
    )


class ApiSettings(KeyringSettings, IdentitySettings):
    """The HTTP API's settings."""

    PROCESS = "api"

    api_host: str = Field("127.0.0.1", description="Address to listen on")
    api_port: Port = Field(8000, description="Port to listen on")
    admin_key: SecretStr = Field(min_length=1, description="API key of the platform admin")
    cors_origins: Origins = Field(
        (),
        description="Origins that browsers may call from, such as `https://app.example`; `*`: all",
    )
    pepper_key: KeyEncryptionKey | None = Field(
        None,
        description="What API keys are peppered with, as such a key: the first one that there was, "
        "once another one has taken its place",
    )
    key_requests_per_minute: int = Field(
        60_000, ge=0, le=10_000_000, description="Requests a minute of one credential; 0: no limit"
    )
    address_requests_per_minute: int = Field(
        120_000, ge=0, le=10_000_000, description="The same of one address (that of a proxy too)"
    )


class SchedulerSettings(KeyringSettings):
    """The scheduler's settings."""

    PROCESS = "scheduler"


class ExecutorSettings(KeyringSettings, OutsideSettings):
    """The executor's settings."""

    PROCESS = "executor"

    executor_concurrency: int = Field(
        128, ge=1, le=10_000, description="Steps that one executor runs at the same time"
    )
    executor_queues: Queues = Field(
        ("default",), description="Queues that this executor takes work from"
    )


class ProjectorSettings(DatabaseSettings):
    """The projector's settings."""

    PROCESS = "projector"


class UpSettings(SharedSettings):
    """What only `penstock up` reads: how it runs the servers that it starts itself."""

    PROCESS = "up"

    nats_sync_interval: SyncInterval = Field(
        SyncInterval.EVERY_TWO_MINUTES,
        description="How often the NATS server of `up` syncs to the disk: `always` or `2m`",
    )


class MigrateSettings(SharedSettings):
    """The settings of `penstock migrate` and `penstock audit verify`."""

    PROCESS = "migrate, audit"

    database_url: PostgresUrl = Field(repr=False, description="Postgres, as `penstock_owner`")


SETTINGS: tuple[type[SharedSettings], ...] = (
    SharedSettings,
    ApiSettings,
    SchedulerSettings,
    ExecutorSettings,
    ProjectorSettings,
    UpSettings,
    MigrateSettings,
)

S = TypeVar("S", bound=SharedSettings)


def load(settings: type[S], **given: Any) -> S:
    """The process's settings, or `SettingsInvalid` with all that is wrong.

    given: values of fields that go before the environment's.
    """
    try:
        loaded = settings(**given)
    except ValidationError as error:
        raise SettingsInvalid(_problems(error)) from None
    problems = _half_keys(loaded) | _half_issuer(loaded)
    if loaded.env is Environment.PRODUCTION:
        problems |= unsafe(loaded, PREFIX, FILE_SUFFIX)
    if problems:
        raise SettingsInvalid(problems)
    return loaded


def _problems(error: ValidationError) -> dict[str, str]:
    """Each variable at fault and what is wrong with it, without the value."""
    problems: dict[str, str] = {}
    for detail in error.errors(include_url=False, include_input=False):
        name = PREFIX + str(detail["loc"][0]).upper() if detail["loc"] else PREFIX.rstrip("_")
        name = name.replace(PREFIX * 2, PREFIX)  # of a field that has other names as well
        said = detail["msg"].removeprefix("Value error, ")
        problems[name] = "is required" if detail["type"] == "missing" else said
    return problems


def _half_keys(settings: SharedSettings) -> dict[str, str]:
    keys = {"S3_ACCESS_KEY": settings.s3_access_key, "S3_SECRET_KEY": settings.s3_secret_key}
    missing = [name for name, key in keys.items() if not key.get_secret_value()]
    if len(missing) != 1:
        return {}
    return {PREFIX + missing[0]: "is required where the other key is given"}


def _half_issuer(settings: SharedSettings) -> dict[str, str]:
    if not isinstance(settings, ApiSettings):
        return {}
    problems = issuer_problems(settings, is_production=settings.env is Environment.PRODUCTION)
    return {PREFIX + name: said for name, said in problems.items()}


class SettingsRow(NamedTuple):
    """One variable as the documentation shows it; `default` is empty where one is required."""

    variable: str
    process: str
    default: str
    description: str


def settings_rows() -> list[SettingsRow]:
    """Every variable once per process that has it of its own, shared ones first."""
    shared = SharedSettings.model_fields
    return [
        SettingsRow(PREFIX + name.upper(), cls.PROCESS, _default(field), field.description or "")
        for cls in SETTINGS
        for name, field in cls.model_fields.items()
        if cls is SharedSettings or name not in shared
    ]


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return ""
    if isinstance(field.default, tuple):
        return ",".join(map(str, field.default)) or "(none)"
    if field.default is None or isinstance(field.default, SecretStr):
        return "(none)"
    return str(field.default) or "(none)"
