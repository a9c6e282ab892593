"""Moments as steps see them: RFC 3339, UTC, to the millisecond."""

from datetime import UTC, datetime


def moment_text(at: int) -> str:
    """The moment `at`, ms since the epoch, as text."""
    said = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    return said.replace("+00:00", "Z")
