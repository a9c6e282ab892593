"""What is evaluated on behalf of a step that no executor holds: no step of its own to clients.

An evaluation has no row. What a loop waits for stands in the loop's row, for it may be dropped
with the loop; how many others are owed stands in the run's.
"""

from typing import Any, NamedTuple

from penstock.domain.run.events import (
    StepAbandoned,
    StepCancelled,
    StepFailed,
    StepReady,
    StepSkipped,
    StepSucceeded,
    StepTimedOut,
)
from penstock.domain.run.paths import Evaluation, evaluated_for, iteration_of

LAST_WORDS = (
    StepAbandoned,
    StepCancelled,
    StepFailed,
    StepSkipped,
    StepSucceeded,
    StepTimedOut,
)


class Evaluated(NamedTuple):
    """What an event of an evaluation changes: in the row of a loop, or, without one, in the run's.

    change: how many more evaluations are owed than before. purpose: of the one that a loop is owed.
    """

    loop_id: str
    change: int
    purpose: str | None


def evaluated(event: Any) -> Evaluated:
    """What any event of a step means whose path is that of an evaluation."""
    count = 0
    if isinstance(event, LAST_WORDS):
        count = -1
    elif isinstance(event, StepReady) and event.attempt == 1:
        count = 1
    loop_id, purpose = loop_of(event.step_id)
    return Evaluated(loop_id, count, None if count < 0 else purpose)


def edges_of(event: StepSucceeded) -> tuple[str, tuple[int, ...]] | None:
    """The step whose edges were evaluated, and which of them came to true; None for another aim."""
    owner, purpose = evaluated_for(event.step_id) or ("", None)
    return (owner, event.edges or ()) if purpose is Evaluation.EDGES else None


def loop_of(path: str) -> tuple[str, str | None]:
    """The loop that asks for an evaluation, and what for; empty where no loop does."""
    owner, purpose = evaluated_for(path) or ("", None)
    match purpose:
        case Evaluation.WHILE:
            return iteration_of(owner)[0], purpose.value
        case Evaluation.COLLECT:
            return owner, purpose.value
        case _:
            return "", None
