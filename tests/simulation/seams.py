"""Where a world takes the place of the outside: every name that is replaced, and nothing else.

All code above these names is what ships.
"""

import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID

import structlog

from penstock.domain.run import consequences
from penstock.domain.run import draft as run_draft
from penstock.executor import intake as executor_intake
from penstock.infra.eventlog import draft as log_draft
from penstock.infra.eventlog import transact
from penstock.infra.keyring import sealing
from penstock.infra.keyring.data_keys import DataKeys
from penstock.infra.keyring.payloads import Seals
from penstock.infra.nats import subjects
from penstock.scheduler import app, effects, leases, snapshots, windows
from penstock.scheduler import intake as scheduler_intake
from tests.simulation import doors
from tests.simulation.broker import Broker
from tests.simulation.network import Network
from tests.simulation.world import World

PARTITIONS = 2
"""As many as can go wrong differently."""


@contextmanager
def installed(world: World, network: Network, broker: Broker) -> Iterator[None]:
    """In here, what asks for the outside gets the world."""
    replaced: list[tuple[Any, str, object]] = [
        (app, "Publisher", doors.Publisher),
        (app, "Direct", doors.Direct),
        (app, "blobs_of", lambda _settings, nc: doors.Blobs(nc)),
        (app, "Engine", lambda _url, **_options: doors.Engine(network, broker)),
        (app, "seals_of", lambda _settings, engine: seals_over(world, engine)),
        (sealing, "os", SimpleNamespace(urandom=world.random.randbytes)),
        (app, "wall_ms", world.wall_ms),
        (app, "time", SimpleNamespace(monotonic=world.loop.time)),
        (scheduler_intake, "Pull", doors.Pull),
        (executor_intake, "Pull", doors.Pull),
        (effects, "uuid7", lambda: new_id(world)),
        (transact, "uuid_utils", SimpleNamespace(uuid7=lambda: new_id(world))),
        (subjects, "PARTITIONS", PARTITIONS),
        (leases, "PARTITIONS", PARTITIONS),
    ]
    with ExitStack() as stack:
        for owner, name, value in [*replaced, *narrowed(world)]:
            stack.enter_context(patch.object(owner, name, value))
        stack.enter_context(logged(world))
        stack.enter_context(warnings.catch_warnings())
        # Processes die before what they have begun had its first turn.
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
        yield


def seals_over(world: World, engine: Any) -> Seals:
    """Sealing with keys of a world's vault, which is as far away as its database."""
    return Seals(DataKeys(engine, doors.KEKS, clock=world.loop.time))


def narrowed(world: World) -> list[tuple[Any, str, object]]:
    """In every third world the bounds are so narrow that decisions do not fit into one."""
    if world.random.random() > 1 / 3:
        return []
    random = world.random
    return [
        (run_draft, "CONSEQUENCES_MAX", random.randint(1, 8)),
        (consequences, "HELD_MAX", random.randint(1, 4)),
        (log_draft, "EVENTS_MAX", random.randint(3, 20)),
        (transact, "BYTES_MAX", random.randint(600, 6_000)),
        (snapshots, "EVERY", random.randint(80, 200)),
        (snapshots, "weight", lambda _run: 0),
        (windows, "WINDOW_MIN", random.randint(1, 4)),
        (windows, "WINDOW_MAX", random.randint(4, 8)),
    ]


def new_id(world: World) -> UUID:
    """An id that the seed decides, of the moment; version 7, so that it tells how old it is."""
    drawn = world.random.getrandbits(74)
    high, low = drawn >> 62, drawn & ((1 << 62) - 1)
    return UUID(int=world.true_ms() << 80 | 7 << 76 | high << 64 | 2 << 62 | low)


@contextmanager
def logged(world: World) -> Iterator[None]:
    """Log lines go to the world's tape."""

    def write(_logger: object, level: str, line: MutableMapping[str, Any]) -> str:
        world.note("log", level, line.pop("event", ""), dict(line))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[write], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)
