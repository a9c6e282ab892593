"""What every answer has, whoever gives it; what browsers may do; what is too much of a request."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import URL, AsyncClient, Response

from penstock.api import protocol
from penstock.api.door import SECURITY_HEADERS
from tests.integration.api.houses import ORIGIN, House
from tests.integration.api.test_problems import is_problem

HOST = b"Host: localhost\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
NONCE = b"dGhlIHNhbXBsZSBub25jZQ=="
ALWAYS = {name.decode(): value.decode() for name, value in SECURITY_HEADERS}


def is_guarded(answer: Response) -> None:
    """The answer has the headers that all answers have."""
    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-request-id"]
    assert "cache-control" in answer.headers
    assert "server" not in answer.headers
    assert "Traceback" not in answer.text


async def said(house: House, *parts: bytes, pause: float = 0) -> Response:
    """What the server answers to raw bytes, until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(house.url).port)
    for part in parts:
        writer.write(part)
        await asyncio.sleep(pause)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Response(int(status.split()[1]), headers=headers, content=body)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nope", 404),
        ("GET", "/docs", 200),
        ("GET", "/api/openapi.json", 200),
        ("GET", "/metrics", 200),
        ("GET", "/livez", 200),
        ("GET", "/api/health", 200),
        ("GET", "/api/runs", 401),
        ("PUT", "/api/health", 405),
        ("GET", "/api/runs?a=%00", 400),
        ("OPTIONS", "/api/runs", 405),
        ("TRACE", "/api/runs", 405),
    ],
)
async def test_every_answer_is_guarded(house: House, method: str, path: str, status: int) -> None:
    answer = await house.client.request(method, path)
    assert answer.status_code == status
    is_guarded(answer)


async def test_answers_with_a_credential_are_guarded_too(tenant: AsyncClient) -> None:
    is_guarded(await tenant.get("/api/runs"))
    is_guarded(await tenant.get("/api/runs/nope"))
    is_guarded(await tenant.post("/api/workflows", content=b"{"))
    is_guarded(await tenant.post("/api/workflows", json={"name": ""}))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (UPGRADE, 400),
        (
            UPGRADE + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + NONCE + b"\r\n",
            401,
        ),
    ],
)
async def test_a_refused_socket_is_a_guarded_problem(
    house: House, headers: bytes, status: int
) -> None:
    answer = await said(house, b"GET /ws HTTP/1.1\r\n" + HOST + headers + b"\r\n")
    is_problem(answer, status, {400: "VALIDATION_ERROR", 401: "UNAUTHORIZED"}[status])
    is_guarded(answer)


@pytest.mark.parametrize(
    ("target", "line"),
    [(b"/ws?token=x", b"Cookie: " + b"a" * 8300 + b"\r\n"), (b"/ws?token=" + b"x" * 8200, b"")],
)
async def test_a_handshake_with_a_long_line_is_answered_and_closed(
    house: House, target: bytes, line: bytes
) -> None:
    head = UPGRADE + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + NONCE + b"\r\n"
    answer = await said(house, b"GET " + target + b" HTTP/1.1\r\n" + HOST + head + line + b"\r\n")
    is_problem(answer, 431, "HEADERS_TOO_LARGE")
    is_guarded(answer)


async def test_what_is_no_request_is_guarded(house: House) -> None:
    is_guarded(await said(house, b"nonsense\r\n\r\n"))


@pytest.mark.parametrize(
    "head",
    [
        b"".join(b"X-%d: 1\r\n" % number for number in range(protocol.HEADERS_MAX + 1)),
        b"X-Long: " + b"x" * protocol.HEAD_BYTES_MAX + b"\r\n",
        b"".join(b"X-%d: %s\r\n" % (number, b"x" * 8000) for number in range(5)),
    ],
)
async def test_headers_have_a_limit(house: House, head: bytes) -> None:
    answer = await said(house, b"GET /livez HTTP/1.1\r\n" + HOST + head + b"\r\n")
    is_problem(answer, 431, "HEADERS_TOO_LARGE")
    is_guarded(answer)
    assert (await house.client.get("/livez", headers={"X-Long": "x" * 8000})).status_code == 200


async def test_a_target_has_a_limit(house: House) -> None:
    target = b"/livez?" + b"x" * protocol.HEAD_BYTES_MAX
    answer = await said(house, b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    is_problem(answer, 431, "HEADERS_TOO_LARGE")


async def test_a_header_that_does_not_end_is_cut_off(house: House) -> None:
    pieces = [b"x" * 8000] * 5
    answer = await said(house, b"GET / HTTP/1.1\r\nX-Long: ", *pieces, pause=0.02)
    is_problem(answer, 431, "HEADERS_TOO_LARGE")


async def test_a_head_that_does_not_come_is_not_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS_MAX", 0.2)
    answer = await said(house, b"GET / HTTP/1.1\r\nX-Slow: ")
    is_problem(answer, 408, "REQUEST_TIMEOUT")
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(house.url).port)
    assert await reader.read() == b""
    writer.close()


async def test_a_connection_goes_on_after_a_large_body(house: House, tenant: AsyncClient) -> None:
    for _ in range(3):
        answer = await tenant.post("/api/workflows", json={"name": "x" * 200_000})
        assert answer.status_code == 400
    assert (await tenant.get("/api/runs")).status_code == 200


@pytest.mark.parametrize("path", ["/api/workflows", "/api/workflows/validate", "/api/variables"])
async def test_a_body_without_a_length_has_the_same_limit(tenant: AsyncClient, path: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    headers = {"Content-Type": "application/json"}
    answer = await tenant.post(path, content=endless(), headers=headers)
    is_problem(answer, 413, "PAYLOAD_TOO_LARGE")
    is_guarded(answer)


# --- other origins -------------------------------------------------------------------------------


def asking(origin: str = ORIGIN, method: str = "POST") -> dict[str, Any]:
    """The headers of a preflight."""
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_browser_may_call_from_an_origin_that_is_listed(house: House, method: str) -> None:
    answer = await house.client.options("/api/workflows", headers=asking(method=method))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert method in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type", "idempotency-key"} <= set(allowed.split(","))
    assert "access-control-allow-credentials" not in answer.headers
    assert "origin" in answer.headers["vary"].lower()
    is_guarded(answer)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://app.example", "https://app.example.evil.example", "null"],
)
async def test_a_browser_may_not_call_from_any_other(
    house: House, tenant: AsyncClient, origin: str
) -> None:
    answer = await house.client.options("/api/workflows", headers=asking(origin))
    is_problem(answer, 400, "VALIDATION_ERROR")
    assert "access-control-allow-origin" not in answer.headers
    is_guarded(answer)
    read = await tenant.get("/api/runs", headers={"Origin": origin})
    assert "access-control-allow-origin" not in read.headers


async def test_a_method_that_no_route_has_is_refused_beforehand(house: House) -> None:
    answer = await house.client.options("/api/workflows", headers=asking(method="TRACE"))
    is_problem(answer, 400, "VALIDATION_ERROR")


async def test_a_page_may_read_answers_and_refusals(house: House, tenant: AsyncClient) -> None:
    from_there = {"Origin": ORIGIN}
    for answer, status in (
        (await tenant.get("/api/runs", headers=from_there), 200),
        (await tenant.get("/api/runs/nope", headers=from_there), 404),
        (await house.client.get("/api/runs", headers=from_there), 401),
        (await house.client.get("/nope", headers=from_there), 404),
        (await house.client.get("/api/runs?a=%00", headers=from_there), 400),
        (await tenant.post("/api/workflows", content=b" " * 2_000_000, headers=from_there), 413),
    ):
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        exposed = answer.headers["access-control-expose-headers"].lower()
        assert {"x-log-position", "retry-after", "etag"} <= set(exposed.split(", "))
        assert "access-control-allow-credentials" not in answer.headers
        is_guarded(answer)
