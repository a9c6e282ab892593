"""The egress guard: which addresses a step's own requests may reach.

A host is resolved once; every address it has must be public or opened by `PENSTOCK_EGRESS_ALLOW`,
and the connection goes to an address that was checked, never to the name again. So neither a name
with a private address among public ones nor one that changes its answer gets through.

An entry of the allow list is a host, `host:port`, an address (also `[v6]:port`), or a CIDR. A
host's entry opens every address that the host has; a CIDR's opens these addresses for every host.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from msgspec import Struct

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

ADDRESSES_MAX = 32
"""A name with more addresses than this is no service that a step calls."""
RESOLVE_SECONDS_MAX = 5.0
"""Of the 10 s that a connection may take, so that time is left to try its addresses."""
PORT_MAX = 65535

GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
"""The only IPv6 space that is routed; loopback, mapped, NAT64, local and multicast lie outside."""

TUNNELS_V6 = tuple(map(IPv6Network, ("2001::/23", "2002::/16", "3fff::/20", "5f00::/16")))
"""Inside it, but leading elsewhere: Teredo and its neighbours, 6to4, documentation, segments."""

NOT_PUBLIC_V4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4")))
"""Protocol assignments, 6to4 relays and the reserved class E."""

CANONICAL_V4 = re.compile(r"(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}")
NUMBER = re.compile(r"(0x[0-9a-f]*|\d+)", re.IGNORECASE)


class EgressRefused(Exception):
    """The step may not reach this host, scheme or address; it never may, so it is not retried."""


class NameUnknown(Exception):
    """The host has no address now; it may have one later."""


class Allowed(Struct, frozen=True):
    """The allow list, parsed: hosts with their port (None for any), and networks."""

    hosts: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[Network, ...] = ()

    def host(self, host: str, port: int) -> bool:
        """Whether all addresses of `host` are open at `port`."""
        return (host, None) in self.hosts or (host, port) in self.hosts

    def address(self, address: Address) -> bool:
        """Whether `address` lies in an open network."""
        return any(
            address.version == network.version and address in network for network in self.networks
        )


NOTHING = Allowed()


def parse_allowed(entries: Iterable[str]) -> Allowed:
    """The allow list of these entries. ValueError names the first that is none."""
    hosts: set[tuple[str, int | None]] = set()
    networks: list[Network] = []
    for entry in entries:
        network = _network(entry)
        if network is None:
            hosts.add(_host_and_port(entry))
        else:
            networks.append(network)
    return Allowed(hosts=frozenset(hosts), networks=tuple(networks))


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None


def _host_and_port(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.rpartition(":")
    if not colon:
        return canonical_host(entry), None
    if not host or not port.isdecimal() or not 0 < int(port) <= PORT_MAX:
        raise ValueError(f"{entry!r} is no host, host:port, address or CIDR")
    return canonical_host(host.strip("[]")), int(port)


def canonical_host(host: str) -> str:
    """`host` as it is compared: lower case, without the root's dot and an address's brackets."""
    return host.lower().strip("[]").removesuffix(".")


def is_public(address: Address) -> bool:
    """Whether `address` is global unicast of the public internet."""
    if isinstance(address, IPv6Address):
        return (
            address in GLOBAL_UNICAST_V6
            and address.is_global
            and not any(address in network for network in TUNNELS_V6)
        )
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in NOT_PUBLIC_V4)
    )


def refuse_spelling(host: str) -> None:
    """Raise EgressRefused for a number that is no address in its one canonical form.

    Resolvers read `2130706433`, `0x7f.1` and `0177.0.0.1` as addresses. Nobody needs these forms,
    and no two parsers agree on them.
    """
    if not host:
        raise EgressRefused("there is no host in the URL")
    last = host.rpartition(".")[2]
    if NUMBER.fullmatch(last) and not CANONICAL_V4.fullmatch(host):
        raise EgressRefused(f"{host} is not an address in its usual form")
    if "%" in host:
        raise EgressRefused(f"{host} names a zone of this machine")


async def checked_addresses(host: str, port: int, allowed: Allowed) -> list[str]:
    """The addresses of `host`, all of them open to steps, in the resolver's order.

    Raises EgressRefused when one of them is not, NameUnknown when there is none.
    """
    name = canonical_host(host)
    refuse_spelling(name)
    addresses = await _resolve(name, port)
    if not allowed.host(name, port):
        for address in addresses:
            if not is_public(address) and not allowed.address(address):
                raise EgressRefused(f"{host} is not a public address")
    return [str(address) for address in addresses]


async def _resolve(name: str, port: int) -> list[Address]:
    try:
        return [ipaddress.ip_address(name)]
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_SECONDS_MAX):
            found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise NameUnknown(f"{name} could not be resolved in time") from None
    except (OSError, UnicodeError):
        raise NameUnknown(f"{name} has no address") from None
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    if not texts or len(texts) > ADDRESSES_MAX:
        raise NameUnknown(f"{name} has {len(texts)} addresses")
    return [ipaddress.ip_address(text) for text in texts]
