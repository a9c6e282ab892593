"""UUIDs: subjects and events have their canonical text, rows their bytes."""

import re

NIL = bytes(16)
"""Stands for what has no id."""

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def uuid_bytes(text: str) -> bytes | None:
    """The id's 16 bytes, None unless `text` is a UUID's canonical form.

    Another spelling of the same id would be another subject with the same row.
    """
    if _CANONICAL.fullmatch(text) is None:
        return None
    return bytes.fromhex(text.replace("-", ""))


def uuid_text(raw: bytes) -> str:
    """The canonical form of 16 bytes."""
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
