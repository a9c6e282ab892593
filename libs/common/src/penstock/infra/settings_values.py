"""What the values of variables may be: each function answers the value, or raises ValueError."""

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from penstock.infra.egress.allowed import parse_allowed

_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,64}")


def url_with(schemes: frozenset[str], value: str) -> str:
    """A URL of one of some schemes, with a host."""
    parts = urlsplit(value)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"must be a URL that starts with {' or '.join(sorted(schemes))}://")
    return value


def nats_urls(value: str) -> str:
    """URLs of NATS servers, separated by commas."""
    for url in value.split(","):
        url_with(frozenset({"nats", "tls", "ws", "wss"}), url.strip())
    return value


def postgres_url(value: str) -> str:
    """A URL of a Postgres database."""
    return url_with(frozenset({"postgresql", "postgres"}), value)


def http_url(value: str) -> str:
    """A URL of an HTTP server, or nothing."""
    return url_with(frozenset({"http", "https"}), value) if value else value


def queue_names(values: tuple[str, ...]) -> tuple[str, ...]:
    """Names of queues."""
    if not all(_QUEUE.fullmatch(value) for value in values):
        raise ValueError("must be names of 1 to 64 of [A-Za-z0-9_-], separated by commas")
    return values


def listed(value: Any) -> Any:
    """A comma-separated text as a tuple; values that are no text pass for pydantic to judge."""
    if not isinstance(value, str):
        return value
    return tuple(item.strip() for item in value.split(",") if item.strip())


def origins(values: tuple[str, ...]) -> tuple[str, ...]:
    """Origins as browsers send them: scheme, host and port, nothing behind; or `*`."""
    for value in values:
        parts = urlsplit(value)
        bare = f"{parts.scheme}://{parts.netloc}"
        if value != "*" and (
            value != bare or parts.scheme not in {"http", "https"} or "@" in value
        ):
            raise ValueError("must be origins, such as https://app.example, separated by commas")
    return values


def hosts_and_networks(values: tuple[str, ...]) -> tuple[str, ...]:
    """Hosts, with a port or without, addresses, and networks."""
    try:
        parse_allowed(values)
    except ValueError:
        said = "must be hosts, host:port, addresses or CIDRs, separated by commas"
        raise ValueError(said) from None
    return values


def networks(values: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses and networks."""
    try:
        for value in values:
            ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be addresses or CIDRs, separated by commas") from None
    return values
