"""Recorded histories: what was once written is read by every later release, and means the same.

A file holds one history: its kind, for a run the definition, the messages byte for byte, and what
they came to. Files of a release are never changed; each release adds those of its own.
"""

import json
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from penstock.domain.access.decide import ACCESS
from penstock.domain.connection.decide import CONNECTION
from penstock.domain.event.decide import EVENT
from penstock.domain.idempotency import IDEMPOTENCY
from penstock.domain.run.evolve import evolve
from penstock.domain.run.rest import at_rest
from penstock.domain.run.state import Run, unborn
from penstock.domain.secret.decide import SECRET
from penstock.domain.tenant.decide import KEY, TENANT
from penstock.domain.user.decide import USERS
from penstock.domain.variable.decide import VARIABLE
from penstock.domain.workflow.decide import WORKFLOW
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import from_wire
from penstock.messages import catalogue
from penstock.messages.codec import codec_for
from penstock.messages.envelope import NO_HASH, chain_hash

FOLDER = Path(__file__).parent
EVOLVES: dict[str, Any] = {
    catalogue.TENANT: TENANT.evolve,
    catalogue.KEY: KEY.evolve,
    catalogue.WORKFLOW: WORKFLOW.evolve,
    catalogue.VARIABLE: VARIABLE.evolve,
    catalogue.USERS: USERS.evolve,
    catalogue.SECRET: SECRET.evolve,
    catalogue.CONNECTION: CONNECTION.evolve,
    catalogue.IDEMPOTENCY: IDEMPOTENCY.evolve,
    catalogue.ACCESS: ACCESS.evolve,
    catalogue.EVENT: EVENT.evolve,
}
"""By kind, the fold of all that is no run."""


class History(Struct, frozen=True, kw_only=True):
    """One history as it is kept. outcome: what its fold comes to, as `outcome_of` tells it."""

    kind: str
    id: str
    messages: list[str]
    outcome: Any = None
    definition: Any = None


def kept() -> dict[str, History]:
    """Every history, by the name of its file."""
    return {
        path.stem: msgspec.json.decode(path.read_bytes(), type=History)
        for path in sorted(FOLDER.glob("*.json"))
    }


def types_in(history: History) -> set[tuple[str, str]]:
    """The types of events in a history, with its kind."""
    return {
        (history.kind, event["type"])
        for message in history.messages
        for event in json.loads(message)["events"]
    }


def outcome_of(history: History) -> Any:
    """What a history comes to. Raises AssertionError where its chain is broken, `Undecodable`."""
    events, previous = [], NO_HASH
    for number, message in enumerate(history.messages, 1):
        decision = codec_for(history.kind).decode(message.encode())
        assert decision.previous_hash == previous, f"{history.id} is broken at {number}"
        previous = chain_hash(previous, message.encode())
        events += [(f"{number}.{nth}", event) for nth, event in enumerate(decision.events)]
    if history.kind == catalogue.RUN:
        return run_outcome(history, events)
    folded = reduce(EVOLVES[history.kind], (event for _, event in events), None)
    return msgspec.json.decode(msgspec.json.encode(folded, enc_hook=dict))


def run_outcome(history: History, events: list[tuple[str, Any]]) -> Any:
    """How a run stands after its events: itself, and each of its steps."""
    run: Run = unborn(history.id, Graph.of(from_wire(history.definition)))
    for position, event in events:
        run = evolve(run, at_rest(event, position))
    steps = {path: [str(s.status), s.attempt, s.branch] for path, s in sorted(run.steps.items())}
    return {"status": str(run.status), "steps": steps}
