"""`loop`: what it goes over, and how; the iterations themselves are steps of their own."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from penstock.domain.run.events import WaitKind
from penstock.domain.run.loops import LOOP_LIMIT
from penstock.domain.workflow.config_schemas import ITERATIONS_MAX, LOOP_CONCURRENCY_MAX
from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput, encode
from penstock.executor.nodes.members import one_of, whole, wrong
from penstock.executor.outcome import Done, Outcome, Rest, StepFault

NO_ITEMS = Done(Raw(b"[]"))


def run(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Outcome:
    """The items and how many at a time, or that a `while` decides; without items it is done."""
    most = whole(config, "maxIterations", ITERATIONS_MAX, most=ITERATIONS_MAX)
    width = whole(config, "maxConcurrency", LOOP_CONCURRENCY_MAX, most=LOOP_CONCURRENCY_MAX)
    mode = one_of(config, "mode", ("parallel", "sequential"), "parallel")
    tolerant = one_of(config, "onItemError", ("fail", "continue"), "fail") == "continue"
    assert most is not None
    assert width is not None
    if "while" in config:
        return Rest(kind=WaitKind.LOOP, most=most, tolerant=tolerant)
    items = config.get("items")
    if not isinstance(items, list):
        raise wrong("items", f"{items!r:.100} is no list")
    if len(items) > most:
        raise StepFault(LOOP_LIMIT, f"items: {len(items)} of them are over maxIterations, {most}")
    if not items:
        return NO_ITEMS
    return Rest(
        kind=WaitKind.LOOP,
        count=len(items),
        items=Raw(encode(items)),
        width=1 if mode == "sequential" else width,
        most=most,
        tolerant=tolerant,
    )
