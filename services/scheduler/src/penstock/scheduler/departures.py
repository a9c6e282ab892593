"""Tenants that were deleted: their runs are brought to their ends, and no run of theirs begins.

Who is deleted is read in the registry: before the first decision about a run of a tenant, at the
word that it is, and again as long as runs of it live here. So whoever takes over a partition goes
on where the last one stopped. What comes for a tenant of which nothing is left, a timer of last
year, is settled without a look at its run, whose definition is gone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import Any, Protocol, TypeVar

from nats.aio.client import Client

from penstock.domain.errors import NotFound
from penstock.domain.run.commands import CancelRun, RunCommand, StartRun
from penstock.infra.eventlog.transact import Addressed
from penstock.infra.farewells import Farewells
from penstock.infra.telemetry import logs
from penstock.messages.envelope import Refusal, Reply, encode
from penstock.scheduler.configs import Configs
from penstock.scheduler.intake import Post
from penstock.scheduler.letters import Letter
from penstock.scheduler.watch import RunKey, Watch

EVERY_S = 2.0
LOOKED_AT_MAX = 50
"""Tenants with live runs whose standing is looked at in one round; the others follow."""
ENDED_MAX = 200
"""Runs told to end in one round."""
AGAIN_S = 10.0
"""Before a run that lives on is told once more."""
ACTOR = "scheduler:departures"
REASON = "the tenant was deleted"

logger = logs.logger(__name__)


class Key(Protocol):
    """What letters are about: a run or a gate."""

    @property
    def tenant(self) -> str:
        """Whose it is."""


class Sent(Protocol):
    """A letter to either."""

    @property
    def addressed(self) -> Addressed[Any]:
        """The command in it."""

    def done(self) -> None:
        """It has taken effect, or needs none."""


K = TypeVar("K", bound=Key)
T = TypeVar("T", bound=Sent)
Send = Callable[[str, bytes], Awaitable[None]]


class Departures:
    """Ends what deleted tenants have in the partitions of this scheduler.

    doors: how to answer whoever waits for a command; and what lets nothing of a tenant be sealed or
    opened here any more. now: seconds, monotonic.
    """

    def __init__(
        self,
        nc: Client,
        configs: Configs,
        watch: Watch,
        doors: tuple[Send, Callable[[str], None]],
        now: Callable[[], float],
    ) -> None:
        self._configs = configs
        self._watch = watch
        self._send, self._close = doors
        self._now = now
        self._words = Farewells(nc, self._heard)
        self._told: dict[RunKey, float] = {}
        self._next = 0
        self._looker: asyncio.Task[None] | None = None

    async def start(self, post: Post) -> None:
        """Look after them from now on. post: where letters to runs go."""
        await self._words.start()
        self._looker = asyncio.create_task(self._look_for_ever(post))

    async def stop(self) -> None:
        """Look no more."""
        await self._words.stop()
        if self._looker is not None:
            self._looker.cancel()
            await asyncio.gather(self._looker, return_exceptions=True)

    def _heard(self, tenant: str) -> None:
        self._close(tenant)
        self._configs.ask_again(tenant)

    # --- what comes for them ---------------------------------------------------------------------

    def before(
        self, work_off: Callable[[K, list[T]], Awaitable[None]]
    ) -> Callable[[K, list[T]], Awaitable[None]]:
        """`work_off` for what is left of the letters once these were seen to that come too late."""

        async def worked_off(key: K, letters: list[T]) -> None:
            await self._configs.know(key.tenant)
            if self._configs.standing(key.tenant).is_deleted:
                letters = await self._left(key, letters)
                if not letters:
                    return
            await work_off(key, letters)

        return worked_off

    def instead_of(
        self, put_aside: Callable[[K, T, Exception], Awaitable[None]]
    ) -> Callable[[K, T, Exception], Awaitable[None]]:
        """`put_aside`, but for what nobody misses: of a deleted tenant nothing is a dead letter."""

        async def put(key: K, letter: T, error: Exception) -> None:
            if self._configs.standing(key.tenant).is_deleted:
                logger.info("nothing of a deleted tenant is put aside", error=repr(error))
                return
            await put_aside(key, letter, error)

        return put

    async def _left(self, key: Key, letters: list[T]) -> list[T]:
        """The letters that still have to be worked off."""
        is_erased = self._configs.standing(key.tenant).is_erased
        left = []
        for letter in letters:
            if is_erased or isinstance(letter.addressed.command, StartRun):
                if reply_to := getattr(letter, "reply_to", ""):
                    refusal = Refusal(code=NotFound.code, message=REASON)
                    await self._send(reply_to, encode(Reply(refusal=refusal)))
                letter.done()
            else:
                left.append(letter)
        return left

    # --- what lives ------------------------------------------------------------------------------

    async def _look_for_ever(self, post: Post) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            for key in islice(self._to_end(), ENDED_MAX):
                self._told[key] = self._now()
                command: Addressed[RunCommand] = Addressed(
                    CancelRun(reason=REASON), id="tenant-deleted", actor=ACTOR
                )
                post(key, Letter(command))

    def _to_end(self) -> Iterator[RunKey]:
        """Live runs of tenants that are deleted, but those that were told a moment ago."""
        for key in [key for key in self._watch.runs if self._configs.is_known_erased(key.tenant)]:
            self._watch.forget(key)  # nobody can fold it any more, and nobody waits for it
        tenants = sorted({key.tenant for key in self._watch.runs})
        self._next = 0 if self._next >= len(tenants) else self._next
        looked_at = tenants[self._next : self._next + LOOKED_AT_MAX]
        self._next += LOOKED_AT_MAX
        deleted = {each for each in tenants if self._configs.is_known_deleted(each)}
        deleted |= {each for each in looked_at if self._configs.standing(each).is_deleted}
        before = self._now() - AGAIN_S
        self._told = {key: at for key, at in self._told.items() if at > before}
        if not deleted:
            return
        for key in list(self._watch.runs):
            if key.tenant in deleted and key not in self._told:
                yield key
