"""What forks go on from, where that is an object: the fold has to have it at hand."""

from msgspec.structs import replace

from penstock.domain.payload import inline
from penstock.domain.run.events import RunEvent, RunForked
from penstock.infra.blobs.port import BlobCorrupt, BlobMissing, Blobs, BlobsUnavailable
from penstock.messages.envelope import Decision


class StateMissing(Exception):
    """What a run goes on from cannot be read."""


class States:
    """Opens them; `blobs` is None where NATS is not reachable."""

    def __init__(self, blobs: Blobs | None) -> None:
        self._blobs = blobs

    async def opened(self, decision: Decision) -> Decision:
        """The decision with the state in it. Raises StateMissing."""
        if not any(isinstance(event, RunForked) for event in decision.events):
            return decision
        return replace(decision, events=[await self._whole(each) for each in decision.events])

    async def _whole(self, event: RunEvent) -> RunEvent:
        if not isinstance(event, RunForked) or event.state.blob is None:
            return event
        if self._blobs is None:
            raise StateMissing(f"object {event.state.blob}: NATS is away")
        try:
            return replace(event, state=inline(await self._blobs.get(event.state.blob)))
        except (BlobMissing, BlobCorrupt, BlobsUnavailable) as error:
            raise StateMissing(f"object {event.state.blob}: {error}") from error
