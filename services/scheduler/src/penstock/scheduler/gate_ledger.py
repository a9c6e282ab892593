"""The ledger of gates: their rules over the event log, with snapshots, and the archive behind it.

A gate may stand for years, and longer unused than the log keeps anything: then it goes on from what
the archive has of it.
"""

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from penstock.domain.gate.commands import GateCommand
from penstock.domain.gate.decide import GATE
from penstock.domain.gate.events import GateEvent, GateSnapshotTaken
from penstock.domain.gate.snapshot import encoded
from penstock.domain.gate.state import Gate
from penstock.infra.eventlog.cache import Cache
from penstock.infra.eventlog.log import EventLog
from penstock.infra.eventlog.reading import Archive
from penstock.infra.eventlog.transact import Ledger
from penstock.infra.nats import subjects
from penstock.messages import catalogue
from penstock.messages.codec import codec_for
from penstock.scheduler.payloads import Payloads

EVERY = 1_000
"""Events between two snapshots at the least; more where many are there, as for runs."""


class GateSnapshots:
    """Takes and opens them."""

    def __init__(self, payloads: Payloads) -> None:
        self._payloads = payloads

    def is_due(self, gate: Gate, since: int) -> bool:
        """See Snapshots."""
        return since >= EVERY and since >= len(gate.holders) + len(gate.waiting)

    def is_live(self, _gate: Gate) -> bool:
        """See Snapshots. Somebody may always come."""
        return True

    async def taken(self, subject: str, gate: Gate, *, carried: bool = False) -> GateEvent:
        """See Snapshots. Raises `BlobsUnavailable`."""
        about = subjects.parse_events(subject)
        state = await self._payloads.made(encoded(gate), tenant=about.tenant, run_id=about.id)
        return GateSnapshotTaken(state=state, carried=carried)

    async def opened(self, event: GateEvent) -> GateEvent:
        """See Snapshots. Raises as `Payloads.opened` does."""
        assert isinstance(event, GateSnapshotTaken)
        return replace(event, state=await self._payloads.opened(event.state))

    def is_one(self, event: GateEvent) -> bool:
        """See Snapshots."""
        return isinstance(event, GateSnapshotTaken)


class GateStore(NamedTuple):
    """Where the histories of gates are. is_old: whether the log may have lost some of one."""

    log: EventLog
    payloads: Payloads
    archive: Archive
    is_old: Callable[[str], bool]


def gate_ledger(store: GateStore, now: Callable[[], int]) -> Ledger[GateCommand, GateEvent, Gate]:
    """The ledger; now: ms since the epoch."""
    return Ledger(
        log=store.log,
        cache=Cache(),
        decider=GATE,
        codec=codec_for(catalogue.GATE),
        now=now,
        snapshots=GateSnapshots(store.payloads),
        archive=store.archive,
        is_old=store.is_old,
    )
