"""Connections to the outside: httpx's requests over a pool that only the egress guard can open.

This module and `outbound` are the only ones that know httpx and httpcore. Nothing is taken from
the environment: no proxies, no certificates, no netrc. Each tenant has connections of its own: none
goes to where only another may, or carries what another has left on it.
"""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from time import monotonic

import httpcore
import httpx
from msgspec import Struct

from penstock.infra.egress.guard import AllowListUnknown, Guard, NameUnknown
from penstock.infra.egress.urls import EgressRefused, Url

CONNECTIONS_MAX = 512
"""Of one tenant."""
KEEPALIVE_MAX = 64
KEEPALIVE_SECONDS = 5.0
"""Short of what servers usually grant, so that a reused connection is rarely one just closed."""
CONNECT_SECONDS_MAX = 10.0
"""Resolving and trying all addresses together."""
TIMEOUTS = {"connect": CONNECT_SECONDS_MAX}
"""Only for connecting and TLS; reading and writing are under the call's own limit."""
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
"""Servers wait for their length even where there is no body."""
POOLS_MAX = 256
"""Beyond it, pools that nobody uses at the moment are closed, the longest unused first."""
POOL_SECONDS_MAX = 60.0
"""So long connections are reused; then names are resolved and judged anew."""


class Request(Struct, frozen=True, kw_only=True):
    """One message to one place, without what frames it."""

    method: str
    url: Url
    headers: httpx.Headers
    body: bytes | None = None


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections of one tenant to addresses that the guard has checked.

    TLS is httpcore's own afterwards, with the name of the URL for SNI and verification.
    """

    def __init__(self, guard: Guard, tenant: str) -> None:
        self._guard = guard
        self._tenant = tenant
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
            addresses = await self._guard.addresses(host, port, tenant=self._tenant)
        except (NameUnknown, AllowListUnknown) as error:
            raise httpcore.ConnectError(str(error)) from error
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        share = CONNECT_SECONDS_MAX / len(addresses)
        for address in addresses:
            try:
                stream = await self._network.connect_tcp(address, port, share)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            return await only_to(stream, address)
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


async def only_to(stream: httpcore.AsyncNetworkStream, address: str) -> httpcore.AsyncNetworkStream:
    """`stream`, which must have the checked address at its far end."""
    far_end = stream.get_extra_info("server_addr")
    if far_end is None or str(far_end[0]).partition("%")[0] != address:
        await stream.aclose()
        raise EgressRefused("the connection went to another address than the checked one")
    return stream


class Pool:
    """One tenant's connections. users: calls under way; a retired pool closes after them."""

    def __init__(self, connections: httpcore.AsyncConnectionPool) -> None:
        self.connections = connections
        self.until = monotonic() + POOL_SECONDS_MAX
        self.users = 0
        self.is_retired = False


class GuardedTransport:
    """The connection pools of all tenants, behind the guard. Close it when the process stops.

    A tenant's pool verifies the far side; another, made when a step asks for it, does not.
    guard and tls: for those who connect by other protocols than HTTP.
    """

    def __init__(self, guard: Guard, *, tls: ssl.SSLContext | None = None) -> None:
        self.guard = guard
        self.tls = tls or httpx.create_ssl_context(trust_env=False)
        self._tls = {True: self.tls}
        self._pools: OrderedDict[tuple[str, bool], Pool] = OrderedDict()

    @asynccontextmanager
    async def response(
        self, request: Request, *, tenant: str, verify: bool = True
    ) -> AsyncIterator[httpcore.Response]:
        """The response's head; its body is read inside the context, still encoded.

        Raises EgressRefused, and httpcore's own errors.
        """
        async with self._pool(tenant, verify) as pool:
            response = await pool.connections.handle_async_request(_on_the_wire(request))
            try:
                yield response
            finally:
                await response.aclose()

    async def close(self) -> None:
        """Close all connections."""
        while self._pools:
            _, pool = self._pools.popitem()
            await pool.connections.aclose()

    @asynccontextmanager
    async def _pool(self, tenant: str, verify: bool) -> AsyncIterator[Pool]:
        key = (tenant, verify)
        pool, old = self._pools.pop(key, None), None
        if pool is None or pool.until < monotonic():
            pool, old = Pool(self._connections(tenant, verify)), pool
        self._pools[key] = pool
        pool.users += 1
        try:
            for retired in (old, self._surplus()):
                await _retire(retired)
            yield pool
        finally:
            pool.users -= 1
            if pool.is_retired and not pool.users:
                await pool.connections.aclose()

    def _surplus(self) -> Pool | None:
        """The pool that has been unused for longest, taken out, where there are too many."""
        if len(self._pools) <= POOLS_MAX:
            return None
        unused = next((key for key, pool in self._pools.items() if not pool.users), None)
        return None if unused is None else self._pools.pop(unused)

    def _connections(self, tenant: str, verify: bool) -> httpcore.AsyncConnectionPool:
        if verify not in self._tls:
            self._tls[verify] = httpx.create_ssl_context(verify=verify, trust_env=False)
        return httpcore.AsyncConnectionPool(
            ssl_context=self._tls[verify],
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=KEEPALIVE_MAX,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=GuardedBackend(self.guard, tenant),
        )


async def _retire(pool: Pool | None) -> None:
    """Let a pool take no more calls, and close it after those under way."""
    if pool is not None:
        pool.is_retired = True
        if not pool.users:
            await pool.connections.aclose()


def _on_the_wire(request: Request) -> httpcore.Request:
    url = request.url
    host = url.host.strip("[]")
    size = len(request.body or b"")
    headers = [(b"Host", url.authority.encode()), *request.headers.raw]
    if request.body is not None or request.method in BODY_METHODS:
        headers.append((b"Content-Length", str(size).encode()))
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(scheme=url.scheme, host=host, port=url.port, target=url.target),
        headers=headers,
        content=request.body,
        # A certificate names no root, and neither may SNI (RFC 6066).
        extensions={"timeout": TIMEOUTS, "sni_hostname": host.removesuffix(".")},
    )
