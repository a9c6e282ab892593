"""How many steps of each tenant are out, over all queues, and how many may be."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from msgspec import Struct

from penstock.scheduler.fairness import even

UNBOUNDED = 2**31
"""The room of a tenant that has no limit."""


def unlimited(_tenant: str) -> int | None:
    """No tenant has a limit."""
    return None


def whole() -> float:
    """All partitions are ours."""
    return 1.0


async def known(_tenant: str) -> None:
    """Everything is known of every tenant."""


class Terms(NamedTuple):
    """What the turns of tenants go by.

    weight: of a tenant. most: steps of a tenant that may be out at once, at all schedulers. share:
    how much of all partitions is ours. know: returns when a tenant's are known.
    """

    weight: Callable[[str], int] = even
    most: Callable[[str], int | None] = unlimited
    share: Callable[[], float] = whole
    know: Callable[[str], Awaitable[None]] = known


class Standing(Struct, eq=False):
    """Steps of one tenant. out: with executors. reserved: that decisions may still bring out."""

    out: int = 0
    reserved: int = 0


class Ceilings:
    """The steps of all tenants that have any, and the room under each one's ceiling.

    A scheduler takes its share of a tenant's limit, and one step at least: all of them together
    stay under the limit, unless they are more than it is.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._standings: dict[str, Standing] = {}

    def room(self, tenant: str) -> int:
        """How many more steps of a tenant may go out."""
        most = self._terms.most(tenant)
        if most is None:
            return UNBOUNDED
        own = max(1, int(most * self._terms.share()))
        standing = self._standings.get(tenant)
        return own if standing is None else own - standing.out - standing.reserved

    def went_out(self, tenant: str) -> None:
        """A step was dispatched."""
        self._of(tenant).out += 1

    def came_back(self, tenant: str) -> None:
        """A step is not out any more."""
        self._of(tenant).out -= 1

    def reserve(self, tenant: str, steps: int) -> None:
        """So many more steps may be brought out, or fewer where it is negative."""
        self._of(tenant).reserved += steps

    def out(self) -> dict[str, int]:
        """Tenants that have steps out, with how many; those that have none are forgotten here."""
        idle = [name for name, each in self._standings.items() if not each.out | each.reserved]
        for tenant in idle:
            del self._standings[tenant]
        return {tenant: each.out for tenant, each in self._standings.items() if each.out}

    def _of(self, tenant: str) -> Standing:
        standing = self._standings.get(tenant)
        if standing is None:
            standing = self._standings[tenant] = Standing()
        return standing
