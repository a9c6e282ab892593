"""One child process: started on a leash, with its output in a log, stopped by its own signal."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penstock.dev.accounts import Account
from penstock.dev.errors import ServerFailed, log_tail

LEASH = Path(__file__).with_name("leash.py")
POLL_S = 0.01
READY_WITHIN_S = 30.0
STOP_WITHIN_S = 10.0
LOG_BYTES_MAX = 8 * 1024 * 1024
"""A log that has grown beyond this is set aside at the next start; one older log is kept."""

INHERITED = frozenset({"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"})


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What to start and how to end it.

    `stop_signal` asks for a graceful stop; `orphan_signal` is what the kernel sends when the
    process that started it has died.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path("/")
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL


Process = subprocess.Popen[bytes]


def server_environment() -> dict[str, str]:
    """What a server that is not ours inherits: how to find programs, none of our settings."""
    return {name: value for name, value in os.environ.items() if name in INHERITED}


def spawn(launch: Launch) -> Process:
    """Start it, in a session of its own so that the terminal's Ctrl-C reaches only us.

    Call it from a thread that lives as long as the child should: the leash is tied to the thread.
    """
    account = launch.account
    drop = f"{account.uid}:{account.gid}" if account else "-"
    leash = (sys.executable, "-I", "-S", str(LEASH), str(os.getpid()))
    how = (str(int(launch.orphan_signal)), drop)
    with open(launch.log, "ab", opener=_private) as log:
        return subprocess.Popen(
            (*leash, *how, *launch.argv),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(launch.env),
            cwd=launch.cwd,
            start_new_session=True,
            umask=0o077,
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def wait_until_ready(
    process: Process, launch: Launch, is_ready: Callable[[], bool], since: int = 0
) -> None:
    """Return once `is_ready()`; `ServerFailed` with the log from byte `since` on if it never is."""
    deadline = time.monotonic() + READY_WITHIN_S
    while not is_ready():
        if process.poll() is not None:
            said = log_tail(launch.log, since)
            raise ServerFailed(f"{launch.name} ended with code {process.returncode}:\n{said}")
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            said = log_tail(launch.log, since)
            raise ServerFailed(f"{launch.name} not ready in {READY_WITHIN_S:.0f} s:\n{said}")
        time.sleep(POLL_S)


def stop(process: Process, launch: Launch, within_s: float = STOP_WITHIN_S) -> None:
    """Ask it to end, and kill it if it has not after `within_s` seconds."""
    if process.poll() is None:
        process.send_signal(launch.stop_signal)
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def set_aside(log: Path) -> None:
    """Keep a log that has grown too large as `<name>.1`, in place of the one kept before."""
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_name(log.name + ".1"))
