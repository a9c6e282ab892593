"""Connections to the outside: httpx's requests over a pool that only the egress guard can open.

This module and `outbound` are the only ones that know httpx and httpcore. Nothing is taken from
the environment: no proxies, no certificates, no netrc.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import httpcore
import httpx

from penstock.executor.egress import Allowed, EgressRefused, NameUnknown, checked_addresses

CONNECTIONS_MAX = 512
KEEPALIVE_MAX = 64
KEEPALIVE_SECONDS = 5.0
"""Short of what servers usually grant, so that a reused connection is rarely one just closed."""
CONNECT_SECONDS_MAX = 10.0
"""Resolving and trying all addresses together."""
TIMEOUTS = {"connect": CONNECT_SECONDS_MAX}
"""Only for connecting and TLS; reading and writing are under the call's own limit."""


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections to addresses that the guard has checked.

    TLS is httpcore's own afterwards, with the name of the URL for SNI and verification.
    """

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A stream to the first of the host's addresses that answers.

        Raises EgressRefused; httpcore.ConnectError and ConnectTimeout when none answers.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._connect(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} did not answer in time") from None

    async def _connect(self, host: str, port: int) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await checked_addresses(host, port, self._allowed)
        except NameUnknown as error:
            raise httpcore.ConnectError(str(error)) from error
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        share = CONNECT_SECONDS_MAX / len(addresses)
        for address in addresses:
            try:
                stream = await self._network.connect_tcp(address, port, share)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            return await _only_to(stream, address)
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Always refused: no step has business with this machine's sockets."""
        raise EgressRefused("unix sockets are not open to steps")

    async def sleep(self, seconds: float) -> None:
        """Part of httpcore's interface, for retries that this pool never makes."""
        await self._network.sleep(seconds)


async def _only_to(
    stream: httpcore.AsyncNetworkStream, address: str
) -> httpcore.AsyncNetworkStream:
    """`stream`, which must have the checked address at its far end."""
    far_end = stream.get_extra_info("server_addr")
    if far_end is None or str(far_end[0]).partition("%")[0] != address:
        await stream.aclose()
        raise EgressRefused("the connection went to another address than the checked one")
    return stream


class GuardedTransport:
    """Shared connection pools behind the guard. Close it when the process stops.

    One pool verifies the far side; the other, made when a step asks for it, does not.
    """

    def __init__(self, allowed: Allowed, *, tls: ssl.SSLContext | None = None) -> None:
        self._backend = GuardedBackend(allowed)
        self._verifying = self._pool(tls or httpx.create_ssl_context(trust_env=False))
        self._trusting: httpcore.AsyncConnectionPool | None = None

    def _pool(self, tls: ssl.SSLContext) -> httpcore.AsyncConnectionPool:
        return httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=KEEPALIVE_MAX,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=self._backend,
        )

    def _pool_that(self, verify: bool) -> httpcore.AsyncConnectionPool:
        if verify:
            return self._verifying
        if self._trusting is None:
            self._trusting = self._pool(httpx.create_ssl_context(verify=False, trust_env=False))
        return self._trusting

    @asynccontextmanager
    async def response(
        self, request: httpx.Request, *, verify: bool = True
    ) -> AsyncIterator[httpcore.Response]:
        """The response's head; its body is read inside the context, still encoded.

        Raises EgressRefused, and httpcore's own errors.
        """
        wire = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions={"timeout": TIMEOUTS},
        )
        response = await self._pool_that(verify).handle_async_request(wire)
        try:
            yield response
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close all connections."""
        await self._verifying.aclose()
        if self._trusting is not None:
            await self._trusting.aclose()
