"""What is declared in one place and done in another comes in pairs."""

from collections.abc import Iterator
from typing import Any, get_args

from msgspec import inspect

from penstock.domain.payload import Payload
from penstock.domain.run.events import (
    RunCarriedForward,
    RunEvent,
    RunForked,
    RunSnapshotTaken,
)
from penstock.domain.run.rest import BEARERS
from penstock.domain.run.timers import BEGIN_TIMERS
from penstock.domain.workflow.node_types import AVAILABLE
from penstock.executor.nodes.registry import HANDLERS
from penstock.projector.projections import run_steps, runs


def held_by(event: type[Any]) -> Iterator[type[Any]]:
    """The objects that an event has in its members, at any depth."""
    info = inspect.type_info(event)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        options = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
        for option in options:
            if isinstance(option, inspect.StructType):
                yield option.cls
                yield from held_by(option.cls)


def test_every_available_node_type_has_a_handler() -> None:
    assert {kind.name for kind in AVAILABLE} == set(HANDLERS)


def test_every_handler_either_waits_or_does_not() -> None:
    assert all((h.immediate is None) != (h.waiting is None) for h in HANDLERS.values())


def test_every_event_of_a_run_is_projected_once() -> None:
    projected = [*get_args(run_steps.StepEvent), *get_args(runs.RunEvent)]
    assert len(projected) == len(set(projected))
    assert set(projected) == set(get_args(RunEvent))


def test_what_can_hold_a_payload_is_a_bearer() -> None:
    found = {event for event in get_args(RunEvent) if Payload in held_by(event)}
    # The state of a snapshot is unpacked as soon as it is read; nobody refers to it.
    assert found - {RunForked, RunSnapshotTaken, RunCarriedForward} == BEARERS


def test_what_names_a_timer_begins_it() -> None:
    named = {event for event in get_args(RunEvent) if "timer_id" in event.__struct_fields__}
    # A fork goes on with the timers that are in the state it begins with.
    assert named | {RunForked} == BEGIN_TIMERS
