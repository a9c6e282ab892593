"""Executors and clients whose words depend on nothing but whom they are about."""

from zlib import crc32

from penstock.domain import payload
from penstock.domain.payload import Payload
from penstock.domain.run.commands import (
    DecideApproval,
    PauseRun,
    Report,
    ResumeRun,
    SignalRun,
)
from penstock.domain.run.events import StepError, Verdict
from penstock.domain.run.paths import Evaluation, evaluated_for, iteration_of, node_of, scope_of
from penstock.scheduler.keys import RunKey
from tests.simulation.answers import Asked, expressions, failed, succeeded, suspended, waiting
from tests.simulation.blocks import NEVER
from tests.simulation.clients import Clients
from tests.simulation.constructs import chosen_by
from tests.simulation.oracle import Oracle
from tests.simulation.tempers import Temper


class Steady:
    """Attempts of a step always say the same; a flaky one fails the first time."""

    def listens(self) -> bool:
        """See Answers."""
        return True

    def seconds(self, asked: Asked) -> float:
        """See Answers."""
        if asked.temper is Temper.SLUGGISH:
            return 0.4
        return 0.004 * (drawn(asked.task.step_id) % 5)

    def report(self, asked: Asked) -> Report:
        """See Answers."""
        path, node = asked.task.step_id, asked.node
        told = expressions(asked)
        edges = None if told is None else tuple(n for n in told if drawn(f"{path}{n}") % 2)
        if node is None:
            return succeeded(asked, said(path), branch=goes_on(asked), edges=edges)
        if fails(asked):
            retryable = asked.temper is not Temper.BROKEN
            error = StepError(code="BROKEN", message="it broke", retryable=retryable)
            return failed(asked, error, edges=edges)
        rest = waiting(asked, node, said(path))
        if rest is not None:
            return rest
        if asked.temper is Temper.RESTING:
            return suspended(asked, until=asked.now + 60, output=said(path))
        branches = chosen_by(node)
        branch = branches[drawn(path) % len(branches)] if branches else None
        output = said(path)
        if node.type == "emit_event":
            output = payload.of_value({"type": "done", "source": path})
        return succeeded(asked, output, branch=branch, edges=edges)


def drawn(text: str) -> int:
    """A number that looks like chance."""
    return crc32(text.encode()) >> 7


def said(path: str) -> Payload:
    """What a step says."""
    return payload.of_value(path + "." * (1_500 if drawn(path) % 7 == 0 else 0))


def fails(asked: Asked) -> bool:
    """Whether an attempt fails; in a loop only every other iteration breaks."""
    path = asked.task.step_id
    if asked.temper is Temper.BROKEN and scope_of(path):
        return iteration_of(scope_of(path))[1] % 2 == 1
    if asked.temper is Temper.FLAKY:
        return asked.task.attempt == 1
    return asked.temper in {Temper.BROKEN, Temper.HOPELESS}


def goes_on(asked: Asked) -> str:
    """What a `while` comes to: `index < n` is read as it stands."""
    owner, purpose = evaluated_for(asked.task.step_id) or ("", None)
    if purpose is not Evaluation.WHILE:
        return ""
    loop_id, index = iteration_of(owner)
    text = asked.graph.node(loop_id).config["while"]
    return str(index < int(text.rpartition(" ")[2])).lower()


class Attendant:
    """A client who says to runs what they wait for, and always the same."""

    def __init__(self, clients: Clients, oracle: Oracle) -> None:
        self._clients = clients
        self._oracle = oracle

    def begin(self, key: RunKey) -> None:
        """Signal before anybody waits; let the run rest for a while."""
        self._clients.later(0.01, self._clients.ask, key, signal("early", "early"))
        self._clients.later(0.05, self._clients.ask, key, PauseRun())
        self._clients.later(0.4, self._clients.ask, key, ResumeRun())

    def look(self) -> None:
        """Say what is waited for."""
        for run_id, told in list(self._oracle.runs.items()):
            key = RunKey(told.tenant, run_id)
            for what in told.tale.awaited():
                if what == "resume":
                    self._clients.ask(key, ResumeRun())
                    continue
                name = told.tale.of(what).name
                if name and name not in {NEVER, "early"}:
                    self._clients.ask(key, signal(name, what))
                elif not name and not node_of(what).startswith(NEVER):
                    self._clients.ask(key, verdict(what))


def signal(name: str, signal_id: str) -> SignalRun:
    """A signal that is the same however often it is sent."""
    return SignalRun(name=name, signal_id=signal_id, payload=payload.of_value(name))


def verdict(path: str) -> DecideApproval:
    """The decision about an approval."""
    approve = drawn(path) % 2 == 0
    decision = Verdict.APPROVE if approve else Verdict.REJECT
    return DecideApproval(step_id=path, decision=decision, output=payload.of_value(path))
