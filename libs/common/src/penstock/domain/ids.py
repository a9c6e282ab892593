"""Ids that follow from what they name, so that the same thing made twice has the same id."""

import hashlib
from uuid import UUID

VERSION_8 = 8 << 76
VARIANT_RFC = 2 << 62
CLEARED = ~(0xF << 76 | 0x3 << 62)


def derived(*parts: str) -> str:
    """The UUIDv8 of SHA-256 over `parts` as text; parts are kept apart by a zero byte."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    number = int.from_bytes(digest[:16], "big") & CLEARED | VERSION_8 | VARIANT_RFC
    return str(UUID(int=number))


def fraction(*parts: str) -> float:
    """A number in [0, 1) that looks random and is always the same for the same `parts`."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
