"""A flood of acts becomes few events that add up, whatever the log does meanwhile."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from penstock.api.audit import witness as witnessing
from penstock.api.audit.window import KIND_MAX, RESTS_MAX, Seen
from penstock.api.audit.witness import TENANTS_MAX, Pace, Witness
from penstock.domain.access.decide import ACCESS
from penstock.domain.access.events import AccessDenied, AccessEvent, ActsUnrecorded, LoggedIn
from penstock.domain.identity import PLATFORM_SCOPE
from penstock.infra.eventlog.memory import NONE, Faults, MemoryLog
from penstock.infra.keyring.data_keys import DataKeys
from penstock.infra.keyring.keks import Keks
from penstock.infra.keyring.payloads import Seals
from penstock.infra.nats.subjects import parse_events
from penstock.infra.postgres.engine import Engine
from penstock.messages import catalogue
from penstock.messages.codec import codec_for

TENANT = str(UUID(int=7))
FLOOD = 10_000
AT = 1_780_000_000_000
PACE = Pace(first_s=0.01, most_s=0.05, retry_s=0.01)
POLLS = 600
DONE = 10
"""More acts than windows of a flood that double."""


def made(log: MemoryLog) -> Witness:
    """A witness that needs no keys: acts of these tests come from nowhere."""
    return Witness(log, seals(), lambda: True, lambda: AT, PACE)


def seals() -> Seals:
    engine = Engine("postgresql://nobody@127.0.0.1:1/nothing")
    return Seals(DataKeys(engine, Keks(b"k" * 32)))


def denied(actor: str) -> Seen:
    return Seen(AccessDenied, actor, "", "GET", "/api/users", 403, "FORBIDDEN")


def events(log: MemoryLog) -> list[tuple[str, AccessEvent]]:
    """Every act with its tenant; each history is folded, and must be as its rules make it."""
    found: list[tuple[str, AccessEvent]] = []
    last: Counter[str] = Counter()
    for stored in log.messages:
        about = parse_events(stored.subject)
        assert about.kind == catalogue.ACCESS
        for event in codec_for(catalogue.ACCESS).decode(stored.body).events:
            assert event.number == last[stored.subject] + 1, "told twice, or left out"
            last[stored.subject] = ACCESS.evolve(last[stored.subject], event)
            found.append((about.tenant, event))
    return found


def counted(log: MemoryLog, tenant: str = TENANT) -> int:
    return sum(event.count for whose, event in events(log) if whose == tenant)


@pytest.mark.parametrize("actors", [1, KIND_MAX, FLOOD])
async def test_a_flood_is_a_few_events_that_add_up(actors: int) -> None:
    log = MemoryLog()
    witness = made(log)
    witness.start()
    for number in range(FLOOD):
        witness.saw(TENANT, denied(f"key:{number % actors}"))
        if number % 1_000 == 0:
            await asyncio.sleep(0.02)
    await witness.stop()
    found = events(log)
    assert counted(log) == FLOOD
    assert len(found) <= len(log.messages) * (KIND_MAX + RESTS_MAX + 1)
    rest = [event for _, event in found if isinstance(event, ActsUnrecorded)]
    assert bool(rest) == (actors > KIND_MAX)


async def test_what_succeeded_is_told_at_once_while_a_flood_of_denials_waits() -> None:
    log = MemoryLog()
    witness = Witness(log, seals(), lambda: True, lambda: AT, Pace(first_s=0.01, most_s=3_600.0))
    witness.start()
    flooding = asyncio.create_task(flood(witness))
    for number in range(DONE):
        await asyncio.sleep(0.2)
        witness.saw(TENANT, Seen(LoggedIn, f"user:{number}", "", "POST", "/login", 200, ""))
        for _ in range(POLLS):
            if logins(log) == number + 1:
                break
            await asyncio.sleep(0.01)
        assert logins(log) == number + 1
    flooding.cancel()
    await asyncio.gather(flooding, return_exceptions=True)
    await witness.stop()
    rests = [event for _, event in events(log) if isinstance(event, ActsUnrecorded)]
    assert rests, "there was no flood"


def logins(log: MemoryLog) -> int:
    return sum(isinstance(event, LoggedIn) for _, event in events(log))


async def flood(witness: Witness) -> None:
    """Denials of ever new actors, for ever."""
    for number in range(1_000_000):
        witness.saw(TENANT, denied(f"key:{number}"))
        if number % 100 == 0:
            await asyncio.sleep(0.01)


async def test_what_is_quiet_again_is_told_soon_again() -> None:
    log = MemoryLog()
    witness = made(log)
    witness.start()
    for number in range(3):
        witness.saw(TENANT, denied("key:1"))
        for _ in range(POLLS):
            if counted(log) == number + 1:
                break
            await asyncio.sleep(0.01)
    await witness.stop()
    assert [event.count for _, event in events(log)] == [1, 1, 1]
    assert len({stored.subject for stored in log.messages}) == 1


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_is_lost_or_told_twice_by_a_log_that_fails(seed: int) -> None:
    faults = Faults(conflict=0.2, lost_ack=0.4, lost=0.4, unavailable=0.3)
    log = MemoryLog(faults=faults, seed=seed)
    witness = made(log)
    witness.start()
    for number in range(50):
        witness.saw(TENANT, denied(f"key:{number % 9}"))
        await asyncio.sleep(0.005)
    log.faults = NONE
    for _ in range(POLLS):
        if counted(log) == 50:
            break
        await asyncio.sleep(0.01)
    await witness.stop()
    assert counted(log) == 50


async def test_more_tenants_than_there_is_room_for_are_counted_at_the_platform() -> None:
    log = MemoryLog()
    witness = made(log)
    for number in range(TENANTS_MAX + 5):
        witness.saw(str(UUID(int=number + 1)), denied("key:1"))
    await witness.stop()
    assert counted(log, str(PLATFORM_SCOPE)) == 5
    assert sum(event.count for _, event in events(log)) == TENANTS_MAX + 5


async def test_a_history_that_is_long_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(witnessing, "BOOK_MAX", 2)
    log = MemoryLog()
    witness = made(log)
    witness.start()
    for number in range(5):
        witness.saw(TENANT, denied("key:1"))
        for _ in range(POLLS):
            if counted(log) == number + 1:
                break
            await asyncio.sleep(0.01)
    await witness.stop()
    lengths: Any = Counter(stored.subject for stored in log.messages)
    assert sorted(lengths.values()) == [1, 2, 2]
