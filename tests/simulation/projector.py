"""A simulated projector: reads the log from its checkpoint, commits batches, dies anywhere."""

from collections.abc import Callable

from penstock.infra.nats.subjects import parse_events
from penstock.messages.catalogue import RUN
from penstock.messages.codec import decode_run_decision
from tests.simulation.broker import Broker
from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.simulation.tables import Row, Staged, row_after
from tests.simulation.world import World

BATCH_MAX = 20
REST_S = 0.3


class Projector:
    """on_commit: who looks at the rows of each transaction."""

    def __init__(
        self, world: World, broker: Broker, network: Network, on_commit: Callable[[Staged], None]
    ) -> None:
        self._world = world
        self._broker = broker
        self._blobs = network.blobs
        self._tables = network.tables
        self._on_commit = on_commit
        self._process: Process | None = None

    def start(self, process: Process) -> None:
        """Follow the log in a process."""
        self._process = process
        self._world.loop.after(0.0, process, self._read)

    def _read(self) -> None:
        """A batch, of whatever has arrived."""
        world, process = self._world, self._process
        assert process is not None
        before = self._tables.checkpoint
        batch = self._broker.events[before : before + world.random.randint(1, BATCH_MAX)]
        if not batch:
            world.loop.after(REST_S * world.random.random(), process, self._read)
            return
        rows: dict[str, Row] = {}
        for message in batch:
            about = parse_events(message.subject)
            if about.kind != RUN:
                continue
            row = rows.get(about.id) or self._tables.rows.get(about.id)
            decision = decode_run_decision(message.body)
            rows[about.id] = row_after(row, about.tenant, message.seq, decision, self._blobs)
        staged = Staged(before, batch[-1].seq, rows)
        if world.chance(world.faults.crash):
            world.kill(process, "before commit")
            return
        world.loop.after(world.latency(), process, self._commit, staged)

    def _commit(self, staged: Staged) -> None:
        world, process = self._world, self._process
        assert process is not None
        if self._tables.commit(staged):
            world.note("committed", staged.after)
            self._on_commit(staged)
        if world.chance(world.faults.crash):
            world.kill(process, "after commit")
            return
        world.loop.after(world.latency(), process, self._read)
