"""The egress guard: what it opens, what it refuses, how often it asks for a name's addresses."""

import socket
from collections.abc import Sequence

import pytest

from penstock.infra.egress.allowed import NOTHING, Allowed, parse_allowed
from penstock.infra.egress.guard import (
    POSTGRES_PORTS,
    AllowListUnknown,
    Guard,
    NameUnknown,
    Resolve,
    resolved_by_system,
)
from penstock.infra.egress.urls import EgressRefused

PORTS = (80, 443)
ODD_SPELLINGS = [
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "0",
    "0x0",
    "00.0.0.0",
    "127.0.0.01",
    "127.0.0.0x1",
    "8.8.8.010",
    "0x08080808",
    "134744072",
    "1.2.3.4.5",
    "example.0x7f",
    "256.1",
    "1.2.3",
    "127.0.0.1.0x",
    "fe80::1%25lo",
    "fe80::1%1",
]


def guard(*entries: str, resolve: Resolve = resolved_by_system, **own: str) -> Guard:
    """A guard with an allow list; own: the lists of tenants, one entry each."""

    async def allowed_of(tenant: str) -> Allowed:
        if tenant == "unreadable":
            raise AllowListUnknown
        return parse_allowed([own[tenant]]) if tenant in own else NOTHING

    return Guard(parse_allowed(entries), ports=PORTS, allowed_of=allowed_of, resolve=resolve)


class Answers:
    """A resolver whose answers are written down here, in turns; the last one stays."""

    def __init__(self, *turns: list[str]) -> None:
        self.turns = list(turns)
        self.asked = 0

    async def __call__(self, name: str, port: int) -> Sequence[str]:
        self.asked += 1
        addresses = self.turns[0] if len(self.turns) == 1 else self.turns.pop(0)
        if not addresses:
            raise socket.gaierror("no such host")
        return addresses


async def addresses(guard: Guard, host: str, port: int = 80, tenant: str = "acme") -> list[str]:
    return await guard.addresses(host, port, tenant=tenant)


@pytest.mark.parametrize("host", ODD_SPELLINGS)
async def test_a_number_that_is_no_usual_address_is_refused(host: str) -> None:
    with pytest.raises(EgressRefused):
        await addresses(guard(), host)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "", ".", "[::1]", "10.0.0.1"])
async def test_a_host_with_a_closed_address_is_refused(host: str) -> None:
    with pytest.raises(EgressRefused):
        await addresses(guard(), host)


async def test_a_public_address_is_its_own_answer() -> None:
    assert await addresses(guard(), "8.8.8.8") == ["8.8.8.8"]
    assert await addresses(guard(), "[2620:fe::fe]", 443) == ["2620:fe::fe"]


async def test_a_public_address_has_few_ports() -> None:
    for port in (22, 25, 5432, 8000):
        with pytest.raises(EgressRefused, match="port"):
            await addresses(guard(), "8.8.8.8", port)
    assert await addresses(guard("8.8.8.8:8000"), "8.8.8.8", 8000) == ["8.8.8.8"]
    found = await guard().addresses("8.8.8.8", 5432, tenant="acme", ports=POSTGRES_PORTS)
    assert found == ["8.8.8.8"]


async def test_one_private_address_among_public_ones_closes_the_host() -> None:
    mixed = guard(resolve=Answers(["93.184.216.34", "10.0.0.1"]))
    with pytest.raises(EgressRefused):
        await addresses(mixed, "example.com")
    public = guard(resolve=Answers(["93.184.216.34", "1.1.1.1"]))
    assert await addresses(public, "example.com") == ["93.184.216.34", "1.1.1.1"]


async def test_a_name_is_resolved_once() -> None:
    resolver = Answers(["93.184.216.34"], ["127.0.0.1"])
    found = await addresses(guard(resolve=resolver), "rebinding.example")
    assert (found, resolver.asked) == (["93.184.216.34"], 1)


@pytest.mark.parametrize("turn", [[], ["8.8.8.8"] + [f"9.9.9.{n}" for n in range(40)]])
async def test_a_name_without_a_usual_answer_may_have_one_later(turn: list[str]) -> None:
    with pytest.raises(NameUnknown):
        await addresses(guard(resolve=Answers(turn)), "nowhere.example")


async def test_an_allowed_host_is_open_at_any_address_and_at_its_port_only() -> None:
    some = guard("Orders.Internal.", "stock.internal:8080", resolve=Answers(["10.0.0.1"]))
    assert await addresses(some, "orders.internal", 1) == ["10.0.0.1"]
    assert await addresses(some, "stock.internal", 8080) == ["10.0.0.1"]
    for host in ("stock.internal", "other.internal"):
        with pytest.raises(EgressRefused):
            await addresses(some, host)


async def test_an_allowed_network_is_open_to_every_name_within_it() -> None:
    some = guard("10.1.0.0/16", "[::1]:8000", "127.0.0.1:81", resolve=Answers(["10.1.2.3"]))
    assert await addresses(some, "any.example") == ["10.1.2.3"]
    assert await addresses(some, "[::1]", 8000) == ["::1"]
    assert await addresses(some, "127.0.0.1", 81) == ["127.0.0.1"]
    for host in ("::1", "127.0.0.1", "10.2.0.1"):
        with pytest.raises(EgressRefused):
            await addresses(some, host)


async def test_a_tenants_list_opens_more_for_this_tenant_alone() -> None:
    some = guard("10.1.0.0/16", acme="10.2.0.0/16", resolve=Answers(["10.1.0.1", "10.2.0.1"]))
    assert await addresses(some, "both.example") == ["10.1.0.1", "10.2.0.1"]
    assert await addresses(some, "10.1.0.1", tenant="other") == ["10.1.0.1"]
    with pytest.raises(EgressRefused):
        await addresses(some, "both.example", tenant="other")


async def test_a_list_that_cannot_be_read_opens_nothing_and_holds_up_only_who_needs_it() -> None:
    assert await addresses(guard(), "8.8.8.8", tenant="unreadable") == ["8.8.8.8"]
    with pytest.raises(AllowListUnknown):
        await addresses(guard(), "10.0.0.1", tenant="unreadable")
