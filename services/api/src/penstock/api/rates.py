"""How many requests a minute: of a tenant, of a key, of an address. A bucket of tokens for each.

A bucket holds the tokens of one minute and is filled all the time, so that a quiet minute may be
followed by a burst. Each replica gives its share: a tenant's limit divided by how many there are.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from time import monotonic
from typing import NamedTuple

from msgspec import Struct

from penstock.api.errors import Problem
from penstock.api.limits import RATE_LIMITED, Met, later
from penstock.infra.postgres.engine import DatabaseUnavailable, Engine

MINUTE_S = 60.0
BUCKETS_MAX = 50_000
"""Of one kind; the one that was used longest ago goes first, and begins full when it returns."""
REPLICAS_EVERY_S = 10.0
"""How soon a replica that comes or goes changes the shares of the others."""
HEADER = b"ratelimit-"
RATE = "rate"
"""The member of a request's scope that holds what it has taken."""

REPLICAS = """
select count(distinct application_name) as replicas from pg_stat_activity
where datname = current_database() and application_name like 'penstock-api:%'
"""


class Bucket(Struct):
    """What is left of a minute's tokens, as of a moment of the monotonic clock."""

    tokens: float
    at: float


class Taken(NamedTuple):
    """What a request found. reset_s: until the bucket is full; wait_s: until there is a token."""

    limit: int
    remaining: int
    reset_s: float
    wait_s: float = 0.0


class Buckets:
    """The buckets of one kind. now: seconds, monotonic."""

    def __init__(self, now: Callable[[], float] = monotonic, most: int = BUCKETS_MAX) -> None:
        self._now = now
        self._most = most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, key: str, per_minute: int, share: float = 1.0) -> Taken:
        """Take a token from a bucket, if there is one. share: of the limit, that is ours."""
        now = self._now()
        most = max(1.0, per_minute * share)
        rate = per_minute * share / MINUTE_S
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._add(key, Bucket(most, now))
        else:
            bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * rate)
            bucket.at = now
            self._buckets.move_to_end(key)
        if bucket.tokens < 1.0:
            return Taken(per_minute, 0, (most - bucket.tokens) / rate, (1.0 - bucket.tokens) / rate)
        bucket.tokens -= 1.0
        return Taken(per_minute, int(bucket.tokens / share), (most - bucket.tokens) / rate)

    def used(self, key: str, per_minute: int, share: float = 1.0) -> int:
        """How many tokens of a minute's are not there now."""
        bucket = self._buckets.get(key)
        if bucket is None:
            return 0
        most = max(1.0, per_minute * share)
        tokens = bucket.tokens + (self._now() - bucket.at) * per_minute * share / MINUTE_S
        return max(0, round((most - min(most, tokens)) / share))

    def _add(self, key: str, bucket: Bucket) -> Bucket:
        self._buckets[key] = bucket
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return bucket


class Rates:
    """The buckets of a replica. per_key, per_address: of each; 0 is no limit."""

    def __init__(self, engine: Engine, *, per_key: int, per_address: int) -> None:
        self._engine = engine
        self._per_key = per_key
        self._per_address = per_address
        self._tenants, self._keys, self._addresses = Buckets(), Buckets(), Buckets()
        self._counting: asyncio.Task[None] | None = None
        self.replicas = 1

    async def start(self) -> None:
        """Count the replicas from now on."""
        self._counting = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Count them no more."""
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.gather(self._counting, return_exceptions=True)

    def of_address(self, address: str) -> Taken | None:
        """One more request from an address; None where addresses have no limit."""
        if not self._per_address:
            return None
        return self._addresses.take(network_of(address), self._per_address)

    def of_key(self, actor: str) -> Taken | None:
        """One more request with a key; None where keys have no limit."""
        return self._keys.take(actor, self._per_key) if self._per_key else None

    def of_tenant(self, tenant_id: str, per_minute: int) -> Taken:
        """One more request of a tenant, of what is this replica's share."""
        return self._tenants.take(tenant_id, per_minute, 1 / self.replicas)

    def used_by(self, tenant_id: str, per_minute: int) -> int:
        """How many requests of a tenant's minute are used up, as far as this replica knows."""
        return self._tenants.used(tenant_id, per_minute, 1 / self.replicas)

    async def count(self) -> None:
        """Ask Postgres how many replicas there are; where it is away, there are as many as before.

        All of them are connected to it, each under its own name.
        """
        try:
            async with self._engine.transaction() as session:
                row = await session.one(REPLICAS)
        except DatabaseUnavailable:
            return
        self.replicas = max(1, row["replicas"] if row else 1)

    async def _go_on(self) -> None:
        while True:
            await self.count()
            await asyncio.sleep(REPLICAS_EVERY_S)


def too_often(who: str, limit: str, taken: Taken) -> Problem:
    """The problem of one request too many."""
    said = f"{who} has sent more requests than {taken.limit} a minute"
    which = Met(limit, taken.limit, taken.limit)
    return later(RATE_LIMITED, said, which, taken.wait_s)


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 a whole /64, for a machine has that many."""
    if ":" not in address:
        return address
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return found.exploded[:19] if isinstance(found, IPv6Address) else address


def headers_of(taken: Taken) -> list[tuple[bytes, bytes]]:
    """What an answer says of a bucket, as the IETF's draft has it."""
    return [
        (HEADER + b"limit", b"%d" % taken.limit),
        (HEADER + b"remaining", b"%d" % taken.remaining),
        (HEADER + b"reset", b"%d" % -int(-taken.reset_s // 1)),
    ]
