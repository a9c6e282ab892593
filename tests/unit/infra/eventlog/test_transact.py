"""Transactions on the log in memory: what was promised holds whatever the log does."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.errors import Conflict, Contention, NotFound
from penstock.domain.payload import of_value
from penstock.infra.eventlog.cache import Cache
from penstock.infra.eventlog.draft import BYTES_MAX, EVENTS_MAX, Addressed
from penstock.infra.eventlog.log import LogUnavailable, Stored, VersionConflict
from penstock.infra.eventlog.memory import Faults, MemoryLog
from penstock.infra.eventlog.transact import ATTEMPTS_MAX, Ledger
from penstock.messages.codec import Undecodable
from penstock.messages.envelope import NO_HASH, chain_hash
from tests.contract.account import (
    ACCOUNT,
    CODEC,
    Account,
    Command,
    Event,
    Open,
    Opened,
    Paid,
    Pay,
    ledger,
    sent,
)

SUBJECT = "penstock.evt.t.account.a"


async def opened(log: MemoryLog) -> Ledger[Command, Event, Account]:
    book = ledger(log)
    await book.transact(SUBJECT, [sent(Open("ann"))])
    return book


async def test_commands_of_one_call_are_one_message() -> None:
    log = MemoryLog()
    outcome = await ledger(log).transact(
        SUBJECT, [sent(Open("ann"), "c-1"), sent(Pay("p", 5), "c-2"), sent(Pay("p", 5), "c-3")]
    )
    assert outcome.state == Account("ann", 5, frozenset({"p"}))
    assert outcome.events == [("1.0", Opened("ann")), ("1.1", Paid("p", 5))]
    assert [(a.position, a.replayed) for a in outcome.answers] == [
        ("1.0", False),
        ("1.1", False),
        ("1.1", True),
    ]
    decision = CODEC.decode(log.messages[0].body)
    assert [(cause.id, cause.events) for cause in decision.causes] == [("c-1", 1), ("c-2", 1)]
    assert decision.at == 1_000
    assert decision.previous_hash == NO_HASH


async def test_messages_are_chained() -> None:
    log = MemoryLog()
    book = await opened(log)
    await book.transact(SUBJECT, [sent(Pay("p", 1))])
    second = CODEC.decode(log.messages[1].body)
    assert second.previous_hash == chain_hash(NO_HASH, log.messages[0].body)


async def test_a_repeated_command_appends_nothing_and_is_told_where_the_history_ends() -> None:
    log = MemoryLog()
    book = await opened(log)
    outcome = await book.transact(SUBJECT, [sent(Open("ann"))])
    assert len(log.messages) == 1
    assert outcome.events == []
    assert outcome.answers == [("1.0", None, True)]


async def test_a_refused_command_stops_nobody() -> None:
    book = await opened(MemoryLog())
    outcome = await book.transact(
        SUBJECT, [sent(Pay("p", 1)), sent(Open("eve")), sent(Pay("q", 2))]
    )
    assert [type(answer.refusal) for answer in outcome.answers] == [
        type(None),
        Conflict,
        type(None),
    ]
    assert outcome.state.balance == 3


async def test_a_refusal_on_an_empty_history_has_no_position() -> None:
    outcome = await ledger(MemoryLog()).transact(SUBJECT, [sent(Pay("p", 1))])
    (answer,) = outcome.answers
    assert isinstance(answer.refusal, NotFound)
    assert (outcome.seq, answer.position, answer.replayed) == (0, None, False)


async def test_what_exceeds_the_events_of_a_decision_is_left_to_the_caller() -> None:
    book = await opened(MemoryLog())
    half = EVENTS_MAX // 2
    commands = [sent(Pay(f"p{n}", 1, times=half)) for n in range(3)]
    outcome = await book.transact(SUBJECT, commands)
    assert outcome.taken == 2
    assert len(outcome.events) == EVENTS_MAX
    rest = await book.transact(SUBJECT, commands[outcome.taken :])
    assert rest.state.balance == 3 * half


async def test_what_exceeds_the_bytes_of_a_decision_is_left_to_the_caller() -> None:
    log = MemoryLog()
    book = await opened(log)
    note = of_value("x" * 50_000)
    commands = [sent(Pay(f"p{n}", 1, note)) for n in range(30)]
    taken = 0
    while taken < len(commands):
        taken += (await book.transact(SUBJECT, commands[taken:])).taken
    assert max(len(stored.body) for stored in log.messages) <= BYTES_MAX
    assert (await book.transact(SUBJECT, commands)).state.balance == 30


async def test_state_keeps_small_payloads_and_the_places_of_large_ones() -> None:
    log = MemoryLog()
    book = await opened(log)
    small, large = of_value("small"), of_value("x" * 2_000)
    outcome = await book.transact(SUBJECT, [sent(Pay("p", 1, small)), sent(Pay("q", 1, large))])
    kept = outcome.state.notes
    assert bytes(kept[0].inline) == b'"small"'
    assert (kept[1].at, bytes(kept[1].inline)) == ("2.1/note", b"")
    assert [event for _, event in outcome.events] == [Paid("p", 1, small), Paid("q", 1, large)]
    assert (await ledger(log).transact(SUBJECT, [sent(Open("ann"))])).state == outcome.state


class Rival(MemoryLog):
    """Somebody else pays in before each of the first `races` appends."""

    def __init__(self, races: int) -> None:
        super().__init__()
        self.races = races

    async def append(self, subject: str, body: bytes, *, expected: int) -> int:
        if self.races > 0 and expected > 0:
            self.races -= 1
            other = Pay(f"rival-{self.races}", 100)
            races, self.races = self.races, 0
            await ledger(self).transact(subject, [sent(other, "rival")])
            self.races = races
        return await super().append(subject, body, expected=expected)


async def test_a_lost_race_is_decided_again_from_what_the_winner_left() -> None:
    log = Rival(races=2)
    book = await opened(log)
    outcome = await book.transact(SUBJECT, [sent(Pay("p", 1))])
    assert outcome.state.balance == 201
    assert outcome.seq == 4


async def test_whoever_loses_every_race_says_so() -> None:
    log = Rival(races=ATTEMPTS_MAX)
    book = await opened(log)
    with pytest.raises(Contention):
        await book.transact(SUBJECT, [sent(Pay("p", 1))])


async def test_an_append_that_got_in_without_an_acknowledgement_is_recognised() -> None:
    log = MemoryLog(faults=Faults(lost_ack=1.0))
    outcome = await ledger(log).transact(SUBJECT, [sent(Open("ann"))])
    assert outcome.events == [("1.0", Opened("ann"))]
    assert outcome.answers == [("1.0", None, False)]
    assert len(log.messages) == 1


class LateArrival(MemoryLog):
    """The first append gets in only after it was given up, and somebody else follows at once."""

    def __init__(self) -> None:
        super().__init__(faults=Faults(lost=1.0))
        self.late: bytes | None = None

    async def append(self, subject: str, body: bytes, *, expected: int) -> int:
        if self.late is None:
            self.late = body
        elif self.faults.lost:
            self.faults = Faults()
            await super().append(subject, self.late, expected=expected)
            await ledger(self).transact(subject, [sent(Pay("other", 7), "other")])
        return await super().append(subject, body, expected=expected)


async def test_a_copy_that_arrives_late_is_still_our_own() -> None:
    log = LateArrival()
    outcome = await ledger(log).transact(SUBJECT, [sent(Open("ann"))])
    assert outcome.events == [("1.0", Opened("ann"))]
    assert (outcome.seq, outcome.state.balance) == (2, 7)
    assert len(log.messages) == 2


async def test_without_any_acknowledgement_nothing_is_claimed() -> None:
    log = MemoryLog(faults=Faults(lost=1.0))
    with pytest.raises(LogUnavailable):
        await ledger(log).transact(SUBJECT, [sent(Open("ann"))])
    assert log.messages == []


class Counted(MemoryLog):
    reads = 0

    async def read(self, subject: str, *, after: int = 0) -> list[Stored]:
        self.reads += 1
        return await super().read(subject, after=after)


async def test_a_held_history_is_not_read_again() -> None:
    log = Counted()
    book = await opened(log)
    for number in range(5):
        await book.transact(SUBJECT, [sent(Pay(f"p{number}", 1))])
    assert log.reads == 1


async def test_an_empty_history_is_never_held() -> None:
    book = ledger(MemoryLog())
    await book.transact(SUBJECT, [sent(Pay("p", 1))])
    assert len(book.cache) == 0


async def test_an_undecodable_message_stops_its_own_history_only() -> None:
    log = MemoryLog()
    await log.append(SUBJECT, b"{}", expected=0)
    book = ledger(log)
    with pytest.raises(Undecodable):
        await book.transact(SUBJECT, [sent(Open("ann"))])
    assert (await book.transact(f"{SUBJECT}-2", [sent(Open("ann"))])).seq == 2


async def test_the_initial_state_is_asked_for_with_all_that_is_known() -> None:
    log = MemoryLog()
    await opened(log)
    asked: list[tuple[str, Sequence[Event], Sequence[Addressed[Command]]]] = []

    async def begin(
        subject: str, events: Sequence[Event], commands: Sequence[Addressed[Command]]
    ) -> Account:
        asked.append((subject, events, commands))
        return Account(balance=1_000)

    book = Ledger(log=log, cache=Cache(), decider=ACCOUNT, codec=CODEC, now=lambda: 1, begin=begin)
    pay = [sent(Pay("p", 1))]
    assert (await book.transact(SUBJECT, pay)).state.balance == 1_001
    assert asked == [(SUBJECT, [Opened("ann")], pay)]


async def test_an_archive_that_knows_better_refuses_for_an_empty_history() -> None:
    async def absent(_subject: str, _commands: Sequence[Addressed[Command]]) -> None:
        raise Conflict("finished long ago")

    log = MemoryLog()
    book = Ledger(
        log=log, cache=Cache(), decider=ACCOUNT, codec=CODEC, now=lambda: 1, absent=absent
    )
    outcome = await book.transact(SUBJECT, [sent(Open("ann")), sent(Pay("p", 1))])
    assert [str(answer.refusal) for answer in outcome.answers] == ["finished long ago"] * 2
    assert outcome.taken == 2
    assert log.messages == []


@given(
    seed=st.integers(0, 2**32),
    conflict=st.floats(0, 0.4),
    lost_ack=st.floats(0, 0.4),
    lost=st.floats(0, 0.4),
    unavailable=st.floats(0, 0.2),
)
def test_every_command_takes_effect_once_whatever_the_log_does(
    seed: int, conflict: float, lost_ack: float, lost: float, unavailable: float
) -> None:
    faults = Faults(conflict=conflict, lost_ack=lost_ack, lost=lost, unavailable=unavailable)
    log = MemoryLog(faults=faults, seed=seed)

    async def until_answered(book: Ledger[Command, Event, Account], command: Command) -> None:
        while True:
            try:
                (answer,) = (await book.transact(SUBJECT, [sent(command)])).answers
            except (LogUnavailable, Contention, VersionConflict):
                continue
            assert answer.refusal is None
            return

    async def write(name: str) -> None:
        book = ledger(log, entries_max=1)
        await until_answered(book, Open("ann"))
        for number in range(4):
            await until_answered(book, Pay(f"{name}-{number}", 1))

    async def life() -> Account:
        await asyncio.gather(write("a"), write("b"), write("c"))
        log.faults = Faults()
        return (await ledger(log).transact(SUBJECT, [sent(Open("ann"))])).state

    with asyncio.Runner() as runner:
        account = runner.run(life())
    paid = [e for m in log.messages for e in CODEC.decode(m.body).events if isinstance(e, Paid)]
    assert account.balance == len(paid) == len({each.payment for each in paid}) == 12
