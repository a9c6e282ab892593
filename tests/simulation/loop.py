"""The simulated machine: one clock, one heap, many processes, no thread and no socket.

It is an event loop, so the coroutines that ship run in it unchanged; it is not asyncio's: time
stands still while code runs and jumps to the next entry, (moment, tie), of one heap. Whatever a
process has scheduled dies with it, in the middle of whatever it was doing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from heapq import heappop, heappush
from typing import Any, TypeVar

T = TypeVar("T")


class Process:
    """Something that can be killed, or stopped for a while.

    skew_ms: how wrong its wall clock is. asleep_until: it runs nothing before that moment.
    """

    __slots__ = ("alive", "asleep_until", "name", "skew_ms")

    def __init__(self, name: str, skew_ms: int = 0) -> None:
        self.name = name
        self.skew_ms = skew_ms
        self.alive = True
        self.asleep_until = 0.0


class Entry:
    """A callback that its process will run, unless it is dead or has thought better of it."""

    __slots__ = ("args", "callback", "context", "is_cancelled", "process", "when")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context | None,
        process: Process,
        when: float,
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.process = process
        self.when = when
        self.is_cancelled = False

    def cancel(self) -> None:
        """It will not run."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Whether it will not run."""
        return self.is_cancelled


class Unhandled(Exception):
    """Code that ships let an exception fall on the floor."""


class Loop(asyncio.AbstractEventLoop):
    """Runs entries in the order of (moment, tie). now: seconds since the world began."""

    def __init__(self) -> None:
        self.now = 0.0
        self.nature = Process("nature")
        self.process = self.nature
        self.unhandled: list[str] = []
        self._ready: deque[Entry] = deque()
        self._timed: list[tuple[float, int, Entry]] = []
        self._tie = 0

    # --- what asyncio's tasks and futures ask of a loop -----------------------------------------

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> "asyncio.Task[T]":
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Entry:
        entry = Entry(callback, args, context, self.process, self.now)
        self._ready.append(entry)
        return entry

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Entry:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Entry:
        entry = Entry(callback, args, context, self.process, when)
        self._push(entry)
        return entry

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What asyncio would log. A process that was killed has nothing to say."""
        error = context.get("exception")
        if self.process.alive and error is not None:
            self.unhandled.append(f"{context.get('message')}: {error!r}")

    # --- what the world asks of it ---------------------------------------------------------------

    def after(
        self, delay: float, process: Process, callback: Callable[..., object], *args: Any
    ) -> Entry:
        """Have a process run something later; nothing happens should it be dead by then."""
        entry = Entry(callback, args, None, process, self.now + delay)
        self._push(entry)
        return entry

    @contextmanager
    def acting_as(self, process: Process) -> Iterator[None]:
        """What is scheduled here belongs to this process."""
        before, self.process = self.process, process
        try:
            yield
        finally:
            self.process = before

    def run_until(self, moment: float) -> None:
        """Run everything up to a moment, then let the clock show it."""
        asyncio._set_running_loop(self)
        try:
            while self._ready or (self._timed and self._timed[0][0] <= moment):
                self._turn()
        finally:
            asyncio._set_running_loop(None)
        self.now = max(self.now, moment)

    def abandon(self) -> None:
        """Nothing of this world goes on: close what was begun, and what never was."""
        for task in asyncio.all_tasks(self):
            with suppress(RuntimeError):
                task.get_coro().close()
        self._ready.clear()
        self._timed.clear()

    def _push(self, entry: Entry) -> None:
        self._tie += 1
        heappush(self._timed, (max(entry.when, self.now), self._tie, entry))

    def _turn(self) -> None:
        if self._ready:
            entry = self._ready.popleft()
        else:
            self.now, _, entry = heappop(self._timed)
        if entry.is_cancelled or not entry.process.alive:
            return
        if entry.process.asleep_until > self.now:
            entry.when = entry.process.asleep_until
            self._push(entry)
            return
        self.process = entry.process
        if entry.context is None:
            entry.callback(*entry.args)
        else:
            entry.context.run(entry.callback, *entry.args)
        self.process = self.nature
