"""What `penstock up` was asked for: its options, and the settings of all the services it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import SettingsConfigDict

from penstock.dev.errors import SettingWrong
from penstock.infra.settings import (
    ApiSettings,
    ExecutorSettings,
    KeyEncryptionKey,
    NatsUrl,
    PostgresUrl,
    ProjectorSettings,
    Queues,
    SchedulerSettings,
    SettingsInvalid,
    SyncInterval,
    UpSettings,
    load,
)

REPLICAS_MAX = 16
"""One machine's worth; also the number of partitions that schedulers can share."""
QUEUES = TypeAdapter[tuple[str, ...]](Queues)
DATA_DIRECTORY = Path(".penstock")


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """How to start a stack.

    `port` None takes PENSTOCK_API_PORT, 0 any free port. `env` goes over the environment of every
    service. `commands` names the program of a service that is not to be ours. `queues` None takes
    PENSTOCK_QUEUES, `sync_interval` None PENSTOCK_NATS_SYNC_INTERVAL; `always` makes an embedded
    NATS wait for the disk before each acknowledgement. `keep=False` deletes Postgres' data with the
    stop, for a stack in a temporary directory: the data may lie elsewhere.
    """

    data_dir: Path = DATA_DIRECTORY
    port: int | None = None
    executors: int = 1
    schedulers: int = 1
    api: int = 1
    reload: bool = False
    verbose: bool = False
    sync_interval: SyncInterval | None = None
    queues: str | None = None
    keep: bool = True
    env: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def queue_variables(self) -> dict[str, str]:
        """What services and their preparation are told of `queues`; executors serve all of them."""
        if self.queues is None:
            return {}
        return {"PENSTOCK_QUEUES": self.queues, "PENSTOCK_EXECUTOR_QUEUES": self.queues}

    def replicas(self) -> dict[str, int]:
        """How many processes each option of `penstock up` asks for."""
        return {"--api": self.api, "--schedulers": self.schedulers, "--executors": self.executors}

    def counts(self) -> dict[str, int]:
        """How many processes of each service to start."""
        return {
            "api": self.api,
            "scheduler": self.schedulers,
            "executor": self.executors,
            "projector": 1,
        }


class StackSettings(
    ApiSettings, SchedulerSettings, ExecutorSettings, ProjectorSettings, UpSettings
):
    """Every service's settings at once, so that a wrong one is known before anything starts.

    What the stack provides itself may be missing; an empty text stands for that.
    """

    model_config = SettingsConfigDict(validate_default=False)
    PROCESS: ClassVar[str] = "up"

    nats_url: NatsUrl = Field("", repr=False)
    database_url: PostgresUrl = Field("", repr=False)
    admin_key: SecretStr = SecretStr("")
    key_encryption_key: KeyEncryptionKey = SecretStr("")


def stack_settings(options: StackOptions) -> StackSettings:
    """The environment as settings; `SettingWrong` names each variable or option at fault."""
    for option, count in options.replicas().items():
        if not 1 <= count <= REPLICAS_MAX:
            raise SettingWrong(f"{option}: start between 1 and {REPLICAS_MAX}, not {count}")
    if options.port is not None and not 0 <= options.port <= 65535:
        raise SettingWrong(f"--port: {options.port} is no port")
    if options.queues is not None:
        try:
            QUEUES.validate_python(options.queues)
        except ValidationError as wrong:
            said = wrong.errors()[0]["msg"].removeprefix("Value error, ")
            raise SettingWrong(f"--queues: {said}") from None
    given = {} if options.sync_interval is None else {"nats_sync_interval": options.sync_interval}
    try:
        return load(StackSettings, **given)
    except SettingsInvalid as invalid:
        raise SettingWrong(str(invalid)) from None
