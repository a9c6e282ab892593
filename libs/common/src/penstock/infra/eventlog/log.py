"""The event log: histories by subject, each appended to only by who knows its end.

Two logs keep this contract: the one on JetStream, and one in memory for tests and simulation.
"""

from typing import NamedTuple, Protocol


class VersionConflict(Exception):
    """Somebody else wrote to the history since it was read; nothing was appended."""


class AppendUnknown(Exception):
    """The append was not acknowledged: nobody knows yet whether it is in the log."""


class LogUnavailable(Exception):
    """The log does not answer; nothing was appended. The same may be tried again later."""


class AppendRefused(Exception):
    """The log will never take this message: too large, or not its subject. A fault of ours."""


class Stored(NamedTuple):
    """A message of a history; `seq` rises along the log, with gaps within one history."""

    seq: int
    subject: str
    body: bytes


class EventLog(Protocol):
    """Where histories are kept."""

    async def read(self, subject: str, *, after: int = 0) -> list[Stored]:
        """All messages of a history with a sequence above `after`, in order.

        What was appended a moment ago through another server may be missing. Raises
        `LogUnavailable`.
        """

    async def last(self, subject: str) -> Stored | None:
        """The last message of a history, None of an empty one; else as `read`."""

    async def append(self, subject: str, body: bytes, *, expected: int) -> int:
        """Appends when the history's last sequence is `expected` (0: empty); its new sequence.

        Raises `VersionConflict`, `AppendUnknown`, `LogUnavailable` or `AppendRefused`.
        """
