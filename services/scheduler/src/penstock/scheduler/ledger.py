"""The ledger of runs: the run's rules over the event log, with definitions as graphs."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from penstock.domain.decider import Decider
from penstock.domain.run.commands import RunCommand, StartRun
from penstock.domain.run.decide import decide, play
from penstock.domain.run.events import RunEvent, RunQueued, RunSnapshotTaken, RunStarted
from penstock.domain.run.evolve import evolve
from penstock.domain.run.rest import at_rest, names_its_place
from penstock.domain.run.state import Run, unborn
from penstock.infra.definitions import Definitions
from penstock.infra.eventlog.cache import Cache
from penstock.infra.eventlog.log import EventLog
from penstock.infra.eventlog.reading import Archive
from penstock.infra.eventlog.transact import Addressed, Elsewhere, Ledger, never
from penstock.infra.nats import subjects
from penstock.messages.catalogue import RUN as RUN_KIND
from penstock.messages.codec import codec_for
from penstock.scheduler.forks import Forks, kept
from penstock.scheduler.snapshots import RunSnapshots

RUN: Decider[RunCommand, RunEvent, Run] = Decider(
    initial=unborn("", None),
    evolve=evolve,
    decide=decide,
    at_rest=at_rest,
    names_its_place=names_its_place,
    play=play,
)


class Beginnings:
    """Runs before their first event, each with the graph of its definition."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    async def begin(
        self, subject: str, events: Sequence[RunEvent], commands: Sequence[Addressed[RunCommand]]
    ) -> Run:
        """The unborn run of a subject; its definition is told by its start, past or to come."""
        about = subjects.parse_events(subject)
        starts = [event.start for event in events if isinstance(event, RunQueued)]
        starts += [event for event in events if isinstance(event, RunStarted)]
        starts += [event.start for event in events if isinstance(event, RunSnapshotTaken)]
        hashes = [start.definition for start in starts]
        hashes += [c.command.definition for c in commands if isinstance(c.command, StartRun)]
        graph = await self._definitions.graph(about.tenant, hashes[0]) if hashes else None
        return unborn(about.id, graph)


class Keeping(NamedTuple):
    """What keeps histories short, and where old ones are found."""

    snapshots: RunSnapshots
    archive: Archive
    is_old: Callable[[str], bool]


def run_ledger(
    log: EventLog,
    definitions: Definitions,
    forks: Forks,
    now: Callable[[], int],
    keeping: Keeping | None = None,
) -> Ledger[RunCommand, RunEvent, Run]:
    """The ledger of runs over a log; now: ms since the epoch.

    Without `keeping` histories are read whole, and what has left the log is not there.
    """
    return Ledger(
        log=log,
        cache=Cache(),
        decider=RUN,
        codec=codec_for(RUN_KIND),
        now=now,
        begin=Beginnings(definitions).begin,
        is_new=begins,
        trace_of=trace_of,
        elsewhere=Elsewhere(forks.asked, forks.told, kept),
        snapshots=keeping.snapshots if keeping is not None else None,
        archive=keeping.archive if keeping is not None else None,
        is_old=keeping.is_old if keeping is not None else never,
    )


def begins(commands: Sequence[Addressed[RunCommand]]) -> bool:
    """Whether a run is being started: then it very probably has no history yet."""
    return isinstance(commands[0].command, StartRun)


def trace_of(run: Run) -> str:
    """The trace of the request that began a run, empty before that."""
    return run.started.traceparent if run.started is not None else ""
