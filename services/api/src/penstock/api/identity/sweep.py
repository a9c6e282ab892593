"""Settles what failures left behind: logins whose user may not be in the log, and what is over."""

import asyncio
from random import uniform

from penstock.api.errors import UNAVAILABLE, Problem
from penstock.api.identity import logins
from penstock.api.identity.people import People
from penstock.infra.postgres.engine import Engine
from penstock.infra.telemetry import logs
from penstock.messages.codec import Undecodable

PAUSE_S = 60.0
DOUBTED_S = 600
"""No request takes so long: what is doubtful then is nobody's business any more."""
AT_ONCE_MAX = 100

_log = logs.logger(__name__)


class Sweep:
    """A round a minute, at every replica: a second one finds nothing to do."""

    def __init__(self, engine: Engine, people: People) -> None:
        self._engine = engine
        self._people = people
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; a round that is cut short is gone on with by the next one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def round(self, *, doubted_s: int = DOUBTED_S) -> None:
        """Settle what has been doubtful for so long, and drop what is over."""
        found = await logins.doubtful(self._engine, age_s=doubted_s, at_most=AT_ONCE_MAX)
        for login in found:
            try:
                await self._settle(login)
            except Undecodable as error:
                _log.error("login left doubtful", tenant=str(login.tenant_id), error=repr(error))
        await logins.sweep(self._engine, at_most=AT_ONCE_MAX)

    async def _settle(self, login: logins.Login) -> None:
        """Keep what the log has. Raises Undecodable for a history that nobody can read."""
        if await self._people.has(login.tenant_id, login.user_id):
            await logins.settle(self._engine, login)
        else:
            await logins.forget(self._engine, login)
            _log.info("orphaned login removed", tenant=str(login.tenant_id))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_S * uniform(0.5, 1.5))
            try:
                await self.round()
            except (*UNAVAILABLE, Problem) as error:
                _log.warning("sweep put off", error=repr(error))
