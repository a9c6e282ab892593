"""The egress guard: what it calls public, what the allow list opens, what it never resolves."""

import asyncio
import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.executor.egress import (
    NOTHING,
    EgressRefused,
    NameUnknown,
    checked_addresses,
    is_public,
    parse_allowed,
)

NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2001:10::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.9.9.9",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.167.0.1",
    "192.169.0.1",
    "198.17.0.1",
    "198.20.0.1",
    "223.255.255.1",
    "169.253.0.1",
    "11.0.0.1",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "2a00:1450:4001:80b::200e",
    "2620:fe::fe",
    "2003::1",
]

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


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_what_is_not_the_public_internet(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_the_public_internet(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("host", ODD_SPELLINGS)
async def test_a_number_that_is_no_usual_address_is_refused(host: str) -> None:
    with pytest.raises(EgressRefused):
        await checked_addresses(host, 80, NOTHING)


@pytest.mark.parametrize("host", [*NOT_PUBLIC, "localhost", "LOCALHOST.", "", ".", "[::1]"])
async def test_a_host_with_a_closed_address_is_refused(host: str) -> None:
    with pytest.raises(EgressRefused):
        await checked_addresses(host, 80, NOTHING)


@pytest.mark.parametrize("host", PUBLIC)
async def test_a_public_address_is_its_own_answer(host: str) -> None:
    assert await checked_addresses(host, 443, NOTHING) == [str(ipaddress.ip_address(host))]


@given(st.integers(0, 2**32 - 1))
def test_every_spelling_of_an_address_embedded_in_ipv6_is_closed(number: int) -> None:
    for prefix in ("::ffff:0:0", "64:ff9b::", "::"):
        network = int(ipaddress.IPv6Address(prefix))
        assert not is_public(ipaddress.IPv6Address(network | number))
    assert not is_public(ipaddress.IPv6Address((0x2002 << 112) | (number << 80)))


class Answers:
    """A resolver whose answers are written down here, in turns; the last one stays."""

    def __init__(self, *turns: list[str]) -> None:
        self.turns = list(turns)
        self.asked = 0

    async def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked += 1
        addresses = self.turns[0] if len(self.turns) == 1 else self.turns.pop(0)
        if not addresses:
            raise socket.gaierror("no such host")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """The names of this test's world."""
    answers = Answers(["93.184.216.34"])

    def current() -> Any:
        loop = real()
        monkeypatch.setattr(loop, "getaddrinfo", answers, raising=False)
        return loop

    real = asyncio.get_running_loop
    monkeypatch.setattr("penstock.executor.egress.asyncio.get_running_loop", current)
    return answers


async def test_one_private_address_among_public_ones_closes_the_host(resolver: Answers) -> None:
    resolver.turns = [["93.184.216.34", "10.0.0.1"]]
    with pytest.raises(EgressRefused):
        await checked_addresses("example.com", 80, NOTHING)
    resolver.turns = [["93.184.216.34", "1.1.1.1"]]
    assert await checked_addresses("example.com", 80, NOTHING) == ["93.184.216.34", "1.1.1.1"]


async def test_a_name_is_resolved_once(resolver: Answers) -> None:
    resolver.turns = [["93.184.216.34"], ["127.0.0.1"]]
    assert await checked_addresses("rebinding.example", 80, NOTHING) == ["93.184.216.34"]
    assert resolver.asked == 1


async def test_a_name_without_an_address_may_have_one_later(resolver: Answers) -> None:
    resolver.turns = [[]]
    with pytest.raises(NameUnknown):
        await checked_addresses("nowhere.example", 80, NOTHING)


async def test_an_allowed_host_is_open_at_any_address_and_at_its_port_only(
    resolver: Answers,
) -> None:
    resolver.turns = [["10.0.0.1"]]
    allowed = parse_allowed(["Orders.Internal.", "stock.internal:8080"])
    assert await checked_addresses("orders.internal", 1, allowed) == ["10.0.0.1"]
    assert await checked_addresses("stock.internal", 8080, allowed) == ["10.0.0.1"]
    with pytest.raises(EgressRefused):
        await checked_addresses("stock.internal", 80, allowed)
    with pytest.raises(EgressRefused):
        await checked_addresses("other.internal", 80, allowed)


async def test_an_allowed_network_is_open_to_every_name_within_it(resolver: Answers) -> None:
    resolver.turns = [["10.1.2.3"]]
    allowed = parse_allowed(["10.1.0.0/16", "[::1]:8000", "127.0.0.1:81"])
    assert await checked_addresses("any.example", 80, allowed) == ["10.1.2.3"]
    assert await checked_addresses("[::1]", 8000, allowed) == ["::1"]
    assert await checked_addresses("127.0.0.1", 81, allowed) == ["127.0.0.1"]
    for host, port in (("::1", 80), ("127.0.0.1", 80), ("10.2.0.1", 80)):
        with pytest.raises(EgressRefused):
            await checked_addresses(host, port, allowed)


@pytest.mark.parametrize("entry", ["host:", ":80", "host:0", "host:99999", "host:x"])
def test_an_allow_list_with_a_wrong_entry_is_not_taken(entry: str) -> None:
    with pytest.raises(ValueError, match="no host"):
        parse_allowed([entry])
