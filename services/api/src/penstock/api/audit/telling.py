"""Archived messages as the events that auditors see, each with its place in the chains.

A message that is kept no more (of a run that is older than `retentionDays`), or that nobody can
read, is told as one event with a type in brackets: its hashes prove that it was there.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from penstock.api import recorded, unsealing
from penstock.api.answers import MS, moment
from penstock.api.audit import origin
from penstock.api.audit.order import Wanted
from penstock.api.positions import Position
from penstock.infra.keyring.payloads import Seals
from penstock.infra.postgres.engine import Row, Session
from penstock.messages.catalogue import RUN
from penstock.messages.codec import DAMAGE
from penstock.messages.envelope import Cause, RawDecision

EXPIRED = "(expired)"
UNREADABLE = "(unreadable)"
DONE = "done"
RESULTS = {
    "AccessDenied": "denied",
    "LoginFailed": "denied",
    "WriteRefused": "refused",
}
"""What came of what is told; of everything else, that it happened."""

BEGAN = """
select id, correlation_id from penstock.runs where tenant_id = %(tenant)s and id = any (%(ids)s)
"""

Shown = dict[str, Any]

_decode = msgspec.json.Decoder(RawDecision).decode


class Teller:
    """Tells messages of one tenant. has_bodies: with the bytes that the hashes are made of."""

    def __init__(
        self, seals: Seals, tenant_id: str, wanted: Wanted, *, has_bodies: bool = False
    ) -> None:
        self._seals = seals
        self._tenant_id = tenant_id
        self._wanted = wanted
        self._has_bodies = has_bodies

    async def told(self, session: Session, messages: Sequence[Row], after: Position) -> list[Shown]:
        """The events of some messages that are asked for and stand behind `after`, opened.

        Raises DatabaseUnavailable, Unopenable.
        """
        began = await self._began(session, messages)
        shown = [
            event
            for message in messages
            for event in self._events(message, began.get(message["subject_id"], ""))
            if self._is_wanted(event, message, after)
        ]
        for event in shown:
            event["origin"] = await origin.shown(self._seals, self._tenant_id, event["origin"])
        return await unsealing.opened(self._seals, self._tenant_id, shown)

    def _is_wanted(self, event: Shown, message: Row, after: Position) -> bool:
        types, actors, _ = self._wanted
        if (types and event["type"] not in types) or (actors and event["actor"] not in actors):
            return False
        own = (message["log"], message["seq"])
        return own != (after.log, after.seq) or nth_of(event) > after.nth

    async def _began(self, session: Session, messages: Sequence[Row]) -> dict[str, str]:
        """The request that began each of the runs among some messages."""
        ids = {UUID(each["subject_id"]) for each in messages if each["kind"] == RUN}
        if not ids:
            return {}
        rows = await session.all(BEGAN, {"tenant": self._tenant_id, "ids": list(ids)})
        return {str(row["id"]): row["correlation_id"] for row in rows}

    def _events(self, message: Row, began: str) -> Iterator[Shown]:
        body = bytes(message["body"])
        try:
            decision = _decode(body) if body else None
        except DAMAGE:
            decision = None
        if decision is None:
            type_ = UNREADABLE if body else EXPIRED
            at = moment(message["recorded_at"])
            yield self._placed(message, 0, {"type": type_}, at=at, cause=None, began="")
            return
        at = moment(datetime.fromtimestamp(decision.at / MS, UTC))
        causes = [cause for cause in decision.causes for _ in range(cause.events)]
        for nth, raw in enumerate(decision.events):
            cause = causes[nth] if nth < len(causes) else None
            data = msgspec.json.decode(raw)
            if data["type"] in recorded.SNAPSHOT_TYPES:
                data = {name: data[name] for name in ("type", recorded.STATE)}
            yield self._placed(message, nth, data, at=at, cause=cause, began=began)

    def _placed(
        self,
        message: Row,
        nth: int,
        data: Shown,
        *,
        at: str | None,
        cause: Cause | None,
        began: str,
    ) -> Shown:
        """One event: what it says, and where it stands."""
        type_ = data.pop("type")
        kind = message["kind"]
        head = {
            "position": str(Position(message["log"], message["seq"], nth)),
            "type": type_,
            "version": recorded.version_of(type_, message["catalogue"] or 1, kind),
            "at": at,
            "tenantId": self._tenant_id,
            "subject": {"kind": kind, "id": message["subject_id"]},
        }
        chained = {
            "origin": cause.origin if cause else "",
            "result": RESULTS.get(type_, DONE),
            "hash": message["hash"].hex(),
            "previousHash": message["previous_hash"].hex(),
            "tenantHash": message["tenant_hash"].hex(),
        }
        if self._has_bodies and nth == 0:
            chained["body"] = b64encode(message["body"]).decode()
        return {**recorded.event(data, head, cause, began), **chained}


def nth_of(event: Shown) -> int:
    """The number of an event within its decision."""
    return int(event["position"].rpartition(".")[2])
