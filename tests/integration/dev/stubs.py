"""Stacks whose services are stand-ins: what is under test is the stack, on real servers."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from penstock.dev.options import StackOptions

STUB = Path(__file__).with_name("stub.py")
COMMANDS = {
    service: (sys.executable, str(STUB))
    for service in ("api", "scheduler", "executor", "projector")
}
WITHIN_S = 20.0


def stub_options(directory: Path, *, keep: bool = False, **env: str) -> StackOptions:
    """A stack in `directory` with two executors, its diary in `directory/diary`."""
    diary = directory / "diary"
    diary.mkdir(exist_ok=True)
    return StackOptions(
        data_dir=directory / "data",
        port=0,
        executors=2,
        commands=COMMANDS,
        keep=keep,
        env={"STUB_DIARY": str(diary), **env},
    )


def stops(directory: Path) -> list[str]:
    """The services that were asked to end, in order."""
    file = directory / "diary" / "stops"
    return file.read_text().split() if file.exists() else []


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits to be read does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Return when it holds; fail when it never does."""
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)
