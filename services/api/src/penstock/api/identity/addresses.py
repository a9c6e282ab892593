"""Where requests come from, and whose an email address is.

A proxy that is trusted says in X-Forwarded-For for whom it asks; from everybody else the header is
only a claim. What is kept of an email address is a keyed digest: it finds its user and tells nobody
else anything.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import HTTPConnection

EMAIL_MAX_CHARACTERS = 254
HOPS_MAX = 16
"""Proxies that are gone through; whoever comes by more is the last one looked at."""
IPV6_PREFIX = 64
"""What one customer of a provider has; single addresses are too cheap to count by."""
UNKNOWN = "unknown"

DIGEST_LABEL = b"penstock email 1\0"
EMAIL = re.compile(r"[^@\s,;:<>()\[\]\\\"]{1,64}@[^@\s,;:<>()\[\]\\\"]{1,189}")

Networks = Sequence[IPv4Network | IPv6Network]


def networks(texts: Sequence[str]) -> Networks:
    """Addresses and networks. Raises ValueError."""
    return [ip_network(text, strict=False) for text in texts]


def client_of(connection: HTTPConnection, trusted: Networks) -> str:
    """Who is counted: the address behind all proxies that are trusted, or its IPv6 network."""
    return counted(address_of(connection, trusted))


def address_of(connection: HTTPConnection, trusted: Networks) -> str:
    """Who asks: the address behind all proxies that are trusted."""
    address = connection.client.host if connection.client is not None else UNKNOWN
    if not is_within(address, trusted):
        return address
    named = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
    for claimed in reversed(named[-HOPS_MAX:]):
        if not is_within(address, trusted) or not is_address(claimed.strip()):
            break
        address = claimed.strip()
    return address


def is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_within(address: str, trusted: Networks) -> bool:
    """Whether an address is in one of some networks."""
    if not trusted or not is_address(address):
        return False
    found = ip_address(address)
    return any(found.version == network.version and found in network for network in trusted)


def normal_address(address: str) -> str:
    """An address in the one spelling that it is told in: IPv4 where it is that, without the zone of
    a host; whatever is no address as it is.
    """
    if not is_address(address):
        return address
    found = ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def counted(address: str) -> str:
    """What an address is counted as."""
    if not is_address(address):
        return UNKNOWN
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((int(found), IPV6_PREFIX), strict=False))
    return str(found)


def normal_email(text: str) -> str | None:
    """An address as it is compared, without regard to case; None for what is no address."""
    found = unicodedata.normalize("NFKC", text).strip().casefold()
    fits = len(found) <= EMAIL_MAX_CHARACTERS and found.isprintable()
    return found if fits and EMAIL.fullmatch(found) else None


def email_digest(email: str, pepper: bytes) -> bytes:
    """What is kept of an address. email: as `normal_email` answers it."""
    return hmac.digest(pepper, DIGEST_LABEL + email.encode(), hashlib.sha256)
