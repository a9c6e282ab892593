"""One stack per data directory: the folder is made, locked, and free of an earlier stack's rest."""

import fcntl
import os
import time
from pathlib import Path

from penstock.dev.errors import SettingWrong, StackError

ORPHANS_GONE_WITHIN_S = 10.0
"""The children of a killed supervisor are ended by the kernel; Postgres takes a moment."""
POLL_S = 0.05
PROGRAMS = ("penstock", "nats-server", "postgres")
FOLDERS = ("run", "log", "keys")


class Occupancy:
    """The hold on `directory`, from `occupy` to `leave`; a killed holder lets go by itself."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: int | None = None

    def occupy(self) -> None:
        """Make the folders and take hold; `SettingWrong` when that cannot be, saying why."""
        try:
            _make(self.directory)
            self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.leave()
            raise SettingWrong(f"--data-dir: another stack runs in {self.directory}") from None
        except OSError as error:
            self.leave()
            said = f"--data-dir: {self.directory} cannot be used: {error.strerror}"
            raise SettingWrong(said) from None
        _await_orphans(self.directory / "run")

    def leave(self) -> None:
        """Let go."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _make(directory: Path) -> None:
    # Root's Postgres runs as another account, which must get through to its data.
    directory.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    for name in FOLDERS:
        (directory / name).mkdir(mode=0o700, exist_ok=True)


def _await_orphans(run: Path) -> None:
    """Return when no process of the pid files runs any more, and remove the files."""
    deadline = time.monotonic() + ORPHANS_GONE_WITHIN_S
    for file in sorted(run.glob("*.pid")):
        while (pid := _orphan(file)) is not None:
            if time.monotonic() > deadline:
                raise StackError(f"process {pid} of an earlier stack still runs ({file}): end it")
            time.sleep(POLL_S)
        file.unlink(missing_ok=True)


def _orphan(file: Path) -> int | None:
    """The process that `file` names, if it runs one of our programs."""
    try:
        pid = int(file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (OSError, ValueError):
        return None
    return pid if any(program in command for program in PROGRAMS) else None
