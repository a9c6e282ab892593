"""What a tenant may not reach is closed to connections of all types, however a host is spelled.

A connection's host is a text, not part of a URL: nobody reads it as browsers do, so a spelling that
is not canonical is refused, or a name that nobody has.
"""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from penstock.domain.connection.types import HOST
from penstock.executor.connections import Connection
from penstock.executor.dialling import connected, dialled
from penstock.executor.nodes import ai_completion, database_query, email
from penstock.executor.outcome import StepFault
from penstock.executor.transport import GuardedTransport
from penstock.infra.egress.allowed import parse_allowed
from penstock.infra.egress.guard import POSTGRES_PORTS, SMTP_PORTS, Guard
from tests.integration.executor.bench import Web
from tests.integration.executor.connected import TLS, given, said, step, transport
from tests.integration.executor.ssrf import (
    LOOPBACK,
    METADATA,
    NAMED,
    NAMES,
    PRIVATE,
    THIS_HOST,
    V6,
    refused,
)
from tests.integration.executor.test_ssrf import knowing

HOSTS = tuple(dict.fromkeys((*LOOPBACK, *THIS_HOST, *METADATA, *PRIVATE, *V6, *NAMED)))
PROTOCOLS = {"smtp": (SMTP_PORTS, 587), "postgres": (POSTGRES_PORTS, 5432)}
REFUSED = tuple(refused())
MAIL = {"to": "ada@example.org", "subject": "Hello", "text": "Hi"}


def closed() -> GuardedTransport:
    """A way out with nothing open but what is public."""
    return transport(resolve=knowing(NAMES))


def connection(kind: str, host: str, **more: Any) -> Connection:
    config = {"host": host, "from": "me@example.org", "database": "x", "username": "me", **more}
    return Connection(kind, config, {"password": "a-password"}, "there")


def test_the_corpus_is_large() -> None:
    assert len(HOSTS) * len(PROTOCOLS) + len(REFUSED) >= 400


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("host", HOSTS, ids=ascii)
async def test_no_closed_host_is_dialled(host: str, protocol: str) -> None:
    dialled_to: list[str] = []

    async def record(address: str) -> None:
        dialled_to.append(address)

    ports, port = PROTOCOLS[protocol]
    with pytest.raises(StepFault) as fault:
        await connected(step(None, closed()), host, port, ports=ports, to=record)
    assert dialled_to == []
    # What is no host at all has no address; whoever makes a connection cannot write it either.
    is_host = re.fullmatch(str(HOST["pattern"]), host) is not None
    assert fault.value.code in {"EGRESS_REFUSED", *(() if is_host else ("CONNECTION_ERROR",))}


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "localhost", "::1", "10.0.0.1"])
async def test_steps_say_that_a_host_is_closed(host: str) -> None:
    mail, database = connection("smtp", host), connection("postgres", host)
    with pytest.raises(StepFault) as fault:
        await email.run(step(mail, closed()), MAIL, given())
    assert (fault.value.code, fault.value.retryable) == ("EGRESS_REFUSED", False)
    with pytest.raises(StepFault) as fault:
        await database_query.run(step(database, closed()), {"sql": "select 1"}, given())
    assert (fault.value.code, fault.value.retryable) == ("EGRESS_REFUSED", False)


@pytest.mark.parametrize("port", [22, 80, 443, 4222, 6379, 11211])
async def test_a_public_host_has_the_ports_of_its_protocol_only(port: int) -> None:
    for kind, node, config in (("smtp", email, MAIL), ("postgres", database_query, {"sql": "x"})):
        there = connection(kind, "93.184.216.34", port=port)
        with pytest.raises(StepFault, match="port") as fault:
            await node.run(step(there, closed()), config, given())
        assert fault.value.code == "EGRESS_REFUSED"


async def test_a_name_is_asked_once_and_its_address_is_what_is_reached(web: Web) -> None:
    """The second answer of a name that changes its mind is never asked for."""
    answers = [["127.0.0.2"], ["127.0.0.1"]]

    async def rebinding(name: str, port: int) -> Sequence[str]:
        return answers.pop(0)

    await web.also("127.0.0.2")
    guard = Guard(parse_allowed(["127.0.0.2/32"]), ports=(), resolve=rebinding)
    context = step(None, GuardedTransport(guard, tls=TLS))

    async def to(address: str) -> str:
        opened = await dialled(address, web.port)
        with opened:
            return str(opened.getpeername()[0])

    reached = [await connected(context, "rebinding.example", web.port, ports=frozenset(), to=to)]
    assert reached == ["127.0.0.2"]
    with pytest.raises(StepFault) as fault:
        await connected(context, "rebinding.example", web.port, ports=frozenset(), to=to)
    assert fault.value.code == "EGRESS_REFUSED"


async def test_one_closed_address_among_open_ones_closes_a_name() -> None:
    names = {"mixed.example": ["93.184.216.34", "10.0.0.1"]}
    way = transport(resolve=knowing(names))
    with pytest.raises(StepFault) as fault:
        await email.run(step(connection("smtp", "mixed.example"), way), MAIL, given())
    assert fault.value.code == "EGRESS_REFUSED"


@pytest.mark.parametrize("url", REFUSED, ids=ascii)
async def test_no_model_is_asked_at_a_closed_place(url: str) -> None:
    there = Connection("openai", {"baseUrl": url}, {"apiKey": "sk-a-secret-key"}, "ai")
    with pytest.raises(StepFault) as fault:
        await ai_completion.run(step(there, closed()), {"prompt": "Hi"}, given())
    assert fault.value.code in {"EGRESS_REFUSED", "CONFIG_INVALID"}
    assert "sk-a-secret-key" not in fault.value.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_of_a_model_is_followed(web: Web, status: int) -> None:
    """Not even to a place that is open: the key is for its base URL."""
    web.answer("/v1/chat/completions", status=status, location="/elsewhere")
    there = Connection("openai", {"baseUrl": web.url("/v1")}, {"apiKey": "sk-a-secret-key"}, "ai")
    way = transport("127.0.0.1")
    with pytest.raises(StepFault):
        said(await ai_completion.run(step(there, way), {"prompt": "Hi"}, given()))
    assert [each.path for each in web.requests] == ["/v1/chat/completions"]
    await way.close()
