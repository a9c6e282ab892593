"""Partitions by leases: renewed every second, taken over when one stands still.

A lease is the last message of `penstock.lease.<partition>`; every write expects the sequence that
was read, so of two that want it one gets it. `penstock.lease.member-<instance>` says who is alive.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct
from nats import errors

from penstock.infra.nats import subjects
from penstock.infra.nats.direct import BATCH, Direct, ReadUnavailable
from penstock.infra.nats.publish import Publisher, PublishError, WrongSequence
from penstock.infra.nats.streams import LEASES
from penstock.infra.nats.subjects import PARTITIONS
from penstock.infra.telemetry import logs, metrics
from penstock.messages.codec import Undecodable, read
from penstock.scheduler.shares import MEMBER_PREFIX, Sighting, observed, plan

LOOK_S = 0.25
"""How often the leases are looked at; what was given back is taken after this long."""

RENEW_S = 1.0

logger = logs.logger(__name__)


class Lease(Struct):
    """The body of a lease; an empty owner gave it back."""

    owner: str


_decode = msgspec.json.Decoder(Lease).decode


class Leases:
    """Keeps this instance's fair share of the partitions.

    on_taken, on_lost: awaited when a partition becomes this instance's, or stops being that.
    """

    def __init__(
        self,
        publisher: Publisher,
        direct: Direct,
        me: str,
        *,
        on_taken: Callable[[int], Awaitable[None]],
        on_lost: Callable[[int], Awaitable[None]],
    ) -> None:
        self._publisher = publisher
        self._direct = direct
        self._me = me
        self._on_taken = on_taken
        self._on_lost = on_lost
        self._sightings: dict[str, Sighting] = {}
        self._held: dict[int, int] = {}
        self._renewed_at = float("-inf")
        self._keeper: asyncio.Task[None] | None = None

    @property
    def held(self) -> set[int]:
        """The partitions that are this instance's."""
        return set(self._held)

    async def start(self) -> None:
        """Take a share, and keep it."""
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Look after leases no more; they are still held."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def give_back(self) -> None:
        """Let others take everything at once."""
        names = [str(p) for p in self._held] + [MEMBER_PREFIX + self._me]
        self._held.clear()
        writes = [self._write(name, "", None) for name in names]
        await asyncio.gather(*writes, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            try:
                await self._turn()
            except (PublishError, ReadUnavailable, errors.Error, TimeoutError) as error:
                logger.warning("leases cannot be kept now", error=repr(error))
            await asyncio.sleep(LOOK_S)

    async def _turn(self) -> None:
        """One look at the leases, and what follows from it."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._renewed_at >= RENEW_S:
            self._renewed_at = loop.time()
            await self._renew()
        seen = await self._look()
        self._sightings = observed(self._sightings, seen, loop.time())
        step = plan(self._me, self.held, self._sightings, partitions=PARTITIONS, now=loop.time())
        for partition in step.release:
            await self._drop(partition)
            await self._write(str(partition), "", None)
        await asyncio.gather(*(self._claim(partition) for partition in step.claim))

    async def _look(self) -> list[tuple[str, str, int]]:
        """Name, owner and sequence of every lease."""
        recorded = page = await self._direct.read_subject(LEASES, subjects.ANY_LEASE)
        # Every instance that ever was has left a lease, and the oldest are read first.
        while len(page) == BATCH:
            after = page[-1].seq
            page = await self._direct.read_subject(LEASES, subjects.ANY_LEASE, after=after)
            recorded = [*recorded, *page]
        return [
            (subject_name(lease.subject), owner_in(lease.body), lease.seq) for lease in recorded
        ]

    async def _renew(self) -> None:
        """Say again that this instance is alive and what it holds."""
        member = self._write(MEMBER_PREFIX + self._me, self._me, None)
        renewals = [self._renew_one(partition, seq) for partition, seq in self._held.items()]
        await asyncio.gather(member, *renewals)

    async def _renew_one(self, partition: int, seq: int) -> None:
        try:
            self._held[partition] = await self._write(str(partition), self._me, seq)
        except WrongSequence:
            logger.warning("a partition was taken by another", partition=partition)
            await self._drop(partition)

    async def _claim(self, partition: int) -> None:
        """Take a partition, unless somebody is faster."""
        sighting = self._sightings.get(str(partition))
        expected = sighting.seq if sighting is not None else 0
        try:
            self._held[partition] = await self._write(str(partition), self._me, expected)
        except WrongSequence:
            return
        metrics.scheduler_takeovers.inc()
        metrics.scheduler_partitions_held.set(len(self._held))
        try:
            await self._on_taken(partition)
        except Exception:
            # Held, but read by nobody: without the lease it is claimed again, here or elsewhere.
            await self._drop(partition)
            raise

    async def _drop(self, partition: int) -> None:
        self._held.pop(partition, None)
        metrics.scheduler_partitions_held.set(len(self._held))
        await self._on_lost(partition)

    async def _write(self, name: str, owner: str, expected: int | None) -> int:
        body = msgspec.json.encode(Lease(owner))
        return await self._publisher.publish(subjects.lease(name), body, expected=expected)


def subject_name(subject: str) -> str:
    """The name of the lease that a subject is."""
    return subject.rpartition(".")[2]


def owner_in(body: bytes) -> str:
    """Who wrote a lease; nobody, for one that cannot be read: whoever is first takes it."""
    try:
        return read(_decode, body).owner
    except Undecodable:
        return ""
