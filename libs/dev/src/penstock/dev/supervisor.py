"""Keeps processes running: starts them, starts those again that die, stops them in order."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.dev.errors import ServerFailed, StackError, log_tail
from penstock.dev.exits import exited
from penstock.dev.kept import write_private
from penstock.dev.process import Launch, Process, set_aside, spawn

READY_WITHIN_S = 30.0
READY_POLL_S = 0.05
DEATHS_MAX = 3
"""So often a process may die on its first way up; later it is started again for ever."""
EXIT_WRONG_USE = 2
"""A process that leaves so has settings that no restart will mend."""
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
LIVED_S = 5.0
"""A process that lived so long is no crash loop: its next start waits the first pause again."""


def nothing() -> None:
    """No preparation."""


def never(_: str) -> bool:
    """No death is a refusal."""
    return False


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One process to keep.

    `is_ready` and `prepare` may block: they run in threads. `is_refusal` tells from the log a start
    that came too early from a crash. `stop_within_s` is its time to end before it is killed.
    """

    launch: Launch
    is_ready: Callable[[], bool]
    stop_within_s: float
    prepare: Callable[[], None] = nothing
    is_refusal: Callable[[str], bool] = never

    @property
    def name(self) -> str:
        """What the unit is called in pid files and messages."""
        return self.launch.name


class Kept:
    """A unit's life: its process of the moment, and the task that replaces it."""

    def __init__(self, unit: Unit, pid_file: Path, say: Callable[[str], None]) -> None:
        self.unit = unit
        self.process: Process | None = None
        self.deaths = 0
        self.failure: str | None = None
        self._pid_file = pid_file
        self._say = say
        self._life: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start it, and again whenever it ends."""
        set_aside(self.unit.launch.log)
        self._life = asyncio.create_task(self._live(), name=f"keep {self.unit.name}")

    async def _live(self) -> None:
        pause = BACKOFF_FIRST_S
        while True:
            started, since = time.monotonic(), _size(self.unit.launch.log)
            end = await self._one_life()
            said = log_tail(self.unit.launch.log, since)
            if self.unit.is_refusal(said):
                await asyncio.sleep(BACKOFF_FIRST_S)
                continue
            self._note(end, said)
            pause = BACKOFF_FIRST_S if time.monotonic() - started > LIVED_S else pause
            self._say(f"{self.unit.name} {end}, again in {pause:.1f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, BACKOFF_MAX_S)

    async def _one_life(self) -> str:
        """Start it and wait for its end; how it ended."""
        try:
            # Only this runs in a thread: the leash would end a child with the thread that made it.
            await asyncio.to_thread(self.unit.prepare)
            self.process = spawn(self.unit.launch)
        except (OSError, StackError) as error:
            return f"could not start: {error}"
        write_private(self._pid_file, f"{self.process.pid}\n")
        return f"ended with code {await exited(self.process)}"

    def _note(self, end: str, said: str) -> None:
        self.deaths += 1
        wrong_use = self.process is not None and self.process.returncode == EXIT_WRONG_USE
        if wrong_use or self.deaths >= DEATHS_MAX:
            self.failure = f"{self.unit.name} {end}\n{said}".rstrip()

    async def until_ready(self) -> None:
        """Return once it is ready; `ServerFailed` when it keeps dying or takes too long."""
        deadline = time.monotonic() + READY_WITHIN_S
        while not await asyncio.to_thread(self.unit.is_ready):
            if self.failure is not None:
                raise ServerFailed(self.failure)
            if time.monotonic() > deadline:
                said = log_tail(self.unit.launch.log)
                raise ServerFailed(
                    f"{self.unit.name} is not ready after {READY_WITHIN_S:.0f} s:\n{said}"
                )
            await asyncio.sleep(READY_POLL_S)

    async def end(self, by: float) -> None:
        """Stop it for good, gracefully while its time lasts, and at the latest at `by`."""
        await self._let_go()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.unit.launch.stop_signal)
            try:
                async with asyncio.timeout(min(self.unit.stop_within_s, by - time.monotonic())):
                    await exited(self.process)
            except TimeoutError:
                self._say(f"{self.unit.name} was killed: still there after its time to stop")
                self.process.kill()
                await exited(self.process)
        self._pid_file.unlink(missing_ok=True)

    async def _let_go(self) -> None:
        if self._life is not None:
            self._life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._life

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()


class Supervisor:
    """The processes of one stack; `run` is the folder of their pid files."""

    def __init__(self, run: Path, say: Callable[[str], None]) -> None:
        self._run = run
        self._say = say
        self._kept: dict[str, Kept] = {}

    async def start(self, units: Sequence[Unit]) -> None:
        """Start all at once and return when each is ready."""
        begun = [Kept(unit, self._run / f"{unit.name}.pid", self._say) for unit in units]
        for kept in begun:
            self._kept[kept.unit.name] = kept
            kept.begin()
        try:
            async with asyncio.TaskGroup() as tasks:
                for kept in begun:
                    tasks.create_task(kept.until_ready())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def stop(self, names: Collection[str], *, by: float = math.inf) -> None:
        """Stop those of `names` that are kept, together; none is there after `by` (monotonic)."""
        ending = [self._kept[name] for name in names if name in self._kept]
        await asyncio.gather(*(kept.end(by) for kept in ending))
        for kept in ending:
            del self._kept[kept.unit.name]

    async def restart(self, names: Collection[str]) -> None:
        """Stop and start those of `names` that are kept."""
        units = [self._kept[name].unit for name in names if name in self._kept]
        await self.stop(names)
        await self.start(units)

    def kill(self) -> None:
        """End all at once; nothing more is started."""
        for kept in self._kept.values():
            kept.kill()

    def pid(self, name: str) -> int:
        """The id of the process that runs as `name` at this moment."""
        kept = self._kept.get(name)
        if kept is None or kept.process is None:
            raise ServerFailed(f"{name} does not run")
        return kept.process.pid


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0
