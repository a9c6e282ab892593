"""Following decisions as they come: first what is stored, then what the log republishes.

Whether something was left out is told by sequences: every message names the one before it on its
own subject. A gap, a lost connection, or a reader that is far behind sends back to the log.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg

TAIL_MAX = 1000
"""Decisions that one slow reader may be behind; beyond, it reads them from the log again."""
TAIL_MAX_BYTES = 4 * 1024 * 1024
LAGGING_S = 0.05
"""Pause before a read is repeated that a lagging replica answered."""


class Told(NamedTuple):
    """One decision. before: sequence of the one before it, None where that is not told.

    run_id: empty where the reader knows whose history it is.
    """

    seq: int
    body: bytes
    before: int | None = None
    run_id: str = ""


Page = Callable[[int], Awaitable[list[Told]]]
"""The next decisions after a sequence; empty at the end of what there is."""


class Tail:
    """What the log republishes on a subject or pattern, bounded, with its gaps noticed."""

    def __init__(self, nc: Client, closing: asyncio.Event, tail_max: int = TAIL_MAX) -> None:
        self._nc = nc
        self._closing = closing
        self._heard: asyncio.Queue[Told] = asyncio.Queue(tail_max)
        self._bytes = 0
        self._newest = 0
        self._dropped = False
        self._connection = self._connections()

    async def on_message(self, msg: Msg) -> None:
        """Takes a message in; from one on that finds no room, all is read from the log later."""
        headers = msg.headers or {}
        told = Told(
            int(headers.get("Nats-Sequence", "0")),
            msg.data,
            int(headers.get("Nats-Last-Sequence", "0")),
            msg.subject.rpartition(".")[2],
        )
        self._newest = max(self._newest, told.seq)
        if self._heard.full() or self._bytes > TAIL_MAX_BYTES:
            self._dropped = True
        if not self._dropped:
            self._bytes += len(told.body)
            self._heard.put_nowait(told)

    async def next(self, last: int, idle_s: float) -> Told | None:
        """The decision that follows `last`; None when it has to be looked for in the log."""
        while True:
            told = await self._get(idle_s)
            if told is None or told.seq > last:
                break
        if told is None or told.before is None or told.before <= last:
            return told
        return None

    def is_behind(self, last: int) -> bool:
        """Whether something was heard of that comes after `last`."""
        return self._newest > last

    def is_whole(self) -> bool:
        """Whether nothing can be missing from what was heard."""
        return not self._dropped and self._connection == self._connections()

    def renew(self) -> None:
        """Begin anew: what was heard so far is read from the log."""
        while not self._heard.empty():
            self._heard.get_nowait()
        self._bytes, self._dropped = 0, False
        self._connection = self._connections()

    def _connections(self) -> int:
        return int(self._nc.stats["reconnects"])

    async def _get(self, idle_s: float) -> Told | None:
        if not self._heard.empty():
            return self._taken(self._heard.get_nowait())
        getting = asyncio.ensure_future(self._heard.get())
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            done, _ = await asyncio.wait(
                (getting, closing), timeout=idle_s, return_when=asyncio.FIRST_COMPLETED
            )
            return self._taken(getting.result()) if getting in done else None
        finally:
            getting.cancel()
            closing.cancel()

    def _taken(self, told: Told) -> Told:
        self._bytes -= len(told.body)
        return told


class Following:
    """One reader's way: through what is stored, then with what comes."""

    def __init__(self, page: Page, tail: Tail, after: int) -> None:
        self._read = page
        self._tail = tail
        self._last = after
        self._page: deque[Told] = deque()
        self._caught_up = False

    async def next(self, idle_s: float) -> Told | None:
        """The decision that follows; None when nothing came for `idle_s`, or the API stops."""
        while not self._page:
            if self._caught_up and self._tail.is_whole():
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
        if not self._tail.is_whole():
            self._tail.renew()
        self._page.extend(await self._read(self._last))
        if self._page:
            return
        if self._tail.is_behind(self._last):
            await asyncio.sleep(LAGGING_S)
        else:
            self._caught_up = True
