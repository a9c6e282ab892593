"""What can stop the local stack; each text names the setting, port, file or process at fault.

StackError
├── SettingWrong    a variable or an option that cannot be used: wrong use, exit 2
├── PortTaken       somebody else listens where the API should: wrong use, exit 2
└── ServerFailed    a child process did not come up; the text ends with its log's last lines
"""

from pathlib import Path

LOG_TAIL_LINES = 12
LOG_TAIL_BYTES = 8 * 1024


class StackError(Exception):
    """The stack cannot start or go on, for a reason that its user can read."""


class SettingWrong(StackError):
    """A `PENSTOCK_` variable or an option cannot be used."""


class PortTaken(StackError):
    """A port that was asked for is in use."""


class ServerFailed(StackError):
    """A child process ended or stayed silent when it should have come up."""


def log_tail(log: Path, start: int = 0) -> str:
    """The last lines of `log`, of what was written from byte `start` on; empty without a log."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(start, size - LOG_TAIL_BYTES, 0))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-LOG_TAIL_LINES:])
