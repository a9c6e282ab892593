"""Outgoing calls against a real server: redirects, limits, encodings, TLS."""

import asyncio
import datetime as dt
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from penstock.executor.outbound import (
    Answer,
    AnswerTooLarge,
    Call,
    CallInvalid,
    CallTimedOut,
    RedirectsExceeded,
    Unreachable,
    send,
)
from penstock.executor.transport import GuardedTransport
from penstock.infra.egress.allowed import parse_allowed
from penstock.infra.egress.guard import Guard
from penstock.infra.egress.urls import EgressRefused
from tests.integration.executor.bench import Request, Web, response

MIB = 1024 * 1024


def guard(*entries: str) -> Guard:
    """A guard with an allow list, and with no ports for whatever is not in it."""
    return Guard(parse_allowed(entries), ports=())


@pytest.fixture
async def transport() -> AsyncIterator[GuardedTransport]:
    """A transport that may reach the local server by its address, and nothing else here."""
    made = GuardedTransport(guard("127.0.0.1"))
    yield made
    await made.close()


def get(url: str, **more: object) -> Call:
    values = {"tenant": "acme", "method": "GET", "timeout_ms": 5000, **more}
    return Call(url=url, **values)  # type: ignore[arg-type]


async def test_answers_share_a_connection(transport: GuardedTransport, web: Web) -> None:
    url = web.answer("/a", b"hello", x_two="2")
    for _ in range(3):
        answer = await send(transport, get(url))
        assert (answer.status, answer.body, answer.headers["x-two"]) == (200, b"hello", "2")
    assert web.connections == 1


async def test_nothing_is_kept_between_calls(transport: GuardedTransport, web: Web) -> None:
    url = web.answer("/a", b"", set_cookie="session=1; Path=/")
    await send(transport, get(url))
    await send(transport, get(url))
    assert "cookie" not in web.requests[1].headers


async def test_the_environment_has_no_say(
    transport: GuardedTransport, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert (await send(transport, get(web.answer("/a")))).status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(transport: GuardedTransport, web: Web, status: int) -> None:
    there = web.answer("/there", b"here")
    url = web.answer("/go", status=status, location="/there?x=1")
    call = get(url, method="POST", body=b"given", headers=(("content-type", "text/plain"),))
    answer = await send(transport, call)
    assert answer.body == b"here"
    method, body = ("POST", b"given") if status in {307, 308} else ("GET", b"")
    assert (web.requests[1].method, web.requests[1].body) == (method, body)
    assert web.requests[1].path == "/there?x=1"
    assert there.endswith("/there")


async def test_redirects_end(transport: GuardedTransport, web: Web) -> None:
    url = web.answer("/loop", status=302, location="/loop")
    with pytest.raises(RedirectsExceeded):
        await send(transport, get(url))
    assert len(web.requests) == 6
    answer = await send(transport, get(url, redirects_max=0))
    assert answer.status == 302


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.2/",
        "http://localhost.localdomain./",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/",
        "http://0x7f.1/",
        "//127.0.0.2/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://127.0.0.1/",
    ],
)
async def test_a_redirect_is_checked_like_any_call(
    transport: GuardedTransport, web: Web, place: str
) -> None:
    url = web.answer("/go", status=302, location=place)
    with pytest.raises((EgressRefused, Unreachable)):
        await send(transport, get(url))
    assert len(web.requests) == 1


async def test_credentials_stay_with_the_origin(web: Web) -> None:
    transport = GuardedTransport(guard("127.0.0.1", "127.0.0.2"))
    headers = (
        ("Authorization", "Bearer x"),
        ("X-Api-Key", "y"),
        ("Cookie", "z=1"),
        ("Idempotency-Key", "k"),
    )
    same = web.answer("/same", status=302, location="/end")
    other = web.answer("/other", status=302, location=f"http://localhost:{web.port}/end")
    web.answer("/end")
    await send(transport, get(same, headers=headers))
    assert web.requests[-1].headers["authorization"] == "Bearer x"
    await send(transport, get(same, headers=headers, is_ours=lambda url: url.target != "/end"))
    assert not {"authorization", "x-api-key", "cookie"} & set(web.requests[-1].headers)
    await send(transport, get(other, headers=headers))
    last = web.requests[-1].headers
    assert last["host"].startswith("localhost")
    assert not {"authorization", "x-api-key", "cookie"} & set(last)
    assert last["idempotency-key"] == "k"
    await transport.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "not a url",
        "http://user:secret@127.0.0.1/",
        "http://[::1",
        "http://127.0.0.1:99999/",
    ],
)
async def test_a_url_that_is_none_is_said_to_be(transport: GuardedTransport, url: str) -> None:
    with pytest.raises((CallInvalid, EgressRefused)):
        await send(transport, get(url))


@pytest.mark.parametrize(
    "header",
    [
        ("Host", "other"),
        ("Content-Length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("X-Break", "a\r\nX-Other: b"),
        ("X Break", "a"),
    ],
)
async def test_headers_cannot_make_a_second_message(
    transport: GuardedTransport, web: Web, header: tuple[str, str]
) -> None:
    with pytest.raises(CallInvalid):
        await send(transport, get(web.answer("/a"), headers=(header,)))
    assert web.requests == []


@pytest.mark.parametrize(
    "value",
    ["Pässword\n", " Pässword", "Pässword\t", "Päss\0word", "Päss\x7fword", "Pässword\udc80"],
)
async def test_a_header_that_cannot_be_sent_is_named_and_not_quoted(
    transport: GuardedTransport, web: Web, value: str
) -> None:
    with pytest.raises(CallInvalid, match="the header X-Token ") as refused:
        await send(transport, get(web.answer("/a"), headers=(("X-Token", value),)))
    assert "ss" not in str(refused.value)
    assert web.requests == []


@pytest.mark.parametrize("value", ["", "a", "a b\tc", "Pässword €", "a" * 5000])
async def test_a_header_is_sent_as_it_is(transport: GuardedTransport, web: Web, value: str) -> None:
    await send(transport, get(web.answer("/a"), headers=(("X-Token", value),)))
    assert web.requests[-1].headers["x-token"] == value


async def test_an_answer_that_is_no_http_is_not_quoted(
    transport: GuardedTransport, web: Web
) -> None:
    async def echo(_: Request) -> bytes:
        return "HTTP/1.1 200 OK\r\nBad Header Pässword\r\n\r\n".encode()

    web.answers["/echo"] = echo
    with pytest.raises(Unreachable, match="not valid HTTP") as broken:
        await send(transport, get(web.url("/echo")))
    assert "ssword" not in str(broken.value)


async def test_a_method_is_a_word(transport: GuardedTransport, web: Web) -> None:
    with pytest.raises(CallInvalid):
        await send(transport, get(web.answer("/a"), method="GET /b HTTP/1.1\r\nX: y\r\n\r\n"))


async def test_compressed_bodies_are_opened(transport: GuardedTransport, web: Web) -> None:
    text = b"the same again " * 1000
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bodies = {
        "gzip": gzip.compress(text),
        "deflate": zlib.compress(text),
        "Deflate": raw.compress(text) + raw.flush(),
        "x-gzip": gzip.compress(text[:15]) + gzip.compress(text[15:]),
    }
    for encoding, body in bodies.items():
        url = web.answer("/packed", body, content_encoding=encoding)
        assert (await send(transport, get(url))).body == text, encoding
    unknown = web.answer("/packed", b"\x01\x02", content_encoding="br")
    assert (await send(transport, get(unknown))).body == b"\x01\x02"


async def test_a_corrupt_body_is_no_answer(transport: GuardedTransport, web: Web) -> None:
    url = web.answer("/packed", b"no gzip at all", content_encoding="gzip")
    with pytest.raises(Unreachable):
        await send(transport, get(url))


async def test_a_bomb_is_noticed_before_it_is_in_memory(
    transport: GuardedTransport, web: Web
) -> None:
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(64)) + packer.flush()
    url = web.answer("/bomb", bomb, content_encoding="gzip")
    with pytest.raises(AnswerTooLarge):
        await send(transport, get(url))


async def test_an_answer_has_a_size_limit(transport: GuardedTransport, web: Web) -> None:
    declared = web.answer("/declared", bytes(200))
    with pytest.raises(AnswerTooLarge):
        await send(transport, get(declared, body_max=100))

    async def endless(_: Request) -> bytes:
        return b"HTTP/1.1 200 OK\r\n\r\n" + bytes(11 * MIB)

    web.answers["/endless"] = endless
    with pytest.raises(AnswerTooLarge):
        await send(transport, get(web.url("/endless")))


async def test_headers_have_a_size_limit(transport: GuardedTransport, web: Web) -> None:
    url = web.answer("/a", x_long="x" * 33_000)
    with pytest.raises(AnswerTooLarge):
        await send(transport, get(url))


async def test_the_limit_covers_the_whole_call(transport: GuardedTransport, web: Web) -> None:
    async def trickle(_: Request) -> bytes:
        await asyncio.sleep(30)
        return response(200, b"", {})

    web.answers["/slow"] = trickle
    with pytest.raises(CallTimedOut):
        await send(transport, get(web.url("/slow"), timeout_ms=100))


async def test_what_breaks_off_is_unreachable(transport: GuardedTransport, web: Web) -> None:
    async def half(_: Request) -> bytes:
        raise ConnectionResetError

    web.answers["/half"] = half
    with pytest.raises(Unreachable):
        await send(transport, get(web.url("/half")))


def certificate(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for `localhost` alone, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = directory / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context(cafile=str(pem))
    return server, client


async def test_tls_is_for_the_name_although_the_address_is_pinned(tmp_path: Path) -> None:
    server, client = certificate(tmp_path)
    names: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: names.append(name)
    web = Web()
    await web.open(tls=server)
    web.answer("/a", b"safe")
    transport = GuardedTransport(guard("127.0.0.0/8", "::1"), tls=client)
    answer = await send(transport, get(f"https://localhost:{web.port}/a"))
    assert answer.body == b"safe"
    assert names == ["localhost"]
    with pytest.raises(Unreachable):
        await send(transport, get(f"https://127.0.0.1:{web.port}/a"))
    trusting: Answer = await send(transport, get(f"https://127.0.0.1:{web.port}/a", verify=False))
    assert trusting.status == 200
    await transport.close()
    await web.close()
