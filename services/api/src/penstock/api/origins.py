"""Which workflow a run belongs to, and which request began it; remembered, for it never changes."""

from collections import OrderedDict
from typing import NamedTuple
from uuid import UUID

import msgspec

from penstock.api.histories import Histories
from penstock.api.tails import Told
from penstock.domain.run.events import RunQueued, RunStarted
from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.tenant import tenant_session
from penstock.messages.codec import Undecodable, decode_run_decision

REMEMBERED_MAX = 50_000
"""Runs, of about 300 bytes each."""

BEGINNINGS = frozenset({RunStarted.__name__, RunQueued.__name__})
FIND = """
select workflow_id, correlation_id from penstock.runs
where tenant_id = %(tenant)s and id = %(run)s
"""


class Origin(NamedTuple):
    """Where a run comes from; empty texts for what nobody knows."""

    workflow_id: str = ""
    correlation_id: str = ""


class Origins:
    """Tells the origins of runs by what is heard of them, by their rows, or by the log."""

    def __init__(self, engine: Engine, histories: Histories) -> None:
        self._engine = engine
        self._histories = histories
        self._known: OrderedDict[tuple[str, str], Origin] = OrderedDict()

    async def of(self, tenant_id: str, told: Told) -> Origin:
        """The origin of the run that a decision is about."""
        key = (tenant_id, told.run_id)
        found = self._known.get(key)
        if found is None:
            found = begun(told.body) or await self._found(*key)
            self._known[key] = found
            if len(self._known) > REMEMBERED_MAX:
                self._known.popitem(last=False)
        return found

    async def _found(self, tenant_id: str, run_id: str) -> Origin:
        async with tenant_session(self._engine, tenant_id) as session:
            row = await session.one(FIND, {"tenant": tenant_id, "run": UUID(run_id)})
        if row is not None:
            return Origin(str(row["workflow_id"]), row["correlation_id"])
        first = await self._histories.first(tenant_id, run_id)
        return (begun(first) if first else None) or Origin()


def begun(body: bytes) -> Origin | None:
    """The origin that a decision tells if a run begins with it."""
    if not msgspec.json.decode(body, type=_Kinds).begins:
        return None
    try:
        decision = decode_run_decision(body)
    except Undecodable:
        return None
    first = decision.events[0]
    started = first.start if isinstance(first, RunQueued) else first
    assert isinstance(started, RunStarted), "the tag says so"
    cause = decision.causes[0].correlation_id if decision.causes else ""
    return Origin(started.workflow_id, cause)


class _Kind(msgspec.Struct):
    type: str


class _Kinds(msgspec.Struct):
    events: tuple[_Kind, ...]

    @property
    def begins(self) -> bool:
        return bool(self.events) and self.events[0].type in BEGINNINGS
