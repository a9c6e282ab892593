"""A scheduler dies after each decision in turn: the run comes to the same end as without that."""

from collections import Counter
from collections.abc import Iterator
from random import Random

from msgspec import Struct

from penstock.domain.ids import derived
from penstock.domain.workflow.graph import Graph
from penstock.infra.nats import subjects
from penstock.messages.catalogue import RUN
from tests.simulation import blocks, faults, seams
from tests.simulation.broker import Broker, Message
from tests.simulation.cast import CLIENTS, Cast
from tests.simulation.clients import TENANTS, Clients, Plan, start_of
from tests.simulation.drawings import Workflow, stored
from tests.simulation.liveness import Liveness
from tests.simulation.loop import Process
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle, Told
from tests.simulation.projector import Projector
from tests.simulation.readings import Readings
from tests.simulation.registry import register
from tests.simulation.steady import Attendant, Steady
from tests.simulation.world import Violation, World

DEFINITIONS = 50
LOOK_S = 0.25
LIFE_MAX_S = 240.0
SETTLED_AS = {"skipped": "put out", "cancelled": "put out"}
"""Whether a step had begun when it was put out is a matter of time."""


class Lived(Struct, frozen=True):
    """decisions: about runs. kinds: of their events. outcome: what each step came to.

    problem: empty if all is well.
    """

    decisions: int
    kinds: Counter[str]
    outcome: dict[str, object]
    problem: str


class Crashes(Struct, frozen=True):
    """What came of all lives of one definition."""

    number: int
    decisions: int
    problems: tuple[str, ...]


class Stage:
    """One definition, one run of it, nothing that goes wrong but one death.

    dies_after: the number of the decision, 0 for none.
    """

    def __init__(self, number: int, dies_after: int) -> None:
        self.world = world = World(number, faults.NONE)
        self.broker = Broker(world)
        self.network = network = Network(world)
        self.oracle = Oracle(world, self.broker, network.blobs, self._graph_of)
        readings = Readings(world, self.oracle, network, self.broker)
        self.cast = Cast(
            world, self.broker, network, Projector(world, self.broker, network, readings.committed)
        )
        self.cast.answers = Steady()
        self._clients = Clients(self.cast.connection(Process(CLIENTS)), self.oracle)
        self._attendant = Attendant(self._clients, self.oracle)
        self._liveness = Liveness(world, self.broker, self.oracle, self.cast)
        self._number, self._dies_after = number, dies_after
        self.decisions = 0
        self.broker.on_append = self._appended

    def _graph_of(self, definition: str) -> Graph:
        known = self.cast.workflows
        return (known[definition] if definition else next(iter(known.values()))).graph

    def _appended(self, message: Message) -> None:
        """The process that has decided dies before anything follows from it."""
        self.oracle.appended(message)
        if subjects.parse_events(message.subject).kind != RUN:
            return
        self.decisions += 1
        if self.decisions == self._dies_after:
            self.cast.kill(message.by, "after a decision")

    def live(self) -> Told:
        """Until everything has ended; the run."""
        plan = self._planned()
        for role in ("scheduler-0", "scheduler-1", "executor-0", "executor-1", "projector-0"):
            self.cast.start(role)
        self._clients.later(0.0, self._clients.ask, plan.key, start_of(plan, "usual"))
        self._attendant.begin(plan.key)
        self._liveness.begin()
        while not self._liveness.is_over():
            self._run_until(self.world.loop.now + LOOK_S)
            self._attendant.look()
            self._liveness.look()
            if self.world.loop.now > LIFE_MAX_S:
                self.world.object_to("L1", f"not over after {LIFE_MAX_S} s")
        self._liveness.check_rest()
        return self.oracle.told(plan.run_id)

    def _run_until(self, moment: float) -> None:
        self.world.loop.run_until(moment)
        if self.world.objection:
            raise Violation(self.world.objection)
        if self.world.loop.unhandled:
            self.world.object_to("unhandled", self.world.loop.unhandled[0])

    def _planned(self) -> Plan:
        whole = stored(blocks.definition(Random(f"blocks {self._number}")))
        tenant = TENANTS[0]
        for workflow in (whole, stored(blocks.child()), stored(blocks.bad_child())):
            self.cast.workflows[workflow.hash] = workflow
            self.network.blobs[f"{tenant}/{workflow.hash}"] = workflow.body
            register(self.broker, tenant, workflow)
        return plan_of(whole, tenant, str(seams.new_id(self.world)))


def plan_of(workflow: Workflow, tenant: str, run_id: str) -> Plan:
    """A run of a workflow without gates."""
    return Plan(run_id, tenant, workflow, derived(tenant, workflow.key))


def lived(number: int, dies_after: int = 0) -> Lived:
    """One life of a definition."""
    stage, problem, outcome = Stage(number, dies_after), "", dict[str, object]()
    with seams.installed(stage.world, stage.network, stage.broker):
        try:
            outcome = outcome_of(stage.live())
        except Violation as violation:
            problem = str(violation)
        except Exception as error:  # noqa: BLE001 - an error in what ships is a finding, too
            problem = f"unhandled: {error!r}"
        stage.world.loop.abandon()
    return Lived(stage.decisions, stage.oracle.kinds, outcome, problem)


def outcome_of(told: Told) -> dict[str, object]:
    """How a run and each of its steps ended, and what they said; attempts are left out."""
    tale = told.tale
    found: dict[str, object] = {"": tale.end}
    for path, step in sorted(tale.tales.items()):
        if "@" not in path:
            output = told.outputs.get(path) if step.status == "succeeded" else None
            status = SETTLED_AS.get(step.status, step.status)
            found[path] = (status, step.branch, output, step.edges)
    return found


def differences(one: dict[str, object], other: dict[str, object]) -> Iterator[str]:
    """Where two outcomes differ."""
    for path in sorted(one.keys() | other.keys()):
        if one.get(path) != other.get(path):
            yield f"{path or 'the run'}: {one.get(path)}, and after a crash {other.get(path)}"


def crashes(number: int) -> Crashes:
    """All lives of one definition: one in peace, then one for each decision."""
    peace = lived(number)
    problems = [f"without a crash: {peace.problem}"] if peace.problem else []
    for dies_after in range(1, peace.decisions + 1):
        life = lived(number, dies_after)
        problem = life.problem or "; ".join(differences(peace.outcome, life.outcome))
        if problem:
            problems.append(f"definition {number} after decision {dies_after}: {problem}")
    return Crashes(number, peace.decisions, tuple(problems))
