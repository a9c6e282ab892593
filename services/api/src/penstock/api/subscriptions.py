"""What a watcher asks for, and the events that it gets: of a run, of a workflow, of the tenant.

A run's history is told from its beginning, the other two from now on, and each of them from behind
the position that `after` names. A run's subscription is over after its last event.
"""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, Struct, UnsetType
from nats.errors import Error as BrokerError

from penstock.api import recorded
from penstock.api.auth import Caller
from penstock.api.errors import Problem, detail, invalid
from penstock.api.histories import RunKey
from penstock.api.parts import Parts
from penstock.api.positions import EVENTS, LAST_NTH, START, Position, parse
from penstock.api.routes.runs import known_run, workflow_of
from penstock.api.tails import Told
from penstock.api.unsealing import opened
from penstock.infra.nats.direct import ReadUnavailable
from penstock.infra.postgres.engine import DatabaseUnavailable, Row
from penstock.infra.telemetry import logs

EPOCH = datetime.fromtimestamp(0, UTC)
TEXT_MAX = 200

_log = logs.logger(__name__)

Event = dict[str, Any]

AWAY = (ReadUnavailable, DatabaseUnavailable, BrokerError)
"""What a subscription waits for to pass."""


class Wanted(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What to tell about; neither run nor workflow means the tenant."""

    run_id: str | UnsetType = UNSET
    workflow_id: str | UnsetType = UNSET
    after: str | UnsetType = UNSET


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may send."""

    subscribe: Wanted


_decode = msgspec.json.Decoder(Message).decode


def read(text: str | bytes) -> Wanted:
    """What a client's message asks for. Raises Problem 400."""
    try:
        wanted = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = 'send {"subscribe": {"runId": …}}, {"subscribe": {"workflowId": …}} or {}'
        fault = detail("", "SCHEMA_INVALID", str(error))
        raise invalid(f"that is no subscription; {said}", fault) from None
    return wanted.subscribe


async def found(parts: Parts, caller: Caller, wanted: Wanted) -> "Subscription":
    """The subscription. Raises Problem 400 or 404, and what the servers raise while away."""
    asked: dict[str, str] = msgspec.to_builtins(wanted)
    if any(len(value) > TEXT_MAX for value in asked.values()):
        raise Problem(404, "there is no such run or workflow")
    if wanted.run_id is not UNSET and wanted.workflow_id is not UNSET:
        fault = detail("/subscribe/workflowId", "SCHEMA_INVALID", "cannot stand beside runId")
        raise invalid("a subscription is about one thing", fault)
    start = None if wanted.after is UNSET else position_of(wanted.after)
    if wanted.run_id is not UNSET:
        row = await known_run(parts, caller, wanted.run_id)
        return Subscription(OneRun(parts, caller.tenant_id, row), asked, start or START)
    workflow_id = ""
    if wanted.workflow_id is not UNSET:
        workflow_id = str(await workflow_of(parts, caller, wanted.workflow_id))
    if start is None:
        start = Position(EVENTS, await parts.histories.now(), LAST_NTH)
    elif not await parts.histories.holds(start.seq):
        said = "the log does not go back so far; read what you missed, and subscribe without after"
        raise Problem(409, said, code="POSITION_TOO_OLD")
    return Subscription(ManyRuns(parts, caller.tenant_id, workflow_id), asked, start)


def position_of(text: str) -> Position:
    """The place in the log of events that `after` names. Raises Problem 400."""
    pointer = "/subscribe/after"
    position = parse(text, pointer)
    if position.log != EVENTS:
        said = "must be a position in the log of events"
        raise invalid("that is no position of a run", detail(pointer, "SCHEMA_INVALID", said))
    return position


class Source(Protocol):
    """Where a subscription's events come from. about: what makes it the same subscription."""

    about: str

    def follow(self, after: Position) -> AsyncGenerator[Told | None, None]:
        """The decisions from that of `after` on; None in between when nothing comes."""

    async def shown(self, told: Told, after: Position) -> Iterable[Event]:
        """The events of a decision that come after a position."""

    def is_over(self, told: Told) -> bool:
        """Whether nothing comes after this decision."""


class Subscription:
    """Events to be told. asked: what the client sent. position: of the last one that was told."""

    def __init__(self, source: Source, asked: dict[str, str], start: Position) -> None:
        self.asked = asked
        self.about = source.about
        self.position = start
        self._source = source

    async def events(self) -> AsyncGenerator[Event, None]:
        """What comes after `position`, in order, none twice, until the run or the API ends.

        Raises one of `AWAY` when it cannot be read; call it again, and it goes on from there.
        """
        async with aclosing(self._source.follow(self.position)) as history:
            async for told in history:
                if told is None:
                    continue
                for event in await self._source.shown(told, self.position):
                    yield event
                    self.position = parse(event["position"], "")
                if self._source.is_over(told):
                    return


class OneRun:
    """The events of one run, whose row is `row`."""

    def __init__(self, parts: Parts, tenant_id: str, row: Row) -> None:
        self.about = str(row["id"])
        self._histories = parts.histories
        self._seals = parts.seals
        self._run = RunKey(tenant_id, self.about, row["created_at"], row["correlation_id"])
        self._ended_at = row["last_seq"] if row["finished_at"] is not None else None

    async def follow(self, after: Position) -> AsyncGenerator[Told | None, None]:
        """The run's decisions; none where `after` is behind its last one."""
        if self._ended_at is not None and after.seq > self._ended_at:
            return
        async with aclosing(self._histories.follow(self._run, max(after.seq - 1, 0))) as history:
            async for told in history:
                yield told

    async def shown(self, told: Told, after: Position) -> Iterable[Event]:
        """The events of a decision that come after a position."""
        shown = recorded.shown(told, self._run, after)
        return await opened(self._seals, self._run.tenant_id, shown)

    def is_over(self, told: Told) -> bool:
        """Whether this was the run's last decision."""
        return recorded.end(told) is not None


class ManyRuns:
    """The events of all of a tenant's runs, or of those of the workflow `about`."""

    def __init__(self, parts: Parts, tenant_id: str, workflow_id: str) -> None:
        self.about = workflow_id
        self._parts = parts
        self._tenant_id = tenant_id

    def follow(self, after: Position) -> AsyncGenerator[Told | None, None]:
        """The tenant's decisions, whatever they are about."""
        return self._parts.histories.follow_tenant(self._tenant_id, max(after.seq - 1, 0))

    async def shown(self, told: Told, after: Position) -> Iterable[Event]:
        """The events of a decision that come after a position; none of another workflow's."""
        try:
            origin = await self._parts.origins.of(self._tenant_id, told)
            if self.about and origin.workflow_id != self.about:
                return ()
            run = RunKey(self._tenant_id, told.run_id, EPOCH, origin.correlation_id)
            shown = recorded.shown(told, run, after)
            return await opened(self._parts.seals, self._tenant_id, shown)
        except msgspec.DecodeError as error:
            _log.error("a decision cannot be read", seq=told.seq, error=str(error))
            return ()

    def is_over(self, told: Told) -> bool:
        """Never."""
        return False
