"""Planted bugs in loops, waits, children, pauses, forks and gates; see `planted.py`."""

import asyncio
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from penstock.domain.run import (
    consequences,
    control,
    decide,
    loops,
    reports,
    settling,
    waits,
)
from penstock.domain.run.draft import Draft
from penstock.domain.run.events import ApprovalDecided, SignalReceived, StepLost, StepReady
from penstock.domain.run.paths import Evaluation
from penstock.domain.run.state import HELD, Answer, Run, Step
from penstock.domain.workflow.graph import Graph
from penstock.scheduler import tasks
from penstock.scheduler.children import Children
from penstock.scheduler.gate_calls import GateCalls
from penstock.scheduler.keys import GateKey
from tests.simulation.planted import Change, bug


def said() -> "asyncio.Future[int]":
    """A word that nobody has said."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_result(0)
    return future


# --- loops ---------------------------------------------------------------------------------------


@bug("loop")
def a_loop_gathers_out_of_order() -> list[Change]:
    before = tasks.read_by_evaluation

    def read(run: Run, owner: str, purpose: Evaluation, taken: Any) -> Iterator[tuple[str, Any]]:
        found = list(before(run, owner, purpose, taken))
        if purpose is not Evaluation.COLLECT:
            return iter(found)
        return iter([(name, held) for (name, _), (_, held) in zip(found, found[::-1], strict=True)])

    return [(tasks, "read_by_evaluation", read)]


@bug("loop")
def an_iteration_is_counted_twice() -> list[Change]:
    before = tasks.gathered_by

    def gathered(run: Run, loop_id: str) -> Any:
        found = before(run, loop_id)
        return replace(found, count=found.count + 1)

    return [(tasks, "gathered_by", gathered)]


@bug("loop")
def a_loop_knows_no_width() -> list[Change]:
    def can_open(loop: Any) -> bool:
        return loop.error is None and loop.count is not None and loop.opened < loop.count

    return [(loops, "can_open", can_open)]


@bug("loop", "S5")
def a_tolerant_loop_is_not() -> list[Change]:
    before = loops.begun

    def begun(run: Run, event: Any) -> Run:
        return before(run, replace(event, tolerant=False))

    return [(loops, "begun", begun)]


@bug("loop", "L2", "evaluation")
def a_loop_is_done_with_its_first_iteration() -> list[Change]:
    before = loops.closed_if_done

    def closed(run: Run, scope: str) -> Run:
        loop_id, index = scope.rpartition(".")[0], scope.rpartition(".")[2]
        loop = run.flow.loops.get(loop_id)
        if loop is not None and loop.count and index == "0":
            short = replace(loop, count=loop.opened)
            flow = replace(run.flow, loops=run.flow.loops.set(loop_id, short))
            run = replace(run, flow=flow)
        return before(run, scope)

    return [(settling, "closed_if_done", closed)]


# --- joins and edges -----------------------------------------------------------------------------


@bug("S5")
def a_join_cancels_all_that_is_above_it() -> list[Change]:
    before = Graph.cancelled_by

    def cancelled_by(self: Graph, node_id: str) -> tuple[str, ...]:
        if not before(self, node_id):
            return ()
        return tuple(n for n in self.order if n in self.ancestors(node_id))

    return [(Graph, "cancelled_by", cancelled_by)]


@bug("closing")
def a_join_cancels_nobody() -> list[Change]:
    return [(Graph, "cancelled_by", lambda self, node_id: ())]


@bug("S5", "S3", "cancel", "L2")
def nobody_evaluates_edges() -> list[Change]:
    before = settling.passed_on

    def passed_on(run: Run, step_id: str, step: Step) -> Run:
        return before(run, step_id, replace(step, edges=step.edges or ()))

    return [(settling, "passed_on", passed_on)]


# --- waits ---------------------------------------------------------------------------------------


@bug("signal")
def a_signal_is_taken_twice() -> list[Change]:
    before = waits.listening_for

    def listening_for(run: Run, step_id: str, name: str) -> Run:
        after = before(run, step_id, name)
        kept = run.flow.signals.get(name, ())
        if not kept:
            return after
        return replace(after, flow=replace(after.flow, signals=run.flow.signals))

    return [(waits, "listening_for", listening_for)]


@bug("signal", "S1")
def a_signal_counts_as_often_as_it_comes() -> list[Change]:
    def signal(draft: Draft, command: Any) -> None:
        heard = SignalReceived(
            name=command.name, signal_id=command.signal_id, payload=command.payload
        )
        draft.record(heard)

    before = control.control

    def taken(draft: Draft, command: Any) -> None:
        again = getattr(command, "signal_id", None) in draft.run.flow.heard
        if again and draft.run.is_live and draft.run.ending is None:
            signal(draft, command)
        else:
            before(draft, command)

    return [(decide, "control", taken)]


@bug("L2")
def an_early_signal_is_lost() -> list[Change]:
    before = waits.taken_or_kept

    def taken_or_kept(run: Run, name: str, signal: Any) -> Run:
        return before(run, name, signal) if name in run.flow.listeners else run

    return [(waits, "taken_or_kept", taken_or_kept)]


@bug("approval", "S1")
def an_approval_is_decided_anew() -> list[Change]:
    def decide_approval(draft: Draft, command: Any) -> None:
        control.refuse_if_ending(draft.run)
        decision, output = command.decision, command.output
        draft.record(ApprovalDecided(step_id=command.step_id, decision=decision, output=output))

    return [(control, "decide_approval", decide_approval)]


@bug("approval")
def a_rejection_is_an_approval() -> list[Change]:
    def verdict_of(_run: Run, event: Any) -> Answer:
        return Answer(event.step_id, output=event.output, branch="approve")

    return [(waits, "verdict_of", verdict_of)]


# --- children ------------------------------------------------------------------------------------


@bug("outbox")
def a_child_is_not_called_off() -> list[Change]:
    return [(Children, "call_off", lambda self, key, child_id, reason: said())]


@bug("outbox")
def a_parent_is_not_told() -> list[Change]:
    return [(Children, "end", lambda self, key, run: said())]


@bug("outbox", "L2")
def a_child_is_asked_for_by_nobody() -> list[Change]:
    return [(Children, "begin", lambda self, key, run, step_id: said())]


# --- control -------------------------------------------------------------------------------------


@bug("pause")
def a_paused_run_starts_steps() -> list[Change]:
    before = consequences.next_consequence

    def next_consequence(run: Run, **bounds: Any) -> Any:
        return before(replace(run, paused=False), **bounds)

    return [(consequences, "next_consequence", next_consequence)]


@bug("S3")
def a_run_that_has_ended_still_listens() -> list[Change]:
    def awaits(self: Run, step_id: str, attempt: int) -> bool:
        step = self.step(step_id)
        return step.attempt == attempt and step.status in HELD

    return [(Run, "awaits", awaits)]


@bug("S17", "S4", "S5")
def a_loss_is_no_attempt() -> list[Change]:
    def lose(draft: Draft, command: Any) -> None:
        if draft.run.ending is None:
            step_id, attempt = command.step_id, command.attempt
            draft.record(StepLost(step_id=step_id, attempt=attempt, reason=command.reason))
            draft.record(StepReady(step_id=step_id, attempt=attempt))

    return [(reports, "lose", lose)]


# --- gates ---------------------------------------------------------------------------------------


@bug("L2", "gate")
def a_place_behind_a_gate_is_never_free_again() -> list[Change]:
    return [(GateCalls, "release", lambda self, key, run: [])]


@bug("gate")
def a_run_passes_its_gates_unasked() -> list[Change]:
    before = GateCalls.acquire

    def acquire(self: GateCalls, key: Any, run: Run, use: Any) -> Any:
        before(self, key, run, use)
        return self.admit(GateKey(key.tenant, use.gate_id), key.run_id)

    return [(GateCalls, "acquire", acquire)]
