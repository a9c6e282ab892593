"""The secrets and connections of the step in hand: asked for just before they are used.

What is kept between steps, for a moment, is sealed; values live as long as the attempt that uses
them. One question to the vault brings all that a step names.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from penstock.executor.connections import Connection, Secrets
from penstock.executor.oauth import Tokens
from penstock.executor.outcome import StepFault
from penstock.executor.patience import tried
from penstock.executor.scrub import NOTHING_HIDDEN, Scrubber
from penstock.infra.secrets import Kind, Name, Sealed, Vault
from penstock.infra.telemetry.logs import logger

GOOD_FOR_S = 3.0
"""How long a sealed value is used before the vault is asked again: so soon a changed secret counts.
One that was not there is asked for each time."""
HELD_MAX = 10_000
"""Sealed values at hand; those longest not used make room."""

_log = logger(__name__)


class Wants(Struct, frozen=True):
    """What a node names: secrets, and a connection; empty for none."""

    secrets: tuple[str, ...] = ()
    connection: str = ""

    @property
    def names(self) -> tuple[Name, ...]:
        """All of it."""
        named = tuple(Name(Kind.SECRET, name) for name in self.secrets)
        return (*named, Name(Kind.CONNECTION, self.connection)) if self.connection else named


class Used(Struct, frozen=True):
    """What an attempt uses, and what takes it out of its words again.

    tokens: what connections that sign with tokens have been given; None without a connection.
    """

    secrets: Secrets = {}
    connection: Connection | None = None
    scrubber: Scrubber = NOTHING_HIDDEN
    tokens: Tokens | None = None


NOTHING_USED = Used()


class Held(Struct, frozen=True):
    """A sealed value. until: when it is asked for again."""

    sealed: Sealed
    until: float


class Credentials:
    """Finds what steps name. clock: seconds, monotonic.

    openai: how the installation asks models for steps that name no connection; None where it
    does not.
    """

    def __init__(
        self,
        vault: Vault,
        *,
        openai: Connection | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.openai = openai
        self._vault = vault
        self._clock = clock
        self._tokens = Tokens(clock=clock)
        self._held: OrderedDict[tuple[str, Name], Held] = OrderedDict()
        self._asked: dict[tuple[str, frozenset[Name]], asyncio.Task[dict[Name, Sealed]]] = {}

    async def used(self, tenant: str, wants: Wants) -> Used:
        """What a node wants, opened.

        Raises StepFault: final SECRET_MISSING or CONNECTION_MISSING, naming what is not there;
        retryable SECRETS_UNAVAILABLE where nobody can tell now.
        """
        opened = await available(lambda: self._opened(tenant, wants.names))
        for name in wants.names:
            if name not in opened:
                code = f"{name.kind.upper()}_MISSING"
                raise StepFault(code, f"there is no {name.kind} {name.name!r}")
        secrets = {name: opened[Name(Kind.SECRET, name)].decode() for name in wants.secrets}
        connection = None
        if wants.connection:
            text = opened[Name(Kind.CONNECTION, wants.connection)]
            connection = msgspec.json.decode(text, type=Connection)
            connection = msgspec.structs.replace(connection, name=wants.connection)
        hidden = (*secrets.values(), *(connection.secrets.values() if connection else ()))
        return Used(secrets, connection, Scrubber(hidden), self._tokens)

    async def _opened(self, tenant: str, names: tuple[Name, ...]) -> dict[Name, bytes]:
        now = self._clock()
        held = {name: self._held.get((tenant, name)) for name in names}
        known = {n: one.sealed for n, one in held.items() if one is not None and one.until > now}
        missing = frozenset(name for name in names if name not in known)
        if missing:
            known |= await self._once(tenant, missing)
        return await self._vault.opened(tenant, known)

    async def _once(self, tenant: str, names: frozenset[Name]) -> dict[Name, Sealed]:
        """One question to the vault for all attempts that ask the same at the same moment."""
        asked = self._asked.get((tenant, names))
        if asked is None:
            asked = asyncio.create_task(self._found(tenant, names))
            self._asked[tenant, names] = asked
            asked.add_done_callback(lambda done: self._answered(tenant, names, done))
        return await asyncio.shield(asked)

    def _answered(
        self, tenant: str, names: frozenset[Name], done: asyncio.Task[dict[Name, Sealed]]
    ) -> None:
        del self._asked[tenant, names]
        if not done.cancelled():
            done.exception()

    async def _found(self, tenant: str, names: frozenset[Name]) -> dict[Name, Sealed]:
        found = await self._vault.find(tenant, names)
        until = self._clock() + GOOD_FOR_S
        for name, sealed in found.items():
            self._held[tenant, name] = Held(sealed, until)
            self._held.move_to_end((tenant, name))
        while len(self._held) > HELD_MAX:
            self._held.popitem(last=False)
        return found


async def available(attempt: Callable[[], Any]) -> dict[Name, bytes]:
    """What `attempt` gives, tried again for a while. Raises StepFault SECRETS_UNAVAILABLE."""
    try:
        found: dict[Name, bytes] = await tried(attempt)
    except StepFault as fault:
        _log.error("the vault cannot be asked", error=fault.message)
        said = "the secrets that the step names cannot be had now"
        raise StepFault("SECRETS_UNAVAILABLE", said, retryable=True) from None
    return found
