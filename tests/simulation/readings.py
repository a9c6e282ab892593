"""S6, S16: the read models are the fold of the log up to the checkpoint, and so is every state."""

from bisect import bisect_right

from penstock.domain.run.events import RunEvent
from penstock.domain.run.evolve import evolve
from penstock.domain.run.rest import at_rest
from penstock.domain.run.state import Run, StepStatus, unborn
from penstock.messages.codec import decode_run_decision
from penstock.projector.projections.run_steps import StepRow
from penstock.projector.projections.runs import COUNTERS
from tests.simulation.broker import Broker
from tests.simulation.oracle import Oracle, Told
from tests.simulation.tables import Row, Staged, Tables
from tests.simulation.world import World

SHOWN_AS = {StepStatus.DISPATCHED: "ready"}
COUNTED_AS = {StepStatus.TIMED_OUT: "failed"}


class Readings:
    """Compares rows with folds, after each transaction and at the end."""

    def __init__(self, world: World, oracle: Oracle, tables: Tables, broker: Broker) -> None:
        self._world = world
        self._oracle = oracle
        self._tables = tables
        self._broker = broker

    def committed(self, staged: Staged) -> None:
        """Look at the rows that a transaction has written."""
        for run_id in staged.rows:
            self._compare(run_id, self._tables.rows[run_id])

    def check_all(self) -> None:
        """Every run has its rows, and its history folded anew is the state that decisions saw."""
        if self._tables.checkpoint != len(self._broker.events):
            self._world.object_to("L3", "the read models have not caught up")
        for run_id, told in self._oracle.runs.items():
            if told.tale.started is None:
                continue
            if run_id not in self._tables.rows:
                self._world.object_to("S6", f"run {run_id} has no row")
            self._compare(run_id, self._tables.rows[run_id])
            if told.state != self._refolded(run_id, told):
                self._world.object_to("S16", f"run {run_id} folds to something else")

    def _refolded(self, run_id: str, told: Told) -> Run:
        state = unborn(run_id, told.tale.graph)
        for subject, history in self._broker.histories.items():
            if not subject.endswith(run_id):
                continue
            for message in history:
                events: tuple[RunEvent, ...] = decode_run_decision(message.body).events
                for index, event in enumerate(events):
                    state = evolve(state, at_rest(event, f"{message.seq}.{index}"))
        return state

    def _compare(self, run_id: str, row: Row) -> None:
        folds = self._oracle.runs[run_id].folds
        place = bisect_right(folds, self._tables.checkpoint, key=lambda fold: fold[0])
        run = folds[place - 1][1]
        problem = difference(row, run)
        if problem:
            self._world.object_to("S6", f"run {run_id} at {self._tables.checkpoint}: {problem}")


def difference(row: Row, run: Run) -> str:
    """What in a run's rows is not what the fold says; empty if nothing."""
    if str(row.run.status) != str(run.status):
        return f"its row is {row.run.status}, its fold {run.status}"
    if set(row.steps) != set(run.steps):
        return f"rows of {sorted(row.steps)}, folds of {sorted(run.steps)}"
    counts = dict.fromkeys(COUNTERS, 0)
    for step_id, step in run.steps.items():
        status = str(SHOWN_AS.get(step.status, step.status))
        shown = row.steps[step_id]
        if str(shown.status) != status or shown.attempt != step.attempt:
            return f"{step_id} is {shown.status}#{shown.attempt}, its fold {status}#{step.attempt}"
        if step.status is StepStatus.SUCCEEDED and said(shown) != said(step):
            return f"{step_id} says something else"
        if len(shown.attempts) != step.tries + step.losses:
            return f"{step_id} lists {len(shown.attempts)} bad attempts"
        counter = COUNTED_AS.get(step.status, status)
        if counter in counts:
            counts[counter] += 1
    if tuple(counts.values()) != row.counts:
        return f"counters {row.counts}, folds {counts}"
    return ""


def said(step: object) -> tuple[str | None, str | None]:
    """What a step has said: its branch and the digest of its output."""
    output = getattr(step, "output", None)
    assert isinstance(step, StepRow) or hasattr(step, "branch")
    return step.branch, None if output is None else output.sha256
