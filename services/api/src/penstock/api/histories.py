"""A run's history: pages of it from the log or the archive, and its tail as it grows."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg

from penstock.api.positions import EVENTS as EVENTS_LOG
from penstock.infra.nats import subjects
from penstock.infra.nats.direct import Direct, ReadUnavailable
from penstock.infra.nats.streams import EVENTS, EVENTS_WINDOW_S, REGISTRY
from penstock.infra.postgres.engine import Engine
from penstock.infra.postgres.tenant import tenant_session

PAGE = 256
"""Decisions read at once."""
AGED = timedelta(seconds=EVENTS_WINDOW_S * 0.9)
"""A run that began longer ago may have lost its first decisions to the window."""
TAIL_MAX = 1000
"""Decisions that one slow reader may be behind; beyond, it reads them from the log again."""
IDLE_S = 10.0
"""After so long without a word the log is read: a message may have been lost with a connection."""
ENDS_S = 1.0
LAGGING_S = 0.05
"""Pause before a read is repeated that a lagging replica answered."""

ARCHIVED = """
select seq, body from penstock.event_archive
where tenant_id = %(tenant)s and log = %(log)s and kind = 'run' and subject_id = %(run)s
  and seq > %(after)s
order by seq limit %(limit)s
"""


class RunKey(NamedTuple):
    """A run as its history is found.

    correlation_id: the request that began it all, to which belongs what nobody else asked for.
    """

    tenant_id: str
    run_id: str
    created_at: datetime
    correlation_id: str = ""


class Told(NamedTuple):
    """One decision. before: sequence of the one before it, None where that is not told."""

    seq: int
    body: bytes
    before: int | None = None


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
        archived = await self._archived(run, seq - 1)
        return archived[0].body if archived and archived[0].seq == seq else None

    async def follow(
        self, run: RunKey, after: int, *, idle_s: float = IDLE_S
    ) -> AsyncGenerator[Told | None, None]:
        """Every decision after `after`, without end; None after each `idle_s` without one.

        Ends only when the API stops. Nothing is left out and nothing comes twice: the tail is
        checked against what came before, and gaps are read from the log.
        """
        async with self._tail(run) as tail:
            following = Following(self, run, tail, after)
            while not self._closing.is_set():
                yield await following.next(idle_s)

    @asynccontextmanager
    async def _tail(self, run: RunKey) -> AsyncIterator["Tail"]:
        tail = Tail(self._closing, self._tail_max)
        subject = subjects.live(subjects.run_events(run.tenant_id, run.run_id))
        subscription = await self._nc.subscribe(subject, cb=tail.on_message)
        try:
            yield tail
        finally:
            if not self._nc.is_closed:
                await subscription.unsubscribe()

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
            "limit": PAGE,
        }
        async with tenant_session(self._engine, run.tenant_id) as session:
            rows = await session.all(ARCHIVED, wanted)
        return [Told(row["seq"], bytes(row["body"])) for row in rows]


class Following:
    """One reader's way along a history: through what is stored, then with what comes."""

    def __init__(self, histories: Histories, run: RunKey, tail: "Tail", after: int) -> None:
        self._histories = histories
        self._run = run
        self._tail = tail
        self._last = after
        self._page: deque[Told] = deque()
        self._caught_up = False

    async def next(self, idle_s: float) -> Told | None:
        """The decision that follows; None when nothing came for `idle_s`, or the API stops."""
        while not self._page:
            if self._caught_up:
                told = await self._tail.next(self._last, idle_s)
                if told is not None:
                    self._page.append(told)
                    break
                self._caught_up = False
                if not self._tail.is_behind(self._last):
                    return None
            await self._catch_up()
        told = self._page.popleft()
        self._last = told.seq
        return told

    async def _catch_up(self) -> None:
        self._page.extend(await self._histories.page(self._run, self._last))
        if self._page:
            return
        if self._tail.is_behind(self._last):
            await asyncio.sleep(LAGGING_S)
        else:
            self._caught_up = True


class Tail:
    """What the log republishes about one run, bounded, with its gaps noticed."""

    def __init__(self, closing: asyncio.Event, tail_max: int) -> None:
        self._closing = closing
        self._heard: asyncio.Queue[Told] = asyncio.Queue(tail_max)
        self._newest = 0

    async def on_message(self, msg: Msg) -> None:
        """Takes a message in; one that finds no room is read from the log later."""
        headers = msg.headers or {}
        told = Told(
            int(headers.get("Nats-Sequence", "0")),
            msg.data,
            int(headers.get("Nats-Last-Sequence", "0")),
        )
        self._newest = max(self._newest, told.seq)
        if not self._heard.full():
            self._heard.put_nowait(told)

    async def next(self, last: int, idle_s: float) -> Told | None:
        """The decision that follows `last`; None when it has to be looked for in the log."""
        while True:
            told = await self._get(idle_s)
            if told is None or told.seq > last:
                break
        if told is None or told.before in {None, last}:
            return told
        return None

    def is_behind(self, last: int) -> bool:
        """Whether something was heard of that comes after `last`."""
        return self._newest > last

    async def _get(self, idle_s: float) -> Told | None:
        if not self._heard.empty():
            return self._heard.get_nowait()
        getting = asyncio.ensure_future(self._heard.get())
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            done, _ = await asyncio.wait(
                (getting, closing), timeout=idle_s, return_when=asyncio.FIRST_COMPLETED
            )
            return getting.result() if getting in done else None
        finally:
            getting.cancel()
            closing.cancel()
