"""The egress guard: which destinations tenants may make us connect to.

A host is resolved once; every address it has must be public, at a port that is open, or opened by
an allow list, and the connection goes to an address that was checked, never to the name again. So
neither a name with a private address among public ones nor one that changes its answer gets
through. There are two lists: the installation's, `PENSTOCK_EGRESS_ALLOW`, and the tenant's own,
`config.egressAllow`, which is looked up where the first does not suffice.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence

from penstock.infra.egress.addresses import Address, is_public
from penstock.infra.egress.allowed import NOTHING, Allowed, canonical_host
from penstock.infra.egress.urls import EgressRefused

ADDRESSES_MAX = 32
"""A name with more addresses than this is no service that a step calls."""
RESOLVE_SECONDS_MAX = 5.0
"""Of the 10 s that a connection may take, so that time is left to try its addresses."""
SMTP_PORTS = frozenset({25, 465, 587, 2525})
POSTGRES_PORTS = frozenset({5432, 6432})
"""For connections that are no HTTP: whoever makes them names the ports of their protocol."""

CANONICAL_V4 = re.compile(r"(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}")
NUMBER = re.compile(r"(0x[0-9a-f]*|\d+)", re.IGNORECASE)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name, v4 and v6, as texts. Raises OSError where it has none."""
AllowedOf = Callable[[str], Awaitable[Allowed]]
"""A tenant's own list. Raises AllowListUnknown."""


class NameUnknown(Exception):
    """The host has no address now; it may have one later."""


class AllowListUnknown(Exception):
    """The tenant's own list cannot be read now; it can be later."""


async def nothing_more(_tenant: str) -> Allowed:
    """The own list of tenants that have none."""
    return NOTHING


async def resolved_by_system(name: str, port: int) -> Sequence[str]:
    """The addresses of `name` as this machine knows them."""
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Guard:
    """Judges destinations. ports: open at public addresses, where nobody names others."""

    def __init__(
        self,
        allowed: Allowed,
        *,
        ports: Iterable[int],
        allowed_of: AllowedOf = nothing_more,
        resolve: Resolve = resolved_by_system,
    ) -> None:
        self._allowed = allowed
        self._ports = frozenset(ports)
        self._allowed_of = allowed_of
        self._resolve = resolve

    async def addresses(
        self, host: str, port: int, *, tenant: str, ports: frozenset[int] | None = None
    ) -> list[str]:
        """The addresses of `host`, all of them open to `tenant`, in the resolver's order.

        ports: of another protocol than HTTP. Raises EgressRefused when an address or the port is
        closed, NameUnknown when there is no address, AllowListUnknown when nobody can tell.
        """
        name = canonical_host(host)
        refuse_spelling(name)
        found = await self._addresses_of(name, port)
        usual = self._ports if ports is None else ports
        if _closed(self._allowed, name, port, found, usual) is not None:
            allowed = self._allowed.and_also(await self._allowed_of(tenant))
            why = _closed(allowed, name, port, found, usual)
            if why is not None:
                raise EgressRefused(why)
        return [str(address) for address in found]

    async def _addresses_of(self, name: str, port: int) -> list[Address]:
        try:
            return [ipaddress.ip_address(name)]
        except ValueError:
            pass
        try:
            async with asyncio.timeout(RESOLVE_SECONDS_MAX):
                found = await self._resolve(name, port)
        except TimeoutError:
            raise NameUnknown(f"{name} could not be resolved in time") from None
        except (OSError, UnicodeError):
            raise NameUnknown(f"{name} has no address") from None
        texts = dict.fromkeys(text.partition("%")[0] for text in found)
        if not texts or len(texts) > ADDRESSES_MAX:
            raise NameUnknown(f"{name} has {len(texts)} addresses")
        return [ipaddress.ip_address(text) for text in texts]


def _closed(
    allowed: Allowed, host: str, port: int, addresses: list[Address], ports: frozenset[int]
) -> str | None:
    """Why a destination is closed, None where it is open."""
    if allowed.host(host, port):
        return None
    for address in addresses:
        if allowed.address(address):
            continue
        if not is_public(address):
            return f"{host} is not a public address"
        if port not in ports:
            return f"the port {port} of {host} is not open"
    return None


def refuse_spelling(host: str) -> None:
    """Raise EgressRefused for a number that is no address in its one canonical form.

    URLs are canonical before they come here. Other texts are not, and resolvers read `2130706433`,
    `0x7f.1` and `0177.0.0.1` as addresses: nobody needs these forms, and no two parsers agree.
    """
    if not host:
        raise EgressRefused("there is no host")
    last = host.rpartition(".")[2]
    if NUMBER.fullmatch(last) and not CANONICAL_V4.fullmatch(host):
        raise EgressRefused(f"{host} is not an address in its usual form")
    if "%" in host:
        raise EgressRefused(f"{host} names a zone of this machine")
