"""What every event log promises, asked of the one in memory and of the one on JetStream."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import nats
import pytest

from penstock.infra.eventlog.jetstream import JetStreamLog
from penstock.infra.eventlog.log import AppendUnknown, EventLog, Stored, VersionConflict
from penstock.infra.eventlog.memory import MemoryLog
from penstock.infra.eventlog.transact import BrokenChain
from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.nats.direct import BATCH, Direct
from penstock.infra.nats.publish import Publisher
from tests.contract.account import CODEC, Open, Opened, Pay, ledger, sent


def subject() -> str:
    return f"penstock.evt.contract.account.{uuid4()}"


class Deaf:
    """A log whose next acknowledgement, or next append altogether, gets lost on the way."""

    def __init__(self, log: EventLog, *, appends: bool) -> None:
        self.log = log
        self.appends = appends
        self.heard_all = False

    async def read(self, subject: str, *, after: int = 0) -> list[Stored]:
        return await self.log.read(subject, after=after)

    async def last(self, subject: str) -> Stored | None:
        return await self.log.last(subject)

    async def append(self, subject: str, body: bytes, *, expected: int) -> int:
        if self.heard_all:
            return await self.log.append(subject, body, expected=expected)
        self.heard_all = True
        if self.appends:
            await self.log.append(subject, body, expected=expected)
        raise AppendUnknown(subject)


class EventLogContract:
    async def test_an_empty_history_is_empty(self, log: EventLog) -> None:
        assert await log.read(subject()) == []

    async def test_what_is_appended_is_read_in_order(self, log: EventLog) -> None:
        history = subject()
        first = await log.append(history, b"one", expected=0)
        await log.append(subject(), b"another", expected=0)
        second = await log.append(history, b"two", expected=first)
        assert second > first > 0
        assert await log.read(history) == [(first, history, b"one"), (second, history, b"two")]
        assert await log.read(history, after=first) == [(second, history, b"two")]
        assert await log.read(history, after=second) == []

    async def test_a_stale_expectation_is_refused(self, log: EventLog) -> None:
        history = subject()
        first = await log.append(history, b"one", expected=0)
        for stale in (0, first + 1):
            with pytest.raises(VersionConflict):
                await log.append(history, b"two", expected=stale)
        assert len(await log.read(history)) == 1

    async def test_of_fifty_creators_one_wins(self, log: EventLog) -> None:
        history = subject()
        results = await asyncio.gather(
            *(log.append(history, b"%d" % n, expected=0) for n in range(50)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, int) for result in results) == 1
        assert sum(isinstance(result, VersionConflict) for result in results) == 49
        assert len(await log.read(history)) == 1

    @pytest.mark.parametrize("count", [BATCH, BATCH + 1, 2 * BATCH + 3])
    async def test_a_history_of_many_pages_is_read_whole(self, log: EventLog, count: int) -> None:
        history = subject()
        last = 0
        for number in range(count):
            last = await log.append(history, b"%d" % number, expected=last)
        bodies = [stored.body for stored in await log.read(history)]
        assert bodies == [b"%d" % number for number in range(count)]

    async def test_the_last_message_is_found_without_the_others(self, log: EventLog) -> None:
        history = subject()
        assert await log.last(history) is None
        first = await log.append(history, b"one", expected=0)
        second = await log.append(history, b"two", expected=first)
        assert await log.last(history) == Stored(second, history, b"two")

    async def test_a_subject_is_not_its_longer_namesake(self, log: EventLog) -> None:
        history = subject()
        await log.append(f"{history}-2", b"other", expected=0)
        assert await log.read(history) == []

    async def test_transactions_of_many_writers_lose_nothing(self, log: EventLog) -> None:
        history = subject()
        ledgers = [ledger(log) for _ in range(3)]
        await ledgers[0].transact(history, [sent(Open("ann"))])

        async def pay(writer: int) -> None:
            for number in range(5):
                await ledgers[writer].transact(history, [sent(Pay(f"{writer}-{number}", 1))])

        await asyncio.gather(*(pay(writer) for writer in range(3)))
        outcome = await ledger(log).transact(history, [sent(Open("ann"))])
        assert outcome.state.balance == 15
        assert len(outcome.state.payments) == 15

    @pytest.mark.parametrize("appends", [True, False])
    async def test_a_lost_acknowledgement_is_made_up_for(
        self, log: EventLog, appends: bool
    ) -> None:
        history = subject()
        outcome = await ledger(Deaf(log, appends=appends)).transact(history, [sent(Open("ann"))])
        assert [event for _, event in outcome.events] == [Opened("ann")]
        assert [stored.seq for stored in await log.read(history)] == [outcome.seq]

    async def test_a_broken_chain_fails_closed(self, log: EventLog) -> None:
        history = subject()
        outcome = await ledger(log).transact(history, [sent(Open("ann"))])
        forged = CODEC.encode([Opened("eve")], [], decision_id="x", at=1, previous_hash="f" * 64)
        await log.append(history, forged, expected=outcome.seq)
        with pytest.raises(BrokenChain):
            await ledger(log).transact(history, [sent(Pay("p", 1))])
        assert len(await log.read(history)) == 2


class TestMemoryLog(EventLogContract):
    @pytest.fixture
    def log(self) -> EventLog:
        return MemoryLog()


class TestJetStreamLog(EventLogContract):
    @pytest.fixture
    async def log(self, nats_url: str) -> AsyncIterator[EventLog]:
        await bootstrap(nats_url)
        nc = await nats.connect(nats_url)
        publisher, direct = Publisher(nc), Direct(nc)
        await publisher.start()
        await direct.start()
        yield JetStreamLog(publisher, direct)
        await direct.stop()
        await publisher.stop()
        await nc.close()
