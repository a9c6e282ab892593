"""What commands that come again have led to before, found in the history by their ids."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence

from penstock.domain.run.events import RunEvent
from penstock.infra.eventlog.log import EventLog, LogUnavailable, Stored
from penstock.messages.codec import decode_run_decision

Whole = Callable[[Sequence[RunEvent]], Awaitable[Sequence[RunEvent]]]
"""Events as the rules need them."""

LedTo = dict[str, list[tuple[str, RunEvent]]]
"""By the id of a command, events with their positions."""


class Precedents:
    """Looks them up, all that came again together in one reading.

    Of a long history only the end is read, from its last snapshot but one on. A command that comes
    again later than that owes nothing that a roll call has not found meanwhile.
    """

    def __init__(self, log: EventLog, whole: Whole) -> None:
        self._log = log
        self._whole = whole

    async def of(self, subject: str, ids: Collection[str], *, known: int, upto: int) -> LedTo:
        """What the commands with these ids have led to, in messages up to sequence `upto`.

        A `ContinueRun` leads to something else each time. known: the last message there is; a
        replica that does not have it will not do. Raises LogUnavailable.
        """
        found: LedTo = defaultdict(list)
        stored = await self._recent(subject) if ids else []
        if ids and known and (not stored or stored[-1].seq < known):
            raise LogUnavailable(f"{subject}: the replica that was read is behind")
        for message in stored:
            if message.seq > upto:
                break
            decision, first = decode_run_decision(message.body), 0
            for cause in decision.causes:
                if cause.id in ids:
                    led_to = await self._whole(decision.events[first : first + cause.events])
                    numbered = enumerate(led_to, first)
                    found[cause.id] += [(f"{message.seq}.{i}", event) for i, event in numbered]
                first += cause.events
        return found

    async def _recent(self, subject: str) -> list[Stored]:
        """A history from its last snapshot but one on, whole where there are not two."""
        last = await self._log.last(subject)
        if last is None:
            return []
        newest = decode_run_decision(last.body).snapshot
        stored = await self._since(subject, newest)
        if not newest or not stored:
            return stored
        return await self._since(subject, decode_run_decision(stored[0].body).snapshot)

    async def _since(self, subject: str, seq: int) -> list[Stored]:
        """A history from message `seq` on, 0 for all."""
        return await self._log.read(subject, after=max(seq - 1, 0))
