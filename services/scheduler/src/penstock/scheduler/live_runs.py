"""Which runs of a partition are live: what a scheduler has to look after when it takes it over.

The read model knows all but the newest; what the log has beyond the read model's checkpoint is
read from the log.
"""

from collections.abc import Iterable

from penstock.infra.nats import subjects
from penstock.infra.nats.direct import Direct, Recorded
from penstock.infra.nats.streams import EVENTS
from penstock.infra.postgres.engine import Engine, Session
from penstock.infra.postgres.tables import LIVE_STATUSES
from penstock.scheduler.watch import RunKey

LIVE_RUNS = """
    select tenant_id::text as tenant_id, id::text as id
    from penstock.runs
    where partition = %(partition)s and status = any(%(live)s)
"""
CHECKPOINT = "select seq from penstock.checkpoints where log = 'events'"

TAIL_MAX = 1_000_000
"""Messages read beyond the checkpoint; a projector further behind than that is down for long."""


class LiveRuns:
    """Finds live runs."""

    def __init__(self, engine: Engine, direct: Direct) -> None:
        self._engine = engine
        self._direct = direct

    async def of_partition(self, partition: int) -> list[RunKey]:
        """The runs of a partition that have not ended, as far as anybody can know now.

        Some may have ended since. Raises DatabaseUnavailable or ReadUnavailable.
        """
        async with self._engine.transaction() as session:
            seq = await checkpoint(session)
            rows = await session.all(
                LIVE_RUNS, {"partition": partition, "live": list(LIVE_STATUSES)}
            )
        known = dict.fromkeys(RunKey(row["tenant_id"], row["id"]) for row in rows)
        read = 0
        while read < TAIL_MAX:
            page = await self._direct.read_from(EVENTS, seq + 1)
            if not page:
                break
            known |= dict.fromkeys(runs_in(page, partition))
            seq = page[-1].seq
            read += len(page)
        return list(known)


async def checkpoint(session: Session) -> int:
    """The sequence of the last message of EVENTS that is in the read models, 0 for none."""
    row = await session.one(CHECKPOINT)
    return int(row["seq"]) if row is not None else 0


def runs_in(page: Iterable[Recorded], partition: int) -> list[RunKey]:
    """The runs of a partition that some messages are about."""
    named = [subjects.parse_events(message.subject) for message in page]
    return [
        RunKey(about.tenant, about.id)
        for about in named
        if about.kind == "run" and subjects.partition_of(about.id) == partition
    ]
