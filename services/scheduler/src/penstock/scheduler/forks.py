"""What a fork begins with: too large for the log, so that it is there by reference only.

The rules need it whole. It is brought along when a start is asked for and when a history is read,
and left out again of what is appended.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from penstock.domain.errors import Conflict
from penstock.domain.payload import ELSEWHERE, Payload
from penstock.domain.run.commands import RunCommand, StartRun
from penstock.domain.run.events import RunEvent, RunForked, RunQueued
from penstock.domain.run.snapshot import DECODER
from penstock.infra.blobs.port import BlobCorrupt, BlobMissing
from penstock.infra.eventlog.transact import Addressed
from penstock.scheduler.payloads import Payloads

HOLD_STATES = frozenset({RunForked, RunQueued})
"""The events that say from where another run goes on."""

STATE_MAX_BYTES = 32 * 1024 * 1024
"""Of a snapshot; in memory it is several times as large."""


class Forks:
    """Finds the states that runs begin with."""

    def __init__(self, payloads: Payloads) -> None:
        self._payloads = payloads

    async def asked(
        self, commands: Sequence[Addressed[RunCommand]]
    ) -> Sequence[Addressed[RunCommand]]:
        """The commands, each start of a fork with the state itself.

        Raises Conflict where that is too large, lost, or no state; and as `Payloads.text` does.
        """
        found = []
        for addressed in commands:
            command = addressed.command
            if isinstance(command, StartRun) and command.state is not None:
                state = await self._checked(command.state)
                addressed = addressed._replace(command=replace(command, state=state))  # noqa: PLW2901
            found.append(addressed)
        return found

    async def told(self, events: Sequence[RunEvent]) -> Sequence[RunEvent]:
        """The events, each fork with the state itself; raises as `Payloads.text` does."""
        found = []
        for event in events:
            state = event.state if isinstance(event, RunForked | RunQueued) else None
            if state is not None and not state.inline:
                event = replace(event, state=await self._payloads.opened(state))  # noqa: PLW2901
            found.append(event)
        return found

    async def _checked(self, state: Payload) -> Payload:
        if state.size > STATE_MAX_BYTES:
            said = f"a state has at most {STATE_MAX_BYTES} bytes, not {state.size}"
            raise Conflict(said, code="LIMIT_EXCEEDED")
        try:
            opened = state if state.inline else await self._payloads.opened(state)
            DECODER.decode(bytes(opened.inline))
        except (BlobMissing, BlobCorrupt, msgspec.MsgspecError) as error:
            raise Conflict("what the run would go on from is lost", code="STATE_LOST") from error
        return opened


def kept(events: Sequence[RunEvent]) -> Sequence[RunEvent]:
    """The events as the log keeps them: what is an object of its own is there by its name."""
    if HOLD_STATES.isdisjoint(map(type, events)):
        return events
    return [
        replace(event, state=closed(event.state))
        if isinstance(event, RunForked | RunQueued) and event.state is not None
        else event
        for event in events
    ]


def closed(state: Payload) -> Payload:
    """The payload without its bytes where they are an object of its own."""
    return replace(state, inline=ELSEWHERE) if state.blob is not None else state
