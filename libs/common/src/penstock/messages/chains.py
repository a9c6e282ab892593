"""Three hash chains over the same messages.

A subject's chain is the writers': SHA-256(previous hash ‖ body), the previous hash in hex, which
the body repeats. The projector adds one over each log and one over each tenant's part of a log:
SHA-256(previous link ‖ sequence, 8 bytes big endian ‖ message hash ‖ subject). So a message can
neither change, nor go, nor move to another place or subject without breaking one of them.
"""

from hashlib import sha256

from msgspec import Struct

from penstock.messages.envelope import NO_HASH

GENESIS = bytes(32)
"""The link before the first."""


class Broken(Exception):
    """A message does not continue its subject's chain, or the log has a hole before it."""


class Head(Struct, frozen=True):
    """The end of a log's or a tenant's chain: its last message's sequence, how many it has."""

    seq: int = 0
    decisions: int = 0
    hash: bytes = GENESIS


def link(previous: bytes, seq: int, message_hash: bytes, subject: bytes) -> bytes:
    """The next link of a log's or a tenant's chain."""
    return sha256(previous + seq.to_bytes(8, "big") + message_hash + subject).digest()


def message_hash(previous_hash: str, body: bytes) -> bytes:
    """The message's hash on its subject's chain, as bytes."""
    return sha256(previous_hash.encode() + body).digest()


def checked_previous(expected: bytes | None, said: str, *, seq: int, subject: str) -> None:
    """Raises Broken unless a message says the hash that the one before it on its subject has."""
    if (expected.hex() if expected is not None else NO_HASH) != said:
        raise Broken(f"{subject} at {seq} follows {said}, not the hash of the message before it")
