"""The probes' own small server, spoken to byte by byte."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping

import pytest

from penstock.dev.ports import HOST, free_port
from penstock.infra.probes import CONNECTIONS_MAX, REQUEST_BYTES_MAX, Probes


class Checked:
    """What the checks say now."""

    def __init__(self) -> None:
        self.checks: dict[str, bool] = {"nats": True}

    async def __call__(self) -> Mapping[str, bool]:
        return self.checks


@pytest.fixture
def checked() -> Checked:
    return Checked()


@pytest.fixture
async def port(checked: Checked) -> AsyncIterator[int]:
    chosen = free_port()
    probes = Probes("executor", checked)
    await probes.listen(HOST, chosen)
    yield chosen
    await probes.close()


async def say(port: int, request: bytes) -> tuple[str, bytes]:
    """The status line and the body."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request)
    try:
        answer = await reader.read()
    except ConnectionResetError:
        answer = b""
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_readiness_names_each_check(port: int, checked: Checked) -> None:
    assert (await say(port, get("/readyz")))[0] == "HTTP/1.1 200 OK"
    checked.checks["database"] = False
    status, body = await say(port, get("/readyz?verbose"))
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert json.loads(body)["checks"] == {"nats": True, "database": False}


async def test_metrics_are_text(port: int) -> None:
    status, body = await say(port, get("/metrics"))
    assert status == "HTTP/1.1 200 OK"
    assert b"\npenstock_executor_in_flight 0.0\n" in body
    assert (await say(port, get("/metrics", "HEAD")))[1] == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/"), "HTTP/1.1 404 Not Found"),
        (get("/livez", "POST"), "HTTP/1.1 405 Method Not Allowed"),
        (b"nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (b"\xff\x00 \xfe \xfd\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        (b"x" * 4 * REQUEST_BYTES_MAX, ""),
    ],
)
async def test_other_requests_are_turned_down(port: int, request_: bytes, status: str) -> None:
    assert (await say(port, request_))[0] == status
    assert (await say(port, get("/livez")))[0] == "HTTP/1.1 200 OK"


async def test_more_connections_than_agreed_are_closed(port: int) -> None:
    silent = [await asyncio.open_connection(HOST, port) for _ in range(CONNECTIONS_MAX)]
    await asyncio.sleep(0)
    assert await say(port, get("/livez")) == ("", b"")
    for _, writer in silent:
        writer.close()
    async with asyncio.timeout(10):
        while not (await say(port, get("/livez")))[0]:
            pass
