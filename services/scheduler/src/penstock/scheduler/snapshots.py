"""Snapshots of runs, so that a long history costs no more to go on with than a short one."""

from msgspec.structs import replace

from penstock.domain.run.events import RunEvent, RunSnapshotTaken
from penstock.domain.run.snapshot import encoded, taken, weight
from penstock.domain.run.state import Run
from penstock.infra.nats import subjects
from penstock.scheduler.payloads import Payloads

EVERY = 1_000
"""Events between two snapshots at the least; more where the state itself is larger, so that what
snapshots cost stays in proportion to what they cover."""


class RunSnapshots:
    """Takes and opens them."""

    def __init__(self, payloads: Payloads) -> None:
        self._payloads = payloads

    def is_due(self, run: Run, since: int) -> bool:
        """See Snapshots. A run that has ended is never read again to go on with it."""
        return since >= EVERY and not run.is_over and since >= weight(run)

    def is_live(self, run: Run) -> bool:
        """See Snapshots."""
        return run.start is not None and not run.is_over

    async def taken(self, subject: str, run: Run, *, carried: bool = False) -> RunEvent:
        """See Snapshots. Raises `BlobsUnavailable`."""
        about = subjects.parse_events(subject)
        state = await self._payloads.made(encoded(run), tenant=about.tenant, run_id=about.id)
        return taken(run, state, carried=carried)

    async def opened(self, event: RunEvent) -> RunEvent:
        """See Snapshots. Raises as `Payloads.opened` does."""
        assert isinstance(event, RunSnapshotTaken)
        return replace(event, state=await self._payloads.opened(event.state))

    def is_one(self, event: RunEvent) -> bool:
        """See Snapshots."""
        return isinstance(event, RunSnapshotTaken)
