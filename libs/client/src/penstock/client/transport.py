"""How calls go over httpx: what both clients share, and what its errors mean."""

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import httpx

from penstock.client.calls import Answer, Call, NoAnswer
from penstock.client.connection import Connection, of_environment
from penstock.client.follow import Follow

TIMEOUT_S: Final = 30.0
CONNECT_TIMEOUT_S: Final = 5.0
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def settings(
    url: str | None, api_key: str | None, tenant: str | None, timeout_s: float
) -> dict[str, Any]:
    """The arguments of an httpx client; what is None comes from the environment.

    Raises NotConfigured.
    """
    known = connected(os.environ, url=url, api_key=api_key)
    headers = {
        "Accept": "application/json",
        "Authorization": f"Bearer {known.api_key}",
        "User-Agent": f"penstock-client/{released()}",
    }
    if tenant is not None:
        headers["X-Tenant-Id"] = tenant
    return {
        "base_url": known.url,
        "headers": headers,
        "timeout": httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S)),
        "follow_redirects": False,
        # A proxy of the environment is for the world outside; certificates are for https alone.
        "trust_env": httpx.URL(known.url).host not in LOOPBACK,
        "verify": known.url.startswith("https://"),
    }


def connected(environ: Mapping[str, str], *, url: str | None, api_key: str | None) -> Connection:
    """The server and the key, those given before those of the environment."""
    if url is not None and api_key is not None:
        return Connection(url, api_key)
    names = {"PENSTOCK_URL": url, "PENSTOCK_API_KEY": api_key}
    chosen = {name: value for name, value in names.items() if value is not None}
    return of_environment({**environ, **chosen})


def released() -> str:
    """The version of this package."""
    try:
        return version("penstock-client")
    except PackageNotFoundError:
        return "0"


def stream(follow: Follow) -> dict[str, Any]:
    """The arguments of the next httpx request for a stream. Raises WaitTimeout."""
    timeout = httpx.Timeout(follow.silence_s(), connect=CONNECT_TIMEOUT_S)
    return {**request(follow.call()), "timeout": timeout}


def request(call: Call[Any]) -> dict[str, Any]:
    """The arguments of an httpx request."""
    return {
        "method": call.method,
        "url": call.path,
        "params": dict(call.params),
        "headers": dict(call.headers),
        "content": call.body,
    }


def answered(response: httpx.Response) -> Answer:
    """A response whose body has been read."""
    return Answer(response.status_code, response.headers, response.content)


def unanswered(error: httpx.TransportError) -> NoAnswer:
    """What a failed connection says."""
    said = str(error) or type(error).__name__
    url = error.request.url
    return NoAnswer(
        f"no answer from {url.scheme}://{url.netloc.decode()}: {said}",
        sent=not isinstance(error, NOT_SENT),
    )
