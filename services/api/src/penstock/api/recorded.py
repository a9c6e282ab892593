"""Recorded decisions as the events that clients see."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from penstock.api.answers import MOMENTS_MS, MS, moment, moment_of_ms
from penstock.api.histories import RunKey
from penstock.api.positions import EVENTS, Position
from penstock.api.tails import Told
from penstock.domain.run import paths
from penstock.domain.run.events import TERMINAL
from penstock.messages.catalogue import EVENT_TYPES, RUN
from penstock.messages.envelope import Cause, RawDecision

MOMENTS = frozenset({"until", "graceUntil"})
"""Members of events that are moments although their names do not end in `At`."""
STATE = "state"
SUMMARY = ("size", "sha256")
SNAPSHOT_TYPES = frozenset({"RunSnapshotTaken", "RunCarriedForward"})
"""Events that repeat what the history before them says."""
TERMINAL_TYPES = frozenset(each.__name__ for each in TERMINAL)


class Typed(Struct):
    """As much of an event as tells which it is."""

    type: str


_decode = msgspec.json.Decoder(RawDecision).decode
_decode_type = msgspec.json.Decoder(Typed).decode

Shown = dict[str, Any]


def shown(told: Told, run: RunKey, after: Position | None = None) -> Iterator[Shown]:
    """The events of one decision about a run, those after `after` if given."""
    decision = _decode(told.body)
    at = moment(datetime.fromtimestamp(decision.at / MS, UTC))
    causes = [cause for cause in decision.causes for _ in range(cause.events)]
    for index, raw in enumerate(decision.events):
        if after is not None and (told.seq, index) <= (after.seq, after.nth):
            continue
        data = msgspec.json.decode(raw)
        if data["type"] in SNAPSHOT_TYPES:
            data = {name: data[name] for name in ("type", STATE)}
        yield event(
            data,
            {
                "position": str(Position(EVENTS, told.seq, index)),
                "type": (name := data.pop("type")),
                "version": version_of(name, decision.catalogue),
                "at": at,
                "tenantId": run.tenant_id,
                "subject": {"kind": RUN, "id": run.run_id},
            },
            causes[index] if index < len(causes) else None,
            run.correlation_id,
        )


def event(data: Shown, head: Shown, cause: Cause | None, began: str) -> Shown:
    """One event: its head, who led to it, and what it says; `began`: the run's first request."""
    return {
        **head,
        "actor": cause.actor if cause else None,
        "causationId": cause.id if cause else None,
        "correlationId": (cause.correlation_id or began) if cause else None,
        "traceparent": cause.traceparent if cause else None,
        "data": with_moments(data),
    }


def with_moments(data: Shown) -> Shown:
    """What an event says, with moments in the form of the contract and the step's node.

    Of a state that a fold begins with there is its size and its hash, and no more.
    """
    told = {
        name: moment_of_ms(value) if isinstance(value, int) and is_moment(name, value) else value
        for name, value in data.items()
    }
    state = data.get(STATE)
    if isinstance(state, dict):
        told[STATE] = {name: state[name] for name in SUMMARY}
    if "stepId" in data:
        told["nodeId"] = node_of(data["stepId"])
    return told


def is_moment(name: str, value: int) -> bool:
    """Whether a member is a moment; a number that no calendar has is shown as it is."""
    return (name.endswith("At") or name in MOMENTS) and value in MOMENTS_MS


def node_of(step_id: str) -> str | None:
    """The node that a step belongs to; of an evaluation, that of the step it is done for.

    None for what is evaluated for the run itself.
    """
    return paths.node_of(paths.owner_of(step_id)) or None


def version_of(name: str, catalogue: int, kind: str = RUN) -> int:
    """The version of the event's type under the catalogue it was written with."""
    known = EVENT_TYPES.types.get((kind, name))
    return known.version_under(catalogue) if known else 1


def end(told: Told) -> Position | None:
    """The position of the run's last event, if this decision holds it."""
    events = _decode(told.body).events
    if not events or _decode_type(events[-1]).type not in TERMINAL_TYPES:
        return None
    return Position(EVENTS, told.seq, len(events) - 1)
