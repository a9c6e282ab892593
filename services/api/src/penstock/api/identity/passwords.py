"""Passwords: argon2id in threads, few at once, and as slow for nobody as for somebody."""

import asyncio
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher

from penstock.api.errors import Unavailable

MEMORY_KIB, TIME, PARALLEL = 19 * 1024, 2, 1
"""OWASP's least for argon2id; a hash takes some 30 ms of one core."""
HASHES_AT_ONCE = 2
WAITING_MAX = 64
"""Requests that wait for their hash; the next is told at once to come again: 64 take a second."""
PASSWORD_MIN_CHARACTERS = 8
PASSWORD_MAX_CHARACTERS = 256

T = TypeVar("T")

_HASHER = Argon2Hasher(time_cost=TIME, memory_cost=MEMORY_KIB, parallelism=PARALLEL)


class Passwords:
    """Hashes passwords and compares them with hashes."""

    def __init__(self) -> None:
        self._nobodys = ""
        self._turn = asyncio.Semaphore(HASHES_AT_ONCE)
        self._waiting = 0

    async def hashed(self, password: str) -> str:
        """What is stored of a password. Raises `Unavailable` when too many wait."""
        return await self._in_turn(lambda: _HASHER.hash(normal(password)))

    async def fits(self, password: str, stored: str | None) -> bool:
        """Whether a password is the one whose hash is stored; None fits no password.

        It takes as long for None. Raises `Unavailable` when too many wait.
        """
        if not self._nobodys:
            self._nobodys = await self.hashed("nobody's")
        against = stored or self._nobodys
        found = await self._in_turn(lambda: verified(password, against))
        return found and stored is not None

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise Unavailable("too many are logging in just now; try again soon")
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def verified(password: str, stored: str) -> bool:
    """Whether `stored` is a hash of the password."""
    try:
        return _HASHER.verify(normal(password), stored)
    except PwdlibError:
        return False


def normal(password: str) -> str:
    """One text for all that look the same, however a keyboard composes it."""
    return unicodedata.normalize("NFKC", password)
