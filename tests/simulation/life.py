"""One seed, one life: a world with a mix of faults, then peace, then the question what is left."""

from collections import Counter
from collections.abc import Callable
from random import Random

from msgspec import Struct

from penstock.domain.ids import derived
from penstock.domain.tenant.events import Limits, TenantConfig
from penstock.domain.workflow.graph import Graph
from penstock.infra.gates import Asker, gates_of, tenant_gate
from tests.simulation import drawings, faults, seams
from tests.simulation.broker import Broker
from tests.simulation.cast import CLIENTS, Cast
from tests.simulation.clients import TENANTS, Clients, Plan
from tests.simulation.controls import Controls
from tests.simulation.drawings import Workflow
from tests.simulation.liveness import Liveness
from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle
from tests.simulation.projector import Projector
from tests.simulation.readings import Readings
from tests.simulation.registry import register, register_tenant
from tests.simulation.world import Violation, World

TROUBLE_MAX_S = 14.0
RUNS_MAX = 7
UNLIMITED = 2 / 3
"""Of all tenants, this part has no limits."""
WORKFLOWS_MAX = 3
PEACE_MAX_S = 400.0
"""After so long without a fault every run has ended."""

Tape = Callable[[str], None]


class Ended(Struct, frozen=True):
    """How a life ended. kinds: of events in its log. digest: of that. problem: the invariant that
    does not hold, or empty.
    """

    seed: int
    happened: Counter[str]
    kinds: Counter[str]
    runs: int
    seconds: float
    digest: str
    problem: str = ""

    @property
    def decided(self) -> int:
        """How many events are in the log."""
        return self.kinds.total()


class Life:
    """A world and everybody in it."""

    def __init__(self, seed: int, tape: Tape | None) -> None:
        random = Random(f"mix {seed}")
        self.world = world = World(seed, faults.mix(random), tape)
        self.broker = Broker(world)
        self.network = Network(world)
        self.plans: dict[str, Plan] = {}
        self.oracle = Oracle(world, self.broker, self.network.blobs, self._graph_of)
        self.readings = Readings(world, self.oracle, self.network, self.broker)
        self.cast = Cast(
            world,
            self.broker,
            self.network,
            Projector(world, self.broker, self.network, self.readings.committed),
        )
        self.clients = Clients(self.cast.connection(Process(CLIENTS)), self.oracle)
        self.controls = Controls(self.clients, self.oracle, self.network)
        self.liveness = Liveness(world, self.broker, self.oracle, self.cast)

    def _graph_of(self, definition: str) -> Graph:
        known = self.cast.workflows
        return (known[definition] if definition else next(iter(known.values()))).graph

    def live(self) -> None:
        """Trouble, then peace until everything has ended."""
        world, random = self.world, self.world.random
        self._plan()
        trouble_s = random.random() * TROUBLE_MAX_S
        world.note("faults", world.faults)
        for role in ("scheduler-0", "scheduler-1", "executor-0", "executor-1", "projector-0"):
            self.cast.start(role)
        for plan in self.plans.values():
            self.clients.ask_for(plan, trouble_s)
            self.controls.disturb(plan, trouble_s)
        self._trouble()
        self._run_until(trouble_s)
        self._make_peace()
        self.liveness.begin()
        while not self.liveness.is_over():
            self._run_until(world.loop.now + 1.0)
            self.controls.release()
            self.liveness.look()
            if world.loop.now > trouble_s + PEACE_MAX_S:
                world.object_to("L1", f"not over after {PEACE_MAX_S} s of peace")
        self.liveness.check_rest()
        self.readings.check_all()

    def _run_until(self, moment: float) -> None:
        self.world.loop.run_until(moment)
        if self.world.objection:
            raise Violation(self.world.objection)
        if self.world.loop.unhandled:
            self.world.object_to("unhandled", self.world.loop.unhandled[0])

    def _plan(self) -> None:
        random, made = self.world.random, list[Workflow]()
        limits = {tenant: limits_of(random) for tenant in TENANTS}
        for tenant in TENANTS:
            register_tenant(self.broker, tenant, TenantConfig(limits=limits[tenant]))
        for number in range(random.randint(1, WORKFLOWS_MAX)):
            made.append(drawings.workflow(random, number, tuple(w.key for w in made)))
        for workflow in made:
            self.cast.workflows[workflow.hash] = workflow
            for tenant in TENANTS:
                self.network.blobs[f"{tenant}/{workflow.hash}"] = workflow.body
                register(self.broker, tenant, workflow)
        for _ in range(random.randint(1, RUNS_MAX)):
            run_id, tenant = str(seams.new_id(self.world)), random.choice(TENANTS)
            self.plans[run_id] = planned(run_id, tenant, random.choice(made), limits[tenant])

    # --- trouble ---------------------------------------------------------------------------------

    def _trouble(self) -> None:
        mixed = self.world.faults
        self._now_and_then(mixed.kill, self._kill)
        self._now_and_then(mixed.pause, self._pause)
        self._now_and_then(mixed.leave, self._send_away)
        self._now_and_then(mixed.outage, self._outage)
        if mixed.forged:
            self._now_and_then(1 / mixed.forged, self._forge)

    def _now_and_then(self, mean_s: float, does: Callable[[], None]) -> None:
        """As long as there is trouble, at random moments so far apart."""
        if not mean_s or self.world.faults is faults.NONE:
            return

        def do() -> None:
            if self.world.faults is not faults.NONE:
                does()
                self._now_and_then(mean_s, does)

        loop = self.world.loop
        loop.after(self.world.random.expovariate(1 / mean_s), loop.nature, do)

    def _kill(self) -> None:
        alive = self.cast.alive()
        if alive:
            self.cast.kill(self.world.random.choice(alive), "at a random moment")

    def _pause(self) -> None:
        alive = self.cast.alive()
        if alive:
            self.cast.put_to_sleep(self.world.random.choice(alive))

    def _send_away(self) -> None:
        self.cast.send_away(self.world.random.choice([*self.cast.schedulers, *self.cast.executors]))

    def _outage(self) -> None:
        if self.broker.is_down:
            return
        world = self.world
        self.broker.go_down()
        seconds = world.random.choice((0.05, 0.5, 6.0)) * world.random.random()
        world.loop.after(seconds, world.loop.nature, self._end_outage)

    def _end_outage(self) -> None:
        world = self.world
        if self.broker.is_down:
            self.broker.come_back(
                cut=world.chance(world.faults.cut), forgetful=world.chance(world.faults.forget)
            )

    def _forge(self) -> None:
        self.clients.forge(self.world.random.choice(list(self.plans.values())))

    def _make_peace(self) -> None:
        self.world.note("peace")
        self.world.heal()
        self.cast.wake_all()
        if self.broker.is_down:
            self._end_outage()


def limits_of(random: Random) -> Limits:
    """What a tenant may have at once: now and then little, most often whatever it wants."""
    if random.random() < UNLIMITED:
        return Limits()
    return Limits(
        max_in_flight_steps=random.choice((None, 1, 2, 5)),
        max_concurrent_runs=random.choice((None, 1, 2)),
    )


def planned(run_id: str, tenant: str, workflow: Workflow, limits: Limits) -> Plan:
    """A run of a workflow, with the gates that it has to pass."""
    workflow_id = derived(tenant, workflow.key)
    asker = Asker(tenant, workflow_id, workflow.key)
    gates = gates_of(workflow.graph.definition, asker, None) + tenant_gate(asker, limits)
    return Plan(run_id, tenant, workflow, workflow_id, gates)


def life(seed: int, tape: Tape | None = None) -> Ended:
    """The whole life of a seed; the same for the same seed, whatever the machine."""
    made = Life(seed, tape)
    problem = ""
    with seams.installed(made.world, made.network, made.broker):
        try:
            made.live()
        except Violation as violation:
            problem = str(violation)
        except Exception as error:  # noqa: BLE001 - an error in what ships is a finding, too
            problem = f"unhandled: {error!r}"
        made.world.loop.abandon()
    return Ended(
        seed=seed,
        happened=made.world.happened,
        kinds=made.oracle.kinds,
        runs=len(made.oracle.runs),
        seconds=made.world.loop.now,
        digest=made.oracle.digest(),
        problem=problem,
    )
