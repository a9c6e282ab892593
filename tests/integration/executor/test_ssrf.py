"""What a tenant may not reach, in all the spellings that there are for it, first hand and by way of
redirects; and that what is open is reached in as many.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from penstock.executor.outbound import Answer, Call, CallInvalid, Unreachable, send
from penstock.executor.transport import POOLS_MAX, GuardedTransport
from penstock.infra.egress.allowed import NOTHING, Allowed, parse_allowed
from penstock.infra.egress.guard import Guard, Resolve
from penstock.infra.egress.urls import EgressRefused
from tests.integration.executor.bench import Request, Web, response
from tests.integration.executor.ssrf import (
    GOOD_HOSTS,
    GOOD_NAMES,
    GOOD_PLACES,
    NAMES,
    RELATIVE,
    STATUSES,
    as_location,
    refused,
)

PORTS = (80, 443, 8080)
REFUSED = tuple(refused())
TLS = ssl.create_default_context()
"""One for all: to load the roots anew for each of hundreds of cases takes longer than the case."""


def knowing(names: Mapping[str, Sequence[str]]) -> Resolve:
    """A resolver that knows these names and no others."""

    async def resolve(name: str, port: int) -> Sequence[str]:
        if name not in names:
            raise socket.gaierror(name)
        return names[name]

    return resolve


def call(url: str, *, tenant: str = "acme", **more: str) -> Call:
    return Call(tenant=tenant, method=more.get("method", "GET"), url=url, timeout_ms=10_000)


async def is_refused(transport: GuardedTransport, url: str) -> bool:
    """Whether the guard refuses a call; anything else that prevents it fails the test."""
    try:
        await send(transport, call(url))
    except EgressRefused:
        return True
    return False


@pytest.fixture
async def transport(web: Web) -> AsyncIterator[GuardedTransport]:
    """A transport for which nothing is open here but the one server."""
    allowed = parse_allowed([f"127.0.0.1:{web.port}"])
    made = GuardedTransport(Guard(allowed, ports=PORTS, resolve=knowing(NAMES)), tls=TLS)
    yield made
    await made.close()


def test_the_corpus_is_large() -> None:
    assert len(set(REFUSED)) == len(REFUSED) >= 200
    assert len(set(GOOD_HOSTS)) + len(set(GOOD_PLACES)) >= 30


@pytest.mark.parametrize("url", REFUSED, ids=ascii)
async def test_a_closed_destination_is_refused(transport: GuardedTransport, url: str) -> None:
    with pytest.raises((EgressRefused, CallInvalid)):
        await send(transport, call(url))


@pytest.mark.parametrize("status", STATUSES)
async def test_no_redirect_leads_to_a_closed_destination(
    transport: GuardedTransport, web: Web, status: int
) -> None:
    location = ""

    async def redirect(_: Request) -> bytes:
        return response(status, b"", {"location": location})

    web.answers["/go"] = redirect
    followed = 0
    for url in REFUSED:
        for place in as_location(url):
            if not place.isprintable() or not place:
                continue
            location = place
            followed += 1
            stays = place in RELATIVE
            arrived = len(web.requests)
            assert await is_refused(transport, web.url("/go")) or stays, place
            assert len(web.requests) <= arrived + 1 + stays
    assert followed > 400


@pytest.mark.parametrize("status", STATUSES)
async def test_a_chain_of_redirects_is_judged_at_every_turn(
    transport: GuardedTransport, web: Web, status: int
) -> None:
    web.answer("/1", status=status, location="/2")
    web.answer("/2", status=status, location=f"//127.0.0.1:{web.port}/3")
    web.answer("/3", status=status, location="http://private.example/")
    with pytest.raises(EgressRefused):
        await send(transport, call(web.url("/1"), method="POST"))
    assert [each.path for each in web.requests] == ["/1", "/2", "/3"]


@pytest.mark.parametrize("host", GOOD_HOSTS, ids=ascii)
async def test_an_open_host_is_reached_however_it_is_spelled(web: Web, host: str) -> None:
    allowed = parse_allowed(["127.0.0.0/8"])
    transport = GuardedTransport(Guard(allowed, ports=(), resolve=knowing(GOOD_NAMES)), tls=TLS)
    web.answer("/here", b"reached")
    await web.also("127.0.0.2")
    answer = await send(transport, call(f"http://{host}:{web.port}/here"))
    assert answer.body == b"reached"
    await transport.close()


@pytest.mark.parametrize("place", GOOD_PLACES, ids=ascii)
async def test_an_open_host_is_reached_at_any_place(
    transport: GuardedTransport, web: Web, place: str
) -> None:
    answer = await send(transport, call(f"http://127.0.0.1:{web.port}{place}"))
    assert isinstance(answer, Answer)
    assert len(web.requests) == 1


async def test_a_name_that_changes_its_answer_is_judged_anew_or_not_asked_again(web: Web) -> None:
    """The first answer is open, all others are not: nothing ever arrives at those."""
    answers = [["127.0.0.2"]]

    async def rebinding(name: str, port: int) -> Sequence[str]:
        return answers.pop() if answers else ["127.0.0.1"]

    await web.also("127.0.0.2")
    allowed = parse_allowed(["127.0.0.2/32"])
    transport = GuardedTransport(Guard(allowed, ports=(), resolve=rebinding), tls=TLS)
    web.answer("/end", b"end")
    web.answer("/go", status=302, location="/end")
    url = web.url("/go", host="rebinding.example")
    for _ in range(3):
        assert (
            await send(transport, call(web.url("/end", host="rebinding.example")))
        ).body == b"end"
    assert web.hosts == ["127.0.0.2"]
    # A redirect that is not read to its end takes its connection along.
    with pytest.raises(EgressRefused):
        await send(transport, call(url))
    # Another tenant's call has a connection of its own, so the name is asked, and judged, again.
    with pytest.raises(EgressRefused):
        await send(transport, call(url, tenant="other"))
    assert set(web.hosts) == {"127.0.0.2"}
    await transport.close()


async def test_what_one_tenant_may_reach_is_closed_to_others_though_connected(web: Web) -> None:
    async def allowed_of(tenant: str) -> Allowed:
        return parse_allowed(["127.0.0.1"]) if tenant == "acme" else NOTHING

    transport = GuardedTransport(Guard(NOTHING, ports=(), allowed_of=allowed_of), tls=TLS)
    url = web.answer("/a", b"private")
    for _ in range(2):
        assert (await send(transport, call(url))).body == b"private"
        with pytest.raises(EgressRefused):
            await send(transport, call(url, tenant="other"))
    assert web.connections == 1
    await transport.close()


async def test_connections_of_many_tenants_do_not_pile_up(web: Web) -> None:
    transport = GuardedTransport(Guard(parse_allowed(["127.0.0.1"]), ports=()), tls=TLS)
    url = web.answer("/a")
    for number in range(POOLS_MAX + 20):
        await send(transport, call(url, tenant=f"tenant-{number}"))
    assert len(transport._pools) == POOLS_MAX
    assert web.connections == POOLS_MAX + 20
    await transport.close()


async def test_a_name_without_addresses_is_worth_another_try(transport: GuardedTransport) -> None:
    with pytest.raises(Unreachable):
        await send(transport, call("http://nowhere.example/"))
