"""What a command that comes again has led to is found at the end of the history."""

from collections.abc import Sequence

import pytest

from penstock.domain.run.events import RunEvent
from penstock.infra.eventlog.log import LogUnavailable
from penstock.infra.eventlog.memory import MemoryLog
from penstock.messages.codec import decode_run_decision
from penstock.scheduler import snapshots
from penstock.scheduler.precedents import Precedents
from tests.unit.scheduler.test_ledger import SUBJECT, lived, looped, taken


async def unopened(events: Sequence[RunEvent]) -> Sequence[RunEvent]:
    return events


class Counting(MemoryLog):
    """Remembers from where it was read."""

    reads: list[int]

    async def read(self, subject: str, *, after: int = 0) -> list:  # type: ignore[type-arg]
        self.reads = [*getattr(self, "reads", []), after]
        return await super().read(subject, after=after)


async def test_each_command_has_its_own_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "EVERY", 20)
    log = Counting()
    await lived(log, looped(200), 120)
    precedents, last = Precedents(log, unopened), log.messages[-1].seq
    log.reads = []
    found = await precedents.of(SUBJECT, {"119", "118", "1"}, known=last, upto=last)
    assert set(found) <= {"119", "118"}
    for command, led_to in found.items():
        for position, event in led_to:
            seq, _, index = position.partition(".")
            decision = decode_run_decision(log.messages[int(seq) - 1].body)
            assert decision.events[int(index)] == event
            assert command in {cause.id for cause in decision.causes}
    assert min(log.reads[-1:]) >= taken(log)[-3] - 1


async def test_the_beginning_of_a_short_history_is_found_too() -> None:
    log = MemoryLog()
    await lived(log, looped(2), 4)
    last = log.messages[-1].seq
    found = await Precedents(log, unopened).of(SUBJECT, {"0"}, known=last, upto=last)
    assert next(position for position, _ in found["0"]) == "1.0"
    assert not await Precedents(log, unopened).of(SUBJECT, {"0"}, known=last, upto=0)


async def test_with_one_snapshot_the_history_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "EVERY", 20)
    log, lives = MemoryLog(), 0
    while not taken(log):
        log, lives = MemoryLog(), lives + 1
        await lived(log, looped(200), lives)
    assert len(taken(log)) == 1
    last = log.messages[-1].seq
    found = await Precedents(log, unopened).of(SUBJECT, {"0"}, known=last, upto=last)
    assert next(position for position, _ in found["0"]) == "1.0"


async def test_a_replica_that_is_behind_will_not_do() -> None:
    log = MemoryLog()
    await lived(log, looped(2), 4)
    with pytest.raises(LogUnavailable):
        await Precedents(log, unopened).of(SUBJECT, {"0"}, known=99, upto=99)
