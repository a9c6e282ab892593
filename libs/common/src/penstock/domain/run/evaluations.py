"""What an evaluation's last word does to the step, the loop or the run that it was done for."""

from typing import assert_never

from msgspec.structs import replace

from penstock.domain.run.events import (
    CancelCause,
    RunError,
    StepError,
)
from penstock.domain.run.flow import answered, stopped, trimmed, with_flow
from penstock.domain.run.loops import called_off, checked, closed_if_done
from penstock.domain.run.paths import Evaluation, evaluated_for, iteration_of, scope_of
from penstock.domain.run.settling import arrived, fallen, is_handled
from penstock.domain.run.state import (
    HELD,
    SETTLED,
    Answer,
    Ending,
    Run,
    Step,
    StepStatus,
)

YES = "true"
"""The branch of a `while` that goes on."""


def evaluated(run: Run, path: str, step: Step) -> Run:
    """The run after an evaluation is settled, with what it means for whom it was done."""
    before = run.step(path)
    is_held = before.status in HELD
    timers = run.timers.delete(before.timer_id) if before.timer_id else run.timers
    run = replace(
        run,
        steps=run.steps.set(path, replace(step, timer_id="")),
        timers=timers,
        held=run.held - is_held,
    )
    run = trimmed(with_flow(run, evaluating=run.flow.evaluating - is_held))
    found = evaluated_for(path)
    if found is None or run.ending is not None or step.status is StepStatus.SKIPPED:
        return run
    owner, purpose = found
    match purpose:
        case Evaluation.EDGES:
            return edges_known(run, owner, step)
        case Evaluation.WHILE:
            return round_decided(run, owner, step)
        case Evaluation.COLLECT:
            if run.step(owner).status in SETTLED:
                return run
            return answered(run, Answer(owner, output=step.output, error=step.error))
        case Evaluation.OUTPUT:
            return output_known(run, step)
        case _:
            assert_never(purpose)


def edges_known(run: Run, step_id: str, evaluation: Step) -> Run:
    """The run after somebody has evaluated the edges of a step that the scheduler had ended.

    Where that failed, nobody knows where the run would go on: it is a failure of the step itself.
    """
    scope = scope_of(step_id)
    if scope and (scope not in run.flow.scopes or run.flow.scopes[scope].is_closing):
        return run
    if evaluation.error is not None:
        return fallen(run, step_id, evaluation.error)
    step = replace(run.step(step_id), edges=evaluation.edges or ())
    run = replace(run, steps=run.steps.set(step_id, step))
    graph, node_id = run.located(step_id)
    if step.error is not None and not is_handled(graph, node_id, step):
        return fallen(run, step_id, step.error)
    run = arrived(run, step_id, step)
    return closed_if_done(run, scope) if scope else run


def round_decided(run: Run, scope: str, evaluation: Step) -> Run:
    """The run after a loop's `while` was evaluated."""
    loop_id, _ = iteration_of(scope)
    loop = run.flow.loops.get(loop_id)
    if loop is None or loop.error is not None or run.step(loop_id).status in SETTLED:
        return run
    if evaluation.error is not None:
        return called_off(run, loop_id, unrepeatable(evaluation.error))
    return checked(run, loop_id, goes_on=evaluation.branch == YES)


def output_known(run: Run, evaluation: Step) -> Run:
    """The run after its output template was evaluated."""
    if evaluation.error is None:
        return with_flow(run, output=evaluation.output)
    why = RunError(code=evaluation.error.code, message=f"output: {evaluation.error.message}")
    return stopped(replace(run, ending=Ending(CancelCause.FAILURE, why)))


def unrepeatable(error: StepError) -> StepError:
    """The error as one that no further attempt would mend."""
    return replace(error, retryable=False)
