"""The processes of a world: started, killed, stopped for a while, sent away, started again."""

from types import SimpleNamespace

from penstock.domain.workflow.graph import Graph
from penstock.scheduler.app import Scheduler
from tests.simulation.answers import Answers, Dice
from tests.simulation.broker import Broker
from tests.simulation.doors import Connection
from tests.simulation.drawings import Workflow
from tests.simulation.executor import Executor
from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.simulation.projector import Projector
from tests.simulation.world import World

CLIENTS = "api"
RESTART_S = 2.0
ASLEEP_MAX_S = 9.0
"""Long enough for a lease to be taken over, so that the sleeper wakes as a stale writer."""


class Cast:
    """Who plays: roles by name, each by one process at a time."""

    def __init__(
        self, world: World, broker: Broker, network: Network, projector: Projector
    ) -> None:
        self.world = world
        self._broker = broker
        self._network = network
        self._projector = projector
        self.workflows: dict[str, Workflow] = {}
        self.schedulers: dict[str, tuple[Process, Scheduler]] = {}
        self.executors: dict[str, tuple[Process, Executor]] = {}
        self.projectors: dict[str, Process] = {}
        self.answers: Answers = Dice(world)
        self._killed: set[Process] = set()
        self._leaving: set[Process] = set()
        world.kill = self.kill

    def graph_of(self, content_hash: str) -> Graph:
        """The graph of a definition."""
        return self.workflows[content_hash].graph

    def connection(self, process: Process) -> Connection:
        """A process's connection."""
        return Connection(self.world, self._broker, self._network, process)

    def start(self, role: str) -> None:
        """Start a process for a role."""
        world, random = self.world, self.world.random
        skew = world.faults.skew_ms
        process = Process(role, random.randint(-skew, skew) if skew else 0)
        world.note("started", role)
        with world.loop.acting_as(process):
            if role.startswith("scheduler"):
                settings = SimpleNamespace(instance=role, database_url="", queues=("slow",))
                context = SimpleNamespace(nc=self.connection(process), settings=settings)
                scheduler = Scheduler(context)  # type: ignore[arg-type]
                self.schedulers[role] = (process, scheduler)
                world.loop.create_task(scheduler.start())
            elif role.startswith("executor"):
                executor = Executor(self.connection(process), self.graph_of, self.answers)
                self.executors[role] = (process, executor)
                world.loop.create_task(executor.start())
            else:
                self.projectors[role] = process
                self._projector.start(process)

    def kill(self, process: Process, how: str) -> None:
        """A process ends here and now; somebody starts it again after a while.

        Clients are many: they do not end.
        """
        if not process.alive or process.name == CLIENTS:
            return
        self.world.note("killed", process.name, how)
        process.alive = False
        self._killed.add(process)
        self._restart(process.name)

    def send_away(self, role: str) -> None:
        """Stop a process gracefully; then start it again, once however often it is told to go."""
        self.world.note("sent away", role)
        process: Process
        somebody: Scheduler | Executor
        if role in self.schedulers:
            process, somebody = self.schedulers[role]
        else:
            process, somebody = self.executors[role]

        async def leave() -> None:
            await somebody.stop()
            process.alive = False

        if process.alive and process not in self._leaving:
            self._leaving.add(process)
            with self.world.loop.acting_as(process):
                self.world.loop.create_task(leave())
            self.world.loop.after(9.0, self.world.loop.nature, self._replace, process)

    def put_to_sleep(self, process: Process) -> None:
        """Let a process run nothing for a while."""
        seconds = self.world.random.random() * ASLEEP_MAX_S
        self.world.note("asleep", process.name, f"{seconds:.1f}s")
        process.asleep_until = self.world.loop.now + seconds

    def wake_all(self) -> None:
        """Nobody sleeps any more."""
        for process in self.alive():
            process.asleep_until = 0.0

    def alive(self) -> list[Process]:
        """Every process that runs."""
        pairs = [*self.schedulers.values(), *self.executors.values()]
        found = [process for process, _ in pairs] + list(self.projectors.values())
        return [process for process in found if process.alive]

    def _replace(self, process: Process) -> None:
        """After a graceful stop, unless it was killed meanwhile: then somebody else has come."""
        process.alive = False
        if process not in self._killed:
            self.start(process.name)

    def _restart(self, role: str) -> None:
        delay = self.world.random.random() * RESTART_S
        self.world.loop.after(delay, self.world.loop.nature, self.start, role)
