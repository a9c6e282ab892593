"""One message of a log, as the projector reads it.

What cannot be read is no error here but an entry with a `flaw`: it is archived as bytes, what it
is about is quarantined, and everything else goes on.
"""

from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.payload import Payload
from penstock.domain.run.events import RunForked, RunQueued, RunStarted
from penstock.infra.nats.streams import EVENTS, REGISTRY
from penstock.infra.nats.subjects import BadSubject, parse_events
from penstock.messages.catalogue import RUN
from penstock.messages.codec import Recorded, Undecodable, codec_for, decode_run_decision
from penstock.messages.envelope import Decision
from penstock.projector.ids import NIL, uuid_bytes

AT_MIN = 1_577_836_800_000
AT_MAX = 4_102_444_800_000
"""Years 2020 to 2100: a moment outside is damage, and would need a partition of its own."""

FLAW_MAX = 500
"""Characters that are kept of what is wrong with a message."""


class Log(StrEnum):
    """The two logs, as rows name them."""

    EVENTS = "events"
    REGISTRY = "registry"


STREAMS = {Log.EVENTS: EVENTS, Log.REGISTRY: REGISTRY}
FAMILIES = {Log.EVENTS: "evt", Log.REGISTRY: "reg"}


class Entry(Struct, frozen=True):
    """One message. `tenant` and `id` are UUIDs in bytes, nil where the subject has none.

    kind, subject_id: as in the subject; empty and the whole subject where that is malformed.
    decision: None where there is a flaw.
    """

    log: Log
    seq: int
    subject: str
    tenant: bytes
    kind: str
    subject_id: str
    id: bytes
    body: bytes
    decision: Decision | Recorded[Any] | None
    flaw: str = ""

    @property
    def state(self) -> Payload | None:
        """What the run goes on from that starts here as a fork, at once or behind its last gate."""
        events = () if self.decision is None else self.decision.events
        for event in events[1:3]:
            if isinstance(event, RunForked):
                return event.state
        return None

    @property
    def beginning(self) -> RunStarted | None:
        """How the run starts, or is going to, of which this is the first message."""
        events = () if self.decision is None else self.decision.events
        first = events[0] if events else None
        if isinstance(first, RunQueued):
            return first.start
        return first if isinstance(first, RunStarted) else None

    @property
    def weight(self) -> int:
        """Bytes that it takes in memory while a batch is written: it may name an object."""
        state = self.state
        return len(self.body) + (0 if state is None else state.size)

    def flawed(self, why: str) -> "Entry":
        """The same message, to be archived only."""
        return replace(self, decision=None, flaw=why[:FLAW_MAX])


def read(log: Log, seq: int, subject: str, body: bytes) -> Entry:
    """The message as an entry."""
    try:
        family, tenant_text, kind, id_text = parse_events(subject)
    except BadSubject:
        return Entry(log, seq, subject, NIL, "", subject, NIL, body, None, "malformed subject")
    tenant, id_ = uuid_bytes(tenant_text), uuid_bytes(id_text)
    if tenant is None or id_ is None or family != FAMILIES[log]:
        return Entry(log, seq, subject, NIL, "", subject, NIL, body, None, "not of ours")
    decision, flaw = _decoded(kind, body)
    return Entry(log, seq, subject, tenant, kind, id_text, id_, body, decision, flaw)


def _decoded(kind: str, body: bytes) -> tuple[Decision | Recorded[Any] | None, str]:
    """The decision, or None and what is wrong with it."""
    try:
        decision: Decision | Recorded[Any]
        decision = decode_run_decision(body) if kind == RUN else codec_for(kind).decode(body)
        body.decode()
    except (Undecodable, UnicodeDecodeError, RecursionError) as error:
        return None, f"undecodable: {error}"[:FLAW_MAX]
    if not AT_MIN <= decision.at < AT_MAX:
        return None, f"impossible moment: {decision.at}"
    return decision, ""
