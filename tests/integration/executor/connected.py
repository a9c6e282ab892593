"""A step that has a connection, without all that brings steps to executors."""

import ssl
from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.executor.connections import Connection
from penstock.executor.context import StepContext
from penstock.executor.credentials import Used
from penstock.executor.inputs import StepInput
from penstock.executor.oauth import Tokens
from penstock.executor.outcome import Outcome
from penstock.executor.scrub import Scrubber
from penstock.executor.transport import GuardedTransport
from penstock.infra.egress.allowed import parse_allowed
from penstock.infra.egress.guard import Guard, Resolve, resolved_by_system
from tests.integration.executor.bench import TENANT, TRACE

TLS = ssl.create_default_context()


def transport(
    *allow: str, resolve: Resolve = resolved_by_system, tls: ssl.SSLContext = TLS
) -> GuardedTransport:
    """A way out for which nothing but this is open."""
    return GuardedTransport(Guard(parse_allowed(allow), ports=(), resolve=resolve), tls=tls)


def step(
    connection: Connection | None, way: GuardedTransport, *, run: str = "r-1", **more: Any
) -> StepContext:
    """An attempt of a step with a connection."""
    hidden = () if connection is None else connection.secrets.values()
    used = Used({}, connection, Scrubber(hidden), Tokens())
    return StepContext(TENANT, run, "the-step", 1, 1_700_000_000_000, TRACE, way, used, **more)


def given(value: object = None) -> StepInput:
    """A step's input."""
    return StepInput.of_value(value)


def said(outcome: Outcome) -> Mapping[str, Any]:
    """What a step came to."""
    output = getattr(outcome, "output", None)
    assert output is not None
    value: Mapping[str, Any] = msgspec.json.decode(output)
    return value
