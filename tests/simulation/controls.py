"""Clients again: they pause runs and have them go on, signal, decide, and go on from other runs."""

from random import Random

import msgspec

from penstock.domain import payload
from penstock.domain.payload import Payload
from penstock.domain.run.commands import (
    CancelRun,
    DecideApproval,
    PauseRun,
    ResumeRun,
    SignalRun,
    StartRun,
)
from penstock.domain.run.events import Origin, Verdict
from penstock.domain.run.rewind import for_fork, for_retry, rewound
from penstock.domain.run.snapshot import encoded
from penstock.domain.run.state import Run
from penstock.domain.workflow.graph import Graph
from penstock.infra.blobs.port import name_of
from penstock.scheduler.keys import RunKey
from tests.simulation.clients import Clients, Plan
from tests.simulation.constructs import SIGNALS
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle, Told
from tests.simulation.seams import new_id

AGAIN_S = 2.0
"""Whoever is waited for says a word so often, until it is heard."""

INLINE_MAX = 2_000
"""A larger state is an object of its own."""


class Controls:
    """What is asked of runs while they are on their way, and of those that have ended."""

    def __init__(self, clients: Clients, oracle: Oracle, network: Network) -> None:
        self._clients = clients
        self._oracle = oracle
        self._network = network
        self._world = network.world
        self._released: dict[str, float] = {}

    def disturb(self, plan: Plan, within_s: float) -> None:
        """Steer a run, at moments that make sense and at others."""
        random, later, ask = self._world.random, self._clients.later, self._clients.ask
        key = plan.key
        if random.random() < 0.25:
            at = random.random() * within_s
            later(at, ask, key, PauseRun())
            if random.random() < 0.7:
                later(at + random.random() * 4, ask, key, ResumeRun())
        for _ in range(random.choice((0, 0, 1, 3))):
            at, said = random.random() * within_s, self._signal(random.choice(SIGNALS))
            later(at, ask, key, said)
            if random.random() < 0.4:
                later(at + random.random() * 3, ask, key, said)
        for path in approvals(plan.workflow.graph):
            for _ in range(random.choice((0, 0, 1, 2))):
                later(random.random() * within_s, ask, key, self._decision(path))
        if random.random() < 0.45:
            later(random.random() * (within_s + 5), self._fork, plan)

    def release(self) -> None:
        """Say to every run what it waits for."""
        now = self._world.loop.now
        for run_id, told in list(self._oracle.runs.items()):
            if now - self._released.get(run_id, -AGAIN_S) < AGAIN_S:
                continue
            if told.tale.awaited():
                self._released[run_id] = now
                self._release(RunKey(told.tenant, run_id), told)

    def _release(self, key: RunKey, told: Told) -> None:
        for what in told.tale.awaited():
            if what == "resume":
                self._clients.ask(key, ResumeRun())
                continue
            tale = told.tale.of(what)
            said = self._signal(tale.name) if tale.name else self._decision(what)
            self._clients.ask(key, said)

    def _signal(self, name: str) -> SignalRun:
        """No two signals say the same."""
        signal_id = str(new_id(self._world))
        large = "." * 1_500 if self._world.random.random() < 0.2 else ""
        return SignalRun(
            name=name, signal_id=signal_id, payload=payload.of_value(signal_id + large)
        )

    def _decision(self, path: str) -> DecideApproval:
        verdict = self._world.random.choice(list(Verdict))
        output = payload.of_value({"decision": str(verdict)})
        return DecideApproval(step_id=path, decision=verdict, output=output)

    # --- retry and fork --------------------------------------------------------------------------

    def _fork(self, plan: Plan) -> None:
        """Go on from where a run stood, if it has begun: taken back, or just as it was."""
        told, random = self._oracle.told(plan.run_id), self._world.random
        begun = [(seq, run) for seq, run in told.folds if run.started is not None]
        if not begun:
            return
        seq, run = random.choice(begun) if random.random() < 0.7 else begun[-1]
        state = run if not run.is_over and random.random() < 0.75 else taken_back(run, random)
        run_id = str(new_id(self._world))
        assert run.started is not None
        start = StartRun(
            workflow_id=run.started.workflow_id,
            workflow_name=run.started.workflow_name,
            version=run.started.version,
            definition=run.started.definition,
            input=run.started.input,
            created_at=self._world.wall_ms(),
            request_hash="fork",
            forked_from=Origin(run_id=run.id, position=f"{seq}.0"),
            state=self._kept(encoded(state), plan.tenant, run_id),
            gates=plan.gates if random.random() < 0.5 else (),
        )
        self._world.note("forked", plan.run_id, run_id)
        key = RunKey(plan.tenant, run_id)
        self._clients.ask(key, start)
        if random.random() < 0.3:
            self._clients.later(random.random(), self._clients.ask, key, start)
        self._tell(key, run)

    def _tell(self, key: RunKey, run: Run) -> None:
        """Say to a fork what it waits for, perhaps while it waits for its start; or call it off."""
        random, later, ask = self._world.random, self._clients.later, self._clients.ask
        later(random.random() * 0.3, ask, key, self._signal(random.choice(SIGNALS)))
        for path in approvals(run.drawn)[:1]:
            later(random.random() * 0.3, ask, key, self._decision(path))
        if random.random() < 0.3:
            later(random.random() * 3, ask, key, CancelRun(reason="enough"))

    def _kept(self, data: bytes, tenant: str, run_id: str) -> Payload:
        if len(data) <= INLINE_MAX:
            return payload.inline(data)
        name = name_of(data, tenant=tenant, run_id=run_id)
        self._network.blobs[name] = data
        return msgspec.structs.replace(payload.inline(data), inline=payload.ELSEWHERE, blob=name)


def taken_back(run: Run, random: Random) -> Run:
    """A run as one that begins with what is good of it."""
    assert run.started is not None
    step = random.choice(run.drawn.order)
    kept = for_retry(run) if random.random() < 0.5 else for_fork(run, step)
    return rewound(run, kept, graph=run.drawn, started=run.started)


def approvals(graph: Graph, around: str = "") -> list[str]:
    """Paths of a drawing's approvals, in loops those of the first iteration."""
    found = [around + n for n in graph.order if graph.nodes[n].type == "approval"]
    for node_id, body in graph.bodies.items():
        found += approvals(body, f"{around}{node_id}.0.")
    return found
