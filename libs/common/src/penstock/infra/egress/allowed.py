"""Allow lists: destinations that are open although they are private, or at an unusual port.

An entry is a host, `host:port`, an address (also `[v6]:port`), or a CIDR. A host's entry opens
every address that the host has; a CIDR's opens these addresses for every host. Without a port an
entry is good for all ports.
"""

import ipaddress
import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from msgspec import Struct

from penstock.infra.egress.addresses import Address

Network = IPv4Network | IPv6Network

PORT_MAX = 65535
HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9_-]+)*")
PREFIX_MIN = {4: 8, 6: 7}
"""Bits of the widest private networks there are (10.0.0.0/8, fc00::/7). Whoever opens more opens
neighbours that they did not think of, such as a cloud's metadata."""


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

    def and_also(self, other: "Allowed") -> "Allowed":
        """Both lists together."""
        return Allowed(self.hosts | other.hosts, self.networks + other.networks)


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


def too_wide(allowed: Allowed) -> list[str]:
    """The networks of a list that are wider than any private network."""
    return [str(each) for each in allowed.networks if each.prefixlen < PREFIX_MIN[each.version]]


def canonical_host(host: str) -> str:
    """`host` as it is compared: lower case, without the root's dot and an address's brackets."""
    return host.lower().strip("[]").removesuffix(".")


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None


def _host_and_port(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.rpartition(":")
    if not colon:
        return _host(entry, entry), None
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) <= PORT_MAX:
        raise _wrong(entry)
    return _host(host, entry), int(port)


def _host(text: str, entry: str) -> str:
    """The host of an entry: a name, or an address, v6 in brackets."""
    host = canonical_host(text)
    if HOST.fullmatch(host) is None and (_network(host) is None or "/" in host):
        raise _wrong(entry)
    return host


def _wrong(entry: str) -> ValueError:
    return ValueError(f"{entry[:80]!r} is no host, host:port, address or CIDR")
