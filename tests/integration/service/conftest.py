"""A NATS server of these tests alone, for they kill it, and processes that use it."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.dev.nats_server import NatsServer
from penstock.dev.ports import free_port

PROGRAM = Path(__file__).with_name("program.py")
WITHIN_S = 20.0
"""No figure of ours: how long a test waits before it says that something never happened."""


def until(happened: Callable[[], bool], what: str) -> None:
    """Waits until `happened()`."""
    deadline = time.monotonic() + WITHIN_S
    while not happened():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)


class Running:
    """One running program: its probes, its lines, its end."""

    def __init__(self, directory: Path, nats_url: str, **environment: str) -> None:
        self.port = int(environment.get("PENSTOCK_METRICS_PORT") or free_port())
        self.log = directory / f"{self.port}.log"
        environment = {
            "PENSTOCK_NATS_URL": nats_url,
            "PENSTOCK_METRICS_PORT": str(self.port),
            "PENSTOCK_INSTANCE": "executor-0",
            "PENSTOCK_DATABASE_URL": "postgresql://penstock_executor@127.0.0.1:1/penstock",
            "PENSTOCK_KEY_ENCRYPTION_KEY": urlsafe_b64encode(bytes(32)).decode(),
            **environment,
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "OTEL"))}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                (sys.executable, str(PROGRAM)),
                stdout=log,
                stderr=subprocess.STDOUT,
                env=inherited | environment,
            )

    def get(self, path: str) -> tuple[int, str]:
        """Status and body; (0, "") where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, answer.read().decode()
        except OSError:
            return 0, ""

    def until_ready(self) -> "Running":
        """Waits until `/readyz` says yes."""
        until(lambda: self.get("/readyz")[0] == 200, f"ready\n{self.log.read_text()}")
        return self

    def until_said(self, event: str) -> dict[str, Any]:
        """Waits for a line of this event, and gives the first."""
        until(lambda: bool(self.said(event)), f"{event!r} in\n{self.log.read_text()}")
        return self.said(event)[0]

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines of this event."""
        return [line for line in self.lines() if line["event"] == event]

    def lines(self) -> list[dict[str, Any]]:
        """Every finished line that is JSON."""
        text = self.log.read_text()
        whole = text[: text.rfind("\n") + 1].splitlines()
        return [json.loads(line) for line in whole if line.startswith("{")]

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.terminate()
        return self.process.wait(WITHIN_S)


Start = Callable[..., Running]


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    """Not started yet; its port is known."""
    server = NatsServer(tmp_path / "nats", port=free_port())
    yield server
    server.stop()


@pytest.fixture
def start(tmp_path: Path, nats: NatsServer) -> Iterator[Start]:
    """Starts programs; those that still run at the end are killed."""
    running: list[Running] = []

    def begin(behaviour: str = "", **environment: str) -> Running:
        url = environment.pop("PENSTOCK_NATS_URL", nats.url)
        running.append(Running(tmp_path, url, BEHAVIOUR=behaviour, **environment))
        return running[-1]

    yield begin
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
