"""Telling executors to stop: once a second until the run has ended or gives them up.

A run that is being ended stops all of its steps; the body of such a cancel is empty. A run that
goes on without some of its steps names them, as `StepCancels`.
"""

import asyncio

from nats import errors
from nats.aio.client import Client

from penstock.infra.nats import subjects
from penstock.messages.envelope import StepCancels, encode
from penstock.scheduler.watch import RunKey

REPEAT_S = 1.0
TIMES_MAX = 6
"""A little longer than the grace that running steps have; then they are abandoned."""


STEPS_MAX = 1_024
"""Attempts named in one cancel; a run has fewer in hand at once."""

WHOLE = b""
"""The body of a cancel of all that a run has."""

Attempt = tuple[str, int]
"""The path of a step, and the number of one of its attempts."""


class Cancels:
    """Repeats the cancels of runs that are being brought to their ends, and of single attempts."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._left: dict[RunKey, int] = {}
        self._steps: dict[RunKey, dict[Attempt, int]] = {}
        self._wake = asyncio.Event()
        self._repeater: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Repeats from now on."""
        self._repeater = asyncio.create_task(self._repeat())

    async def stop(self) -> None:
        """Repeats no more."""
        if self._repeater is not None:
            self._repeater.cancel()
            await asyncio.gather(self._repeater, return_exceptions=True)

    def begin(self, key: RunKey) -> None:
        """Tell executors that hold steps of the run to stop, now and each second."""
        self._left[key] = TIMES_MAX
        self._wake.set()

    def stop_step(self, key: RunKey, step_id: str, attempt: int) -> None:
        """Tell executors to stop one attempt of a run that goes on, now and each second."""
        steps = self._steps.setdefault(key, {})
        if len(steps) < STEPS_MAX:
            steps[step_id, attempt] = TIMES_MAX
        self._wake.set()

    def end(self, key: RunKey) -> None:
        """The run has ended; what it had given up before may still have to be stopped."""
        self._left.pop(key, None)

    async def _repeat(self) -> None:
        while True:
            if not self._left and not self._steps:
                self._wake.clear()
                await self._wake.wait()
            for key in list(self._left):
                await self._tell(key)
            for key in list(self._steps):
                await self._tell_of_steps(key)
            try:
                await asyncio.wait_for(self._woken(), REPEAT_S)
            except TimeoutError:
                continue

    async def _woken(self) -> None:
        self._wake.clear()
        await self._wake.wait()

    async def _tell(self, key: RunKey) -> None:
        left = self._left.get(key, 0)
        if left <= 0:
            self._left.pop(key, None)
            return
        self._left[key] = left - 1
        await self._say(key, WHOLE)

    async def _tell_of_steps(self, key: RunKey) -> None:
        steps = self._steps.pop(key)
        body = encode(StepCancels(steps=tuple(steps)))
        left = {attempt: times - 1 for attempt, times in steps.items() if times > 1}
        if left:
            self._steps[key] = left
        await self._say(key, body)

    async def _say(self, key: RunKey, body: bytes) -> None:
        """Tell once; somebody who does not hear it hears the next one."""
        try:
            await self._nc.publish(subjects.cancel(key.tenant, key.run_id), body)
        except errors.Error:
            return
