"""A stack in the foreground: signals, and that nothing outlives its supervisor."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.dev.postgres_files import remove_data
from tests.integration.dev.stubs import eventually, is_alive, stops

ROOT = Path(__file__).parents[3]
EXIT_WITHIN_S = 20


@contextmanager
def serving(directory: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A stub stack that is ready, in a process of its own."""
    argv = [sys.executable, "-m", "tests.integration.dev.serving", str(directory)]
    with subprocess.Popen(
        argv, cwd=ROOT, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def _tidy(tmp_path: Path) -> Iterator[None]:
    """Postgres' data of a stack that was killed lies where pytest does not look."""
    yield
    remove_data(tmp_path / "data" / "postgres")


def children(directory: Path) -> list[int]:
    files = (directory / "data" / "run").glob("*.pid")
    return [int(file.read_text()) for file in files if file.stem != "supervisor"]


def test_a_signal_stops_it_gracefully(tmp_path: Path) -> None:
    with serving(tmp_path) as process:
        pids = children(tmp_path)
        process.send_signal(signal.SIGTERM)
        assert process.wait(EXIT_WITHIN_S) == 0
    assert len(pids) == 7
    assert len(stops(tmp_path)) == 5
    assert not any(is_alive(pid) for pid in pids)


def test_nothing_outlives_a_killed_supervisor_and_the_next_one_starts(tmp_path: Path) -> None:
    with serving(tmp_path) as process:
        pids = children(tmp_path)
        process.kill()
        process.wait()
        eventually(lambda: not any(is_alive(pid) for pid in pids), "all children have ended")
    with serving(tmp_path) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(EXIT_WITHIN_S) == 0


def test_a_second_signal_ends_everything_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, STUB_DEAF="1") as process:
        pids = children(tmp_path)
        process.send_signal(signal.SIGINT)
        eventually(lambda: "stopping" in told(process), "the first signal is heard")
        process.send_signal(signal.SIGINT)
        assert process.wait(EXIT_WITHIN_S) == 128 + signal.SIGINT
        eventually(lambda: not any(is_alive(pid) for pid in pids), "all children have ended")
    assert stops(tmp_path) == []


def told(process: subprocess.Popen[str]) -> str:
    """The next line it prints."""
    assert process.stdout is not None
    return process.stdout.readline()
