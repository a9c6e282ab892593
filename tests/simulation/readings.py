"""S6, S16: the read models are the fold of the log up to the checkpoint, and so is every state."""

from bisect import bisect_right

from penstock.domain.run.events import WaitKind
from penstock.domain.run.state import Run, Step, StepStatus
from penstock.projector.projections.run_steps import SETTLED, Status, StepRow
from penstock.projector.projections.runs import COUNTERS, RunStatus
from tests.simulation.broker import Broker
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle, refolded
from tests.simulation.tables import Row, Staged
from tests.simulation.world import World

SHOWN_AS = {StepStatus.DISPATCHED: "ready"}
COUNTED_AS = {Status.TIMED_OUT: "failed"}


class Readings:
    """Compares rows with folds, after each transaction and at the end."""

    def __init__(self, world: World, oracle: Oracle, network: Network, broker: Broker) -> None:
        self._world = world
        self._oracle = oracle
        self._blobs = network.blobs
        self._tables = network.tables
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
            if told.state.start is None:
                continue
            if run_id not in self._tables.rows:
                self._world.object_to("S6", f"run {run_id} has no row")
            self._compare(run_id, self._tables.rows[run_id])
            if told.state != refolded(self._broker, self._blobs, told):
                self._world.object_to("S16", f"run {run_id} folds to something else")

    def _compare(self, run_id: str, row: Row) -> None:
        folds = self._oracle.runs[run_id].folds
        place = bisect_right(folds, self._tables.checkpoint, key=lambda fold: fold[0])
        run = folds[place - 1][1]
        problem = difference(row, run)
        if problem:
            self._world.object_to("S6", f"run {run_id} at {self._tables.checkpoint}: {problem}")


def difference(row: Row, run: Run) -> str:
    """What in a run's rows is not what the fold says; empty if nothing."""
    if str(row.run.status) != (status := shown_status(row, run)):
        return f"its row is {row.run.status}, its fold {status}"
    steps = {path: step for path, step in run.steps.items() if is_shown(path, step)}
    past = {path: row.steps[path] for path in row.steps if path not in steps}
    if not set(steps) <= set(row.steps) or not all(map(is_past, past.values())):
        return f"rows of {sorted(row.steps)}, folds of {sorted(steps)}"
    counts = dict.fromkeys(COUNTERS, 0)
    is_fork = run.started is not None and run.started.forked_from is not None
    for step_id, step in steps.items():
        shown = row.steps[step_id]
        if problem := difference_of_step(shown, step, is_fork=is_fork):
            return f"{step_id} {problem}"
    for shown in row.steps.values():
        counter = COUNTED_AS.get(shown.status, str(shown.status))
        if counter in counts:
            counts[counter] += 1
    if tuple(counts.values()) != row.counts:
        return f"counters {row.counts}, folds {counts}"
    return ""


def is_past(row: StepRow) -> bool:
    """Whether a step may be of an iteration that a snapshot has no more."""
    return "." in row.step_id and row.status in SETTLED


def shown_status(row: Row, run: Run) -> str:
    """How a run is shown: paused until it ends, or is told to."""
    is_resting = run.paused and run.is_live and (run.ending is None or not run.ending.told)
    return str(RunStatus.PAUSED) if is_resting else str(run.status)


def is_shown(path: str, step: Step) -> bool:
    """Whether clients see a step: evaluations they do not, nor what nobody has begun."""
    return "@" not in path and (step.attempt > 0 or step.status is not StepStatus.PENDING)


def difference_of_step(shown: StepRow, step: Step, *, is_fork: bool) -> str:
    """What in a step's row is not what the fold says. is_fork: not all of its past is here."""
    is_loop = step.wait is not None and step.wait.kind is WaitKind.LOOP
    status = "running" if is_loop else str(SHOWN_AS.get(step.status, step.status))
    if str(shown.status) != status or shown.attempt != step.attempt:
        return f"is {shown.status}#{shown.attempt}, its fold {status}#{step.attempt}"
    if step.status is StepStatus.SUCCEEDED and said(shown) != said(step):
        return "says something else"
    if not is_fork and len(shown.attempts) != step.tries + step.losses:
        return f"lists {len(shown.attempts)} bad attempts"
    return ""


def said(step: object) -> tuple[str | None, str | None]:
    """What a step has said: its branch and the digest of its output."""
    output = getattr(step, "output", None)
    assert isinstance(step, StepRow) or hasattr(step, "branch")
    return step.branch, None if output is None else output.sha256
