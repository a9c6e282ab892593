"""The envelopes: what goes around commands, reports, work and decisions on the wire.

All bodies are JSON, keys in camelCase, absent keys mean the default. A reader ignores keys that
it does not know. Tenant, kind and id of what a message is about are in its subject; only packed
messages, which are about many, repeat them.
"""

import hashlib

import msgspec
from msgspec import Raw, Struct

from penstock.domain.gate.commands import GateCommand
from penstock.domain.payload import Payload
from penstock.domain.run.commands import Report, RunCommand
from penstock.domain.run.events import RunEvent

NO_HASH = "0" * 64
"""The previous hash of a subject's first message."""


class Wire(Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """The shape that all envelopes share."""


class Refusal(Wire, frozen=True, kw_only=True):
    """Why a command was refused: a stable code and a sentence for people."""

    code: str
    message: str


class Reply(Wire, frozen=True, kw_only=True):
    """The scheduler's answer to a command, sent after the append.

    position: of the last event that the command led to, or of the run's last event when the
    command had taken effect before (`replayed`).
    """

    position: str | None = None
    replayed: bool = False
    refusal: Refusal | None = None


class CommandMessage(Wire, frozen=True, kw_only=True):
    """One command to one run. `reply_to` is a private subject, empty when nobody waits.

    id: what makes it the same command again; becomes the causation id of its events.
    actor: `<kind>:<id>`, such as `key:0190…` or `scheduler:scheduler-0`.
    at: when it was sent, ms. correlation_id: the request that began it all.
    origin: from where that came, closed with the tenant's key; empty for machines.
    """

    id: str
    actor: str
    at: int
    command: RunCommand
    correlation_id: str = ""
    traceparent: str = ""
    origin: str = ""
    reply_to: str = ""


class GateMessage(Wire, frozen=True, kw_only=True):
    """One command to one gate; nobody waits for an answer. Members as in `CommandMessage`."""

    id: str
    actor: str
    command: GateCommand


class RunReport(Wire, frozen=True, kw_only=True):
    """One executor's word about one attempt."""

    tenant: str
    run_id: str
    report: Report
    traceparent: str = ""


class Reports(Wire, frozen=True, kw_only=True):
    """Reports about runs of one partition that were ready together."""

    executor_id: str
    reports: tuple[RunReport, ...]


class Gathered(Wire, frozen=True, kw_only=True):
    """How the output of a loop is put together: a list of `count` results.

    keyed: a result is an object by the node ids of its sinks, else the one sink's output. What is
    not among the task's payloads (`results.<index>.<node id>`) is null, or left out of the object.
    """

    count: int
    keyed: bool = False


class Task(Wire, frozen=True, kw_only=True):
    """One attempt of one step, or of an evaluation (`penstock.domain.run.paths`).

    payloads: all that its node reads, by name: `run.input`; `vars`, the variables that the run was
        begun with; `nodes.<id>.output`; of a failed node `nodes.<id>.error` (code, message,
        retryable), `nodes.<id>.error.details` and `nodes.<id>.input`, where there are any; in a
        loop `items`, all of them, or, where it has none, what the iteration before came to: `item`,
        or `item.<id>` for each of several sinks.
    payloads_blob: the blob that holds `payloads` as JSON, where they do not fit into a message.
    taken: the predecessors that contribute to the step's input, in the order of the edges.
    gathered: of a loop whose output is to be made.
    definition: content hash; executors cache definitions by it. started_at: of the run, ms.
    """

    run_id: str
    step_id: str
    attempt: int
    definition: str
    started_at: int
    payloads: dict[str, Payload] = {}
    payloads_blob: str | None = None
    taken: tuple[str, ...] = ()
    gathered: Gathered | None = None
    traceparent: str = ""


class Work(Wire, frozen=True, kw_only=True):
    """Tasks of one queue and tenant that became ready together."""

    tenant: str
    tasks: tuple[Task, ...]


class PackedWork(Wire, frozen=True, kw_only=True):
    """`Work` as it is written: its tasks are encoded already, because packs are cut by size."""

    tenant: str
    tasks: tuple[Raw, ...]


class StepCancels(Wire, frozen=True, kw_only=True):
    """The body of a cancel that stops some attempts of a run that goes on: (step path, attempt).

    A cancel of a run that is being ended has no body.
    """

    steps: tuple[tuple[str, int], ...]


class Cause(Wire, frozen=True, kw_only=True):
    """Who led to the next `events` events of a decision, and by which message.

    origin: from where it came, closed with the tenant's key; empty for machines.
    """

    id: str
    actor: str
    events: int
    correlation_id: str = ""
    traceparent: str = ""
    origin: str = ""


class Envelope(Wire, frozen=True, kw_only=True):
    """What every decision says before its events.

    id: of this decision. at: when it was made, ms since the epoch.
    previous_hash: hex, of the message before this one on the same subject.
    catalogue: the number of the event catalogue that its events were written under.
    snapshot: sequence of the last message before it that begins with a snapshot; 0 for none.
    """

    id: str
    at: int
    previous_hash: str
    causes: tuple[Cause, ...]
    catalogue: int = 1
    snapshot: int = 0


class Decision(Envelope, frozen=True, kw_only=True):
    """All events of one decision about one run: one message, appended whole or not at all."""

    events: tuple[RunEvent, ...]


class RawDecision(Envelope, frozen=True, kw_only=True):
    """A decision whose events are left undecoded."""

    events: tuple[Raw, ...]


_unfed = hashlib.sha256()
"""Copied for each hash, which is cheaper than to have one looked up by its name."""


def chain_hash(previous_hash: str, body: bytes) -> str:
    """The hash of a message on its subject's chain: SHA-256(previous hash ‖ body), hex."""
    digest = _unfed.copy()
    digest.update(previous_hash.encode())
    digest.update(body)
    return digest.hexdigest()


encode = msgspec.json.encode
"""Any value of this module as its bytes."""
