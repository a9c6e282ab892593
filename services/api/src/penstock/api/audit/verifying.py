"""A tenant's chains followed through the archive, a page at a time.

Every message must follow the one before it on its subject, have the hash of its bytes, and be the
next link of the tenant's chain of its log, whose end must be the one that the projector wrote. Of
a message that is kept no more the hash is what it was. After a break it goes on from what the
archive says, so that one changed byte is one problem.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Any, NamedTuple

import msgspec

from penstock.api.audit.order import RETENTION
from penstock.api.audit.reading import named
from penstock.api.positions import EVENTS, LAST_NTH, REGISTRY, Position
from penstock.infra.nats import subjects
from penstock.infra.postgres.engine import Engine, Row, Session
from penstock.infra.postgres.tenant import tenant_session
from penstock.messages.chains import GENESIS, Head, link, message_hash
from penstock.messages.codec import DAMAGE
from penstock.messages.envelope import NO_HASH, Envelope

PAGE = 128
"""Messages read at once, each of up to 512 KiB."""
SECONDS_MAX = 5.0
"""What one request may take; it tells how far it got, and the next one goes on from there."""
PROBLEMS_MAX = 100
"""As many are told; any more only say so."""
ORDER = (REGISTRY, EVENTS)

HEADS = "select log, seq, decisions, hash from penstock.chain_heads where tenant_id = %(tenant)s"
OF_LOG = "tenant_id = %(tenant)s and log = %(log)s and retention_class = %(class)s"
NEXT = f"""
select seq, kind, subject_id, body, hash, previous_hash, tenant_hash from penstock.event_archive
where {OF_LOG} and seq > %(after)s and seq <= %(upto)s order by seq limit {PAGE}
"""
LAST_LINK = f"""
select tenant_hash from penstock.event_archive
where {OF_LOG} and seq <= %(after)s order by seq desc limit 1
"""
BEFORE = f"""
select distinct on (kind, subject_id) kind, subject_id, hash from penstock.event_archive
where {OF_LOG} and subject_id = any (%(ids)s) and seq <= %(after)s
order by kind, subject_id, seq desc
"""

_decode = msgspec.json.Decoder(Envelope).decode


class Problem(NamedTuple):
    """What is wrong with one message, or with a log as a whole."""

    position: str
    detail: str


class Verdict(NamedTuple):
    """through: the place up to which all was looked at, None when that is everything there is."""

    events: int
    heads: dict[str, Head]
    problems: list[Problem]
    through: str | None


class Proof:
    """One request's part of following the chains of a tenant."""

    def __init__(self, engine: Engine, tenant_id: str, *, seconds_max: float = SECONDS_MAX) -> None:
        self._engine = engine
        self._tenant_id = tenant_id
        self._until = monotonic() + seconds_max
        self._events = 0
        self._problems: list[Problem] = []

    async def verdict(self, after: Position) -> Verdict:
        """What is so behind a place: first in the registry, then among the events."""
        async with tenant_session(self._engine, self._tenant_id) as session:
            heads = await heads_of(session, self._tenant_id)
        for log in ORDER[ORDER.index(after.log) :] if after.seq else ORDER:
            begin = after.seq if log == after.log else 0
            reached = await self._follow(log, begin, heads.get(log, Head()))
            if reached is not None:
                place = named(Position(log, reached, LAST_NTH))
                return Verdict(self._events, heads, self._problems, place)
        return Verdict(self._events, heads, self._problems, None)

    async def _follow(self, log: str, after: int, head: Head) -> int | None:
        """One log up to its head; the sequence that was reached where time is over before."""
        last = GENESIS
        parameters = {
            "tenant": self._tenant_id,
            "log": log,
            "class": RETENTION[log],
            "upto": head.seq,
        }
        async with tenant_session(self._engine, self._tenant_id) as session:
            if after and (row := await session.one(LAST_LINK, {**parameters, "after": after})):
                last = bytes(row["tenant_hash"])
        seq = after
        while True:
            async with tenant_session(self._engine, self._tenant_id) as session:
                asked = {**parameters, "after": seq}
                rows = await session.all(NEXT, asked)
                ids = list({row["subject_id"] for row in rows})
                before = await session.all(BEFORE, {**asked, "ids": ids}) if rows else []
            last = self._check(log, rows, last, before)
            seq = rows[-1]["seq"] if rows else seq
            if len(rows) < PAGE:
                break
            if monotonic() > self._until:
                return seq
        if last != head.hash:
            self._add(Position(log, head.seq, 0), "the archive does not end where the chain ends")
        return None

    def _check(self, log: str, rows: Sequence[Row], last: bytes, before: Sequence[Row]) -> bytes:
        """Some messages in their order; the last one's link as the archive says it."""
        known = {(row["kind"], row["subject_id"]): bytes(row["hash"]) for row in before}
        for row in rows:
            place = Position(log, row["seq"], 0)
            own, key = bytes(row["hash"]), (row["kind"], row["subject_id"])
            expected = known[key].hex() if key in known else NO_HASH
            body = bytes(row["body"])
            if row["previous_hash"].hex() != expected:
                self._add(place, "does not follow the message before it on its subject")
            elif body and message_hash(expected, body) != own:
                self._add(place, "its bytes do not have its hash")
            if link(last, row["seq"], own, subject_of(log, self._tenant_id, row)) != bytes(
                row["tenant_hash"]
            ):
                self._add(place, "is not the next link of the tenant's chain")
            known[key], last = own, bytes(row["tenant_hash"])
            self._events += events_in(body)
        return last

    def _add(self, place: Position, detail: str) -> None:
        if len(self._problems) < PROBLEMS_MAX:
            self._problems.append(Problem(str(place), detail))


async def heads_of(session: Session, tenant_id: str) -> dict[str, Head]:
    """The end of the tenant's chain of each log."""
    rows = await session.all(HEADS, {"tenant": tenant_id})
    return {row["log"]: Head(row["seq"], row["decisions"], bytes(row["hash"])) for row in rows}


def subject_of(log: str, tenant_id: str, row: Row) -> bytes:
    """The subject that a message came on."""
    if not row["kind"]:
        return str(row["subject_id"]).encode()
    made = subjects.events if log == EVENTS else subjects.registry
    return made(tenant_id, row["kind"], row["subject_id"]).encode()


def events_in(body: bytes) -> int:
    """How many events a message is told as: one where it cannot be read, or is kept no more."""
    try:
        return sum(cause.events for cause in _decode(body).causes) if body else 1
    except DAMAGE:
        return 1


def told(verdict: Verdict) -> dict[str, Any]:
    """The verdict as clients see it."""
    return {
        "ok": not verdict.problems,
        "events": verdict.events,
        "head": {
            log: {"position": named(Position(log, head.seq, LAST_NTH)), "hash": head.hash.hex()}
            for log, head in verdict.heads.items()
        },
        "problems": [each._asdict() for each in verdict.problems],
        "complete": verdict.through is None,
        "through": verdict.through,
    }
