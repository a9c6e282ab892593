"""Logs for the projector's tests: real decisions of the run aggregate, encoded as in the stream."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from penstock.domain import payload
from penstock.domain.ids import derived
from penstock.domain.run.commands import CompleteStep, RunCommand, StartRun
from penstock.domain.run.decide import decide
from penstock.domain.run.evolve import fold
from penstock.domain.run.state import HELD, Run, unborn
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition, Edge, Node, canonical_bytes
from penstock.infra.nats import subjects
from penstock.messages.codec import codec_for
from penstock.messages.envelope import NO_HASH, Cause, chain_hash
from penstock.projector.entry import Entry, Log, read

T0 = 1_795_000_000_000
"""A moment in November 2026, ms."""


def chain(length: int) -> Definition:
    """Noops in a row: `s0` to `s<length - 1>`."""
    nodes = tuple(Node(id=f"s{index}", type="noop") for index in range(length))
    edges = tuple(Edge(f"s{index}", f"s{index + 1}") for index in range(length - 1))
    return Definition(name="chain", nodes=nodes, edges=edges)


@dataclass
class Tape:
    """A log being written: subjects and bodies in the order of the stream, from 1."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)

    def append(self, subject: str, events: Sequence[Any], *, at: int, actor: str = "key:k") -> int:
        """One decision; its sequence."""
        previous = self.heads.get(subject, NO_HASH)
        seq = len(self.messages) + 1
        body: bytes = codec_for(subject.split(".")[3]).encode(
            events,
            [Cause(id=f"c{seq}", actor=actor, events=len(events), correlation_id=f"q{seq}")],
            decision_id=f"d{seq}",
            at=at,
            previous_hash=previous,
        )
        return self.append_raw(subject, body)

    def append_raw(self, subject: str, body: bytes) -> int:
        """Any bytes; its sequence."""
        self.heads[subject] = chain_hash(self.heads.get(subject, NO_HASH), body)
        self.messages.append((subject, body))
        return len(self.messages)

    def entries(self, log: Log = Log.EVENTS, *, after: int = 0) -> list[Entry]:
        """What the projector reads."""
        return [
            read(log, seq, subject, body)
            for seq, (subject, body) in enumerate(self.messages, 1)
            if seq > after
        ]


class Life:
    """One run that is decided about, every decision on the tape."""

    def __init__(self, tape: Tape, definition: Definition, *, name: str, tenant: str) -> None:
        self.tape = tape
        self.tenant = tenant
        self.id = derived(tenant, name)
        self.subject = subjects.run_events(tenant, self.id)
        self.definition = sha256(canonical_bytes(definition)).hexdigest()
        self.run: Run = unborn(self.id, Graph.of(definition))
        self.at = T0

    def tell(self, command: RunCommand) -> int:
        """Decide and append; 0 when there was nothing to add."""
        self.at += 1
        events = decide(command, self.run, at=self.at)
        if not events:
            return 0
        self.run = fold(self.run, events)
        return self.tape.append(self.subject, events, at=self.at)

    def start(self, **changes: Any) -> int:
        """Begin the run."""
        values: dict[str, Any] = {
            "workflow_id": derived(self.tenant, "workflow"),
            "workflow_name": "a workflow",
            "version": 1,
            "definition": self.definition,
            "input": payload.of_value({"orderId": 7}),
            "created_at": self.at,
        }
        return self.tell(StartRun(**(values | changes)))

    def complete(self, step_id: str, output: object = None) -> int:
        """The step's present attempt succeeds."""
        return self.tell(
            CompleteStep(
                step_id=step_id,
                attempt=self.run.step(step_id).attempt,
                output=payload.of_value(output),
                started_at=self.at,
                finished_at=self.at + 1,
                executor_id="executor-0",
            )
        )

    @property
    def held(self) -> list[str]:
        """Steps that an executor owes a word about."""
        order = self.run.graph.order if self.run.graph is not None else ()
        return [step_id for step_id in order if self.run.step(step_id).status in HELD]
