"""Histories of runs: pages of them from the log or the archive, and their tails as they grow."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from nats.aio.client import Client

from penstock.api.positions import EVENTS as EVENTS_LOG
from penstock.api.positions import SEQ_MAX
from penstock.api.tails import TAIL_MAX, Following, Page, Tail, Told
from penstock.infra.nats import subjects
from penstock.infra.nats.direct import Direct, ReadUnavailable
from penstock.infra.nats.streams import EVENTS, EVENTS_WINDOW_S, REGISTRY
from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.tenant import tenant_session

PAGE = 256
"""Decisions read at once, from the log; a page ends earlier where they are large."""
ARCHIVED_PAGE = 64
"""Decisions read at once from the archive, each of up to 512 KiB."""
AGED = timedelta(seconds=EVENTS_WINDOW_S * 0.9)
"""A run that began longer ago may have lost its first decisions to the window."""
IDLE_S = 10.0
"""After so long without a word the log is read: a message may have been lost with a connection."""
ENDS_S = 1.0

ARCHIVED = """
select seq, body from penstock.event_archive
where tenant_id = %(tenant)s and log = %(log)s and kind = 'run' and subject_id = %(run)s
  and octet_length(body) > 0
  and seq > %(after)s
order by seq limit %(limit)s
"""

ARCHIVED_LAST = """
select seq, body from penstock.event_archive
where tenant_id = %(tenant)s and log = %(log)s and kind = 'run' and subject_id = %(run)s
  and octet_length(body) > 0
  and seq <= %(upto)s
order by seq desc limit 1
"""

ARCHIVED_ONE = """
select body from penstock.event_archive
where tenant_id = %(tenant)s and log = %(log)s and seq = %(seq)s and kind = 'run'
  and octet_length(body) > 0
"""


class RunKey(NamedTuple):
    """A run as its history is found.

    correlation_id: the request that began it all, to which belongs what nobody else asked for.
    """

    tenant_id: str
    run_id: str
    created_at: datetime
    correlation_id: str = ""


class Histories:
    """Reads histories, and follows them."""

    def __init__(
        self, nc: Client, direct: Direct, engine: Engine, *, tail_max: int = TAIL_MAX
    ) -> None:
        self._tail_max = tail_max
        self._nc = nc
        self._direct = direct
        self._engine = engine
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End every tail that is being followed."""
        self._closing.set()

    async def exists(self, tenant_id: str, run_id: str) -> bool:
        """Whether the log has the run, whatever the read models know."""
        self._require_broker()
        subject = subjects.run_events(tenant_id, run_id)
        return await self._direct.last(EVENTS, subject) is not None

    async def ends(self) -> dict[str, int] | None:
        """The last sequence of each log, None while the broker does not say."""
        patterns = {EVENTS: subjects.ANY_EVENTS, REGISTRY: subjects.ANY_REGISTRY}
        try:
            async with asyncio.timeout(ENDS_S):
                lasts = {
                    stream: await self._direct.last(stream, pattern)
                    for stream, pattern in patterns.items()
                }
        except (ReadUnavailable, TimeoutError):
            return None
        return {stream: last.seq if last else 0 for stream, last in lasts.items()}

    async def page(self, run: RunKey, after: int) -> list[Told]:
        """The next decisions after sequence `after`; empty at the end of what there is."""
        if datetime.now(UTC) - run.created_at > AGED:
            archived = await self._archived(run, after)
            if archived:
                return archived
        self._require_broker()
        subject = subjects.run_events(run.tenant_id, run.run_id)
        found = await self._direct.read_subject(EVENTS, subject, after=after, batch=PAGE)
        return [Told(each.seq, each.body) for each in found]

    async def decision(self, seq: int) -> bytes | None:
        """The body of the decision with this sequence, None where the log has it no more."""
        self._require_broker()
        found = await self._direct.by_seq(EVENTS, seq)
        return None if found is None else found.body

    async def decision_of(self, run: RunKey, seq: int) -> bytes | None:
        """The run's decision with this sequence, from the archive where the log has it no more."""
        found = await self.decision(seq)
        if found is not None:
            return found
        archived = await self._archived_last(run, seq)
        return archived.body if archived is not None and archived.seq == seq else None

    async def near(self, run: RunKey, seq: int) -> Told | None:
        """The run's decision with this sequence, where it has one, else one that came later.

        None where there is neither; where the log has none, the archive's last one before it.
        """
        found = await self.one(run, seq) if seq < SEQ_MAX else None
        if found is not None:
            return found
        last = await self._direct.last(EVENTS, subjects.run_events(run.tenant_id, run.run_id))
        return Told(last.seq, last.body) if last else await self._archived_last(run, seq)

    async def one(self, run: RunKey, seq: int) -> Told | None:
        """The decision with this sequence, None where there is none or it is not this run's."""
        self._require_broker()
        found = await self._direct.by_seq(EVENTS, seq)
        if found is not None:
            is_own = found.subject == subjects.run_events(run.tenant_id, run.run_id)
            return Told(found.seq, found.body) if is_own else None
        archived = await self._archived_last(run, seq)
        return archived if archived is not None and archived.seq == seq else None

    async def decision_in(self, tenant_id: str, seq: int) -> bytes | None:
        """A decision about any run of the tenant, from the archive where the log has it no more."""
        found = await self.decision(seq)
        if found is not None:
            return found
        wanted = {"tenant": tenant_id, "log": EVENTS_LOG, "seq": seq}
        async with tenant_session(self._engine, tenant_id) as session:
            row = await session.one(ARCHIVED_ONE, wanted)
        return None if row is None else bytes(row["body"])

    async def now(self) -> int:
        """The last sequence of the log of events."""
        self._require_broker()
        last = await self._direct.last(EVENTS, subjects.ANY_EVENTS)
        return last.seq if last else 0

    async def holds(self, after: int) -> bool:
        """Whether the log still has everything that comes after sequence `after`."""
        self._require_broker()
        oldest = await self._direct.read_from(EVENTS, 1, batch=1)
        return not oldest or oldest[0].seq <= after + 1

    async def first(self, tenant_id: str, run_id: str) -> bytes | None:
        """The body of a run's first decision, None where the log has nothing of the run."""
        subject = subjects.run_events(tenant_id, run_id)
        found = await self._direct.read_subject(EVENTS, subject, batch=1)
        return found[0].body if found else None

    def follow(
        self, run: RunKey, after: int, *, idle_s: float = IDLE_S
    ) -> AsyncGenerator[Told | None, None]:
        """Every decision after `after`, without end; None after each `idle_s` without one.

        Ends only when the API stops. Nothing is left out and nothing comes twice: the tail is
        checked against what came before, and gaps are read from the log.
        """
        subject = subjects.run_events(run.tenant_id, run.run_id)
        return self._follow(subject, partial(self.page, run), after, idle_s)

    def follow_tenant(
        self, tenant_id: str, after: int, *, idle_s: float = IDLE_S
    ) -> AsyncGenerator[Told | None, None]:
        """Every decision about any run of a tenant, as `follow`; `holds` says from where on."""
        pattern = subjects.any_run_events(tenant_id)
        return self._follow(pattern, partial(self._page_of, pattern), after, idle_s)

    async def _follow(
        self, subject: str, page: Page, after: int, idle_s: float
    ) -> AsyncGenerator[Told | None, None]:
        tail = Tail(self._nc, self._closing, self._tail_max)
        subscription = await self._nc.subscribe(subjects.live(subject), cb=tail.on_message)
        following = Following(page, tail, after)
        try:
            while not self._closing.is_set():
                yield await following.next(idle_s)
        finally:
            if not self._nc.is_closed:
                await subscription.unsubscribe()

    async def _page_of(self, pattern: str, after: int) -> list[Told]:
        self._require_broker()
        found = await self._direct.read_subject(EVENTS, pattern, after=after, batch=PAGE)
        return [Told(e.seq, e.body, run_id=e.subject.rpartition(".")[2]) for e in found]

    def _require_broker(self) -> None:
        """Raise `ReadUnavailable` now rather than after a read's time."""
        if not self._nc.is_connected:
            raise ReadUnavailable("the broker is away")

    async def _archived(self, run: RunKey, after: int) -> list[Told]:
        wanted = {
            "tenant": run.tenant_id,
            "log": EVENTS_LOG,
            "run": run.run_id,
            "after": after,
            "limit": ARCHIVED_PAGE,
        }
        async with tenant_session(self._engine, run.tenant_id) as session:
            rows = await session.all(ARCHIVED, wanted)
        return [Told(row["seq"], bytes(row["body"])) for row in rows]

    async def _archived_last(self, run: RunKey, upto: int) -> Told | None:
        wanted = {"tenant": run.tenant_id, "log": EVENTS_LOG, "run": run.run_id, "upto": upto}
        async with tenant_session(self._engine, run.tenant_id) as session:
            row = await session.one(ARCHIVED_LAST, wanted)
        return None if row is None else Told(row["seq"], bytes(row["body"]))
