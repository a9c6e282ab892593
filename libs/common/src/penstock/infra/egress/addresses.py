"""Which addresses are the public internet."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
"""The only IPv6 space that is routed; loopback, mapped, NAT64, local and multicast lie outside."""

TUNNELS_V6 = tuple(map(IPv6Network, ("2001::/23", "2002::/16", "3fff::/20", "5f00::/16")))
"""Inside it, but leading elsewhere: Teredo and its neighbours, 6to4, documentation, segments."""

NOT_PUBLIC_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
"""What the registries of special addresses keep from being global: this network, private, shared,
loopback, link-local, protocol assignments, documentation, 6to4 relays, benchmarks, multicast,
reserved and broadcast. Written out, for Python's own table changed between its releases."""


def is_public(address: Address) -> bool:
    """Whether `address` is global unicast of the public internet."""
    if isinstance(address, IPv6Address):
        return (
            address in GLOBAL_UNICAST_V6
            and address.is_global
            and not any(address in network for network in TUNNELS_V6)
        )
    return address.is_global and not any(address in network for network in NOT_PUBLIC_V4)
