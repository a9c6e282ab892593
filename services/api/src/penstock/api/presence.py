"""Whether Postgres is there, for requests that would get by without it.

What execute needs is mostly remembered. Without this it would go on accepting runs that nobody can
look at, and keep its callers waiting for rows that do not come.
"""

import asyncio
from time import monotonic

from penstock.api.errors import Unavailable
from penstock.infra.postgres.engine import DatabaseUnavailable, Engine

FRESH_S = 0.25
"""An answer of the database, or none, is believed for so long."""
ANSWER_S = 1.0
"""A server that is well answers within milliseconds."""


class Presence:
    """Asks the database whether it is there; one question for all who want to know."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._fresh_until = 0.0
        self._is_there = False
        self._asking: asyncio.Task[None] | None = None

    async def require(self) -> None:
        """Raise `Unavailable` unless the database answers, or did a moment ago."""
        if monotonic() >= self._fresh_until:
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask())
            await asyncio.shield(self._asking)
        if not self._is_there:
            raise Unavailable

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_S), self._engine.transaction():
                self._is_there = True
        except (DatabaseUnavailable, TimeoutError):
            self._is_there = False
        finally:
            self._fresh_until = monotonic() + FRESH_S
            self._asking = None
