"""Ways to the outside that are no HTTP: a step's connection, and sockets to checked addresses.

A host is resolved once, every address it has is judged by the egress guard, and what is opened goes
to one of those addresses; the name is for TLS alone.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

from penstock.executor.connections import Connection
from penstock.executor.context import StepContext
from penstock.executor.outcome import StepFault
from penstock.executor.transport import CONNECT_SECONDS_MAX
from penstock.infra.egress.guard import AllowListUnknown, NameUnknown
from penstock.infra.egress.urls import EgressRefused
from penstock.infra.telemetry.metrics import executor_egress_refused

T = TypeVar("T")


def connection_of(context: StepContext, kind: str) -> Connection:
    """The step's connection. Raises StepFault, final, where it is of another type."""
    connection = context.used.connection
    if connection is None or connection.type != kind:
        found = "none" if connection is None else f"{connection.name!r}, of {connection.type}"
        raise StepFault("CONFIG_INVALID", f"the step needs a connection of {kind} and has {found}")
    return connection


async def connected(
    context: StepContext,
    host: str,
    port: int,
    *,
    ports: frozenset[int],
    to: Callable[[str], Awaitable[T]],
) -> T:
    """What `to` gives for the first of the host's addresses with which it raises no OSError.

    ports: of the protocol, open at public addresses. Raises StepFault: final EGRESS_REFUSED,
    retryable CONNECTION_ERROR.
    """
    try:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            addresses = await checked(context, host, port, ports)
            return await first(addresses, to)
    except TimeoutError:
        raise unreachable(f"{host} did not answer in time") from None
    except OSError as error:
        raise unreachable(f"{host} cannot be reached: {error.strerror or error}") from None


async def checked(context: StepContext, host: str, port: int, ports: frozenset[int]) -> list[str]:
    """The addresses of a host, all of them open to the step's tenant."""
    guard = context.transport.guard
    try:
        return await guard.addresses(host, port, tenant=context.tenant, ports=ports)
    except EgressRefused as error:
        raise refused(context, error) from error
    except (NameUnknown, AllowListUnknown) as error:
        raise unreachable(str(error)) from error


async def first(addresses: list[str], to: Callable[[str], Awaitable[T]]) -> T:
    """What `to` gives for the first address that takes part; each gets its share of the time."""
    failure: OSError = OSError("there is no address")
    for address in addresses:
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX / len(addresses)):
                return await to(address)
        except OSError as error:
            failure = error
    raise failure


async def dialled(address: str, port: int) -> socket.socket:
    """A TCP socket that is connected to an address. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        await asyncio.get_running_loop().sock_connect(opened, (address, port))
        if opened.getpeername()[0].partition("%")[0] != address:
            raise OSError("the connection went to another address than the checked one")
    except BaseException:
        opened.close()
        raise
    return opened


def unreachable(said: str) -> StepFault:
    """The far side cannot be reached now."""
    return StepFault("CONNECTION_ERROR", said, retryable=True)


def refused(context: StepContext, error: EgressRefused) -> StepFault:
    """The guard's refusal as a fault, counted and logged."""
    executor_egress_refused.inc()
    said = context.used.scrubber.text(str(error))
    context.logger.warning("egress refused", error=said, **context.log_keys)
    return StepFault("EGRESS_REFUSED", str(error))
