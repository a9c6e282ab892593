"""Payloads of tasks that lie where the log ends: brought along, for executors read no archive."""

from msgspec.structs import replace

from penstock.domain.payload import Payload
from penstock.messages.envelope import Task
from penstock.scheduler.horizon import Horizon
from penstock.scheduler.payloads import Payloads


class Aged:
    """Finds them, in the log or in the archive."""

    def __init__(self, payloads: Payloads, horizon: Horizon) -> None:
        self._payloads = payloads
        self._horizon = horizon

    def are_in(self, task: Task) -> bool:
        """Whether a task reads something that the log has no more, or will not have for long."""
        return any(map(self._is_aged, task.payloads.values()))

    async def brought(self, task: Task) -> Task:
        """The task with these payloads inline, or by their blobs. Raises `LogUnavailable`.

        One that is nowhere any more keeps its place; the executor will say that it is lost.
        """
        found = {
            name: await self._payloads.carried(payload) if self._is_aged(payload) else payload
            for name, payload in task.payloads.items()
        }
        return replace(task, payloads=found)

    def _is_aged(self, payload: Payload) -> bool:
        return payload.at is not None and int(payload.at.partition(".")[0]) < self._horizon.seq
