"""What is wrong with a request is told as a problem, wherever it is noticed."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import URL, AsyncClient, Response

from tests.integration.api.houses import House, chain, waiting

MIB = 1024 * 1024


def is_problem(answer: Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {
        "type", "title", "status", "detail", "code", "message", "details", "traceId",
    }  # fmt: skip
    assert (body["status"], body["code"], body["message"]) == (status, code, body["detail"])
    assert len(body["traceId"]) == 32
    return body


@pytest.mark.parametrize("path", ["/", "/nope", "/api", "/api/nope", "/api/runs/a/b/c", "/api/"])
async def test_an_unknown_path_is_a_problem(house: House, path: str) -> None:
    is_problem(await house.client.get(path), 404, "NOT_FOUND")


async def test_a_wrong_method_is_a_problem(house: House) -> None:
    answer = await house.client.put("/api/health")
    is_problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/metrics", "/docs", "/api/health", "/api/openapi.json", "/nope"]
)
async def test_head_is_answered_as_get_without_its_body(house: House, path: str) -> None:
    head, got = await house.client.head(path), await house.client.get(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert "x-request-id" in head.headers


async def test_head_of_a_list_and_of_a_live_stream_ends(tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"definition": waiting()})).json()
    run = (await tenant.post(f"/api/workflows/{made['id']}/execute", json={})).json()["runId"]
    for path in ("/api/runs", f"/api/runs/{run}", f"/api/runs/{run}/stream"):
        head = await tenant.head(path)
        assert (head.status_code, head.content) == (200, b"")
    assert (await tenant.post(f"/api/runs/{run}/cancel")).status_code == 202


async def said(house: House, request: bytes) -> Response:
    """What the server answers to raw bytes, until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(house.url).port)
    writer.write(request)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Response(int(status.split()[1]), headers=headers, content=body)


@pytest.mark.parametrize(
    "request_line",
    [b"BREW /api/runs HTTP/1.1", b"get /livez HTTP/1.1", b"nonsense", b"GET /livez HTTP/x"],
)
async def test_what_is_no_request_is_a_problem(house: House, request_line: bytes) -> None:
    answer = await said(house, request_line + b"\r\nHost: localhost\r\n\r\n")
    is_problem(answer, 400, "VALIDATION_ERROR")
    assert len(answer.headers["x-request-id"]) == 36
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "nonsense"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"X-API-Key": f"psk_{'0' * 32}_{'A' * 43}"},
        {"X-API-Key": b"\xc3\xa9"},
    ],
)
async def test_without_a_valid_credential_nothing_opens(
    house: House, headers: dict[str, Any]
) -> None:
    answer = await house.client.get("/api/runs", headers=headers)
    is_problem(answer, 401, "UNAUTHORIZED")
    assert "www-authenticate" in answer.headers


async def test_a_key_with_another_secret_opens_nothing(house: House, tenant: AsyncClient) -> None:
    key = (await tenant.post("/api/api-keys", json={"name": "k", "role": "viewer"})).json()["key"]
    forged = key[:-1] + ("A" if key[-1] != "A" else "B")
    answer = await house.client.get("/api/runs", headers={"X-API-Key": forged})
    is_problem(answer, 401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/query/limit"),
        ("limit=201", "/query/limit"),
        ("limit=many", "/query/limit"),
        ("status=nope", "/query/status"),
        ("from=yesterday", "/query/from"),
        ("from=2020-01-01T00:00:00", "/query/from"),
        ("from=1600000000", "/query/from"),
        ("cursor=nonsense", "/query/cursor"),
        ("cursor=W10", "/query/cursor"),
        ("cursor=WyJ4IiwieSJd", "/query/cursor"),
    ],
)
async def test_a_bad_query_names_what_is_bad(tenant: AsyncClient, query: str, pointer: str) -> None:
    body = is_problem(await tenant.get(f"/api/runs?{query}"), 400, "VALIDATION_ERROR")
    assert [each["pointer"] for each in body["details"]] == [pointer]


async def test_a_cursor_belongs_to_its_list(tenant: AsyncClient) -> None:
    for name in ("a", "b"):
        assert (await tenant.post("/api/workflows", json={"name": name})).status_code == 201
    cursor = (await tenant.get("/api/workflows?limit=1")).json()["nextCursor"]
    last = await tenant.get("/api/workflows", params={"cursor": cursor})
    assert [each["name"] for each in last.json()["items"]] == ["a"]
    for path, filters in (("/api/runs", {}), ("/api/runs", {"tag": "x"}), ("/api/api-keys", {})):
        answer = await tenant.get(path, params={"cursor": cursor, **filters})
        body = is_problem(answer, 400, "VALIDATION_ERROR")
        assert [each["pointer"] for each in body["details"]] == ["/query/cursor"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nul",
        "NaN",
        '{"name": NaN}',
        '{"name": Infinity}',
        '{"name": 1e999}',
        '{"name": "a", "name": "b"}',
        '{"name": "\\ud800"}',
        '{"name": "a"} trailing',
        "[" * 100_000,
        '{"definition": ' + "[" * 70 + "]" * 70 + "}",
        '{"definition": ' + '{"a":' * 70 + "1" + "}" * 70 + "}",
    ],
)
async def test_only_strict_json_is_taken(tenant: AsyncClient, text: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await tenant.post("/api/workflows", content=text, headers=headers)
    is_problem(answer, 400, "VALIDATION_ERROR")


async def test_not_utf8_is_refused(tenant: AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await tenant.post("/api/workflows", content=b'{"name": "\xff"}', headers=headers)
    is_problem(answer, 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_only_json_is_taken(tenant: AsyncClient, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    answer = await tenant.post("/api/workflows", content=b'{"name": "a"}', headers=headers)
    is_problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_every_fault_of_a_body_is_named(tenant: AsyncClient) -> None:
    asked = {"name": "", "role": "king", "more": 1}
    body = is_problem(await tenant.post("/api/api-keys", json=asked), 400, "VALIDATION_ERROR")
    faults = {each["pointer"]: each["code"] for each in body["details"]}
    assert faults == {
        "/name": "SCHEMA_INVALID", "/role": "SCHEMA_INVALID", "/more": "UNKNOWN_KEY"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["a\u0000b", "line\nbreak", "x" * 201])
async def test_a_name_is_short_and_printable(tenant: AsyncClient, name: str) -> None:
    body = is_problem(
        await tenant.post("/api/workflows", json={"name": name}), 400, "VALIDATION_ERROR"
    )
    assert body["details"][0]["pointer"] == "/name"


async def test_a_nul_in_an_input_is_data_as_any_other(tenant: AsyncClient) -> None:
    made = (await tenant.post("/api/workflows", json={"definition": chain("a")})).json()
    sent = {"text": "a\u0000b", "big": 2**60, "tiny": 1e-300}
    answer = await tenant.post(f"/api/executions/{made['id']}/execute", json=sent)
    assert answer.json()["output"] == sent, answer.text


async def test_a_body_over_the_limit_is_refused(tenant: AsyncClient) -> None:
    large = json.dumps({"name": "x" * (MIB + 1)}).encode()
    headers = {"Content-Type": "application/json"}
    declared = await tenant.post("/api/workflows", content=large, headers=headers)
    is_problem(declared, 413, "PAYLOAD_TOO_LARGE")

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 65_536):
            yield large[start : start + 65_536]

    streamed = await tenant.post("/api/workflows", content=chunks(), headers=headers)
    is_problem(streamed, 413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/workflows/%00", 404),
        ("/api/workflows/%ff%fe", 404),
        ("/api/runs/%00", 404),
        ("/api/workflows/" + "x" * 5000, 404),
        ("/api/runs?tag=a%00b", 400),
        ("/api/runs?workflowId=%00", 400),
        ("/api/runs?trigger=%F0%9F%8D%80", 200),
        ("/api/runs?from=0001-01-01T00:00:00%2B14:00", 200),
        ("/api/runs?to=9999-12-31T23:59:59-14:00", 200),
    ],
)
async def test_strange_texts_do_no_harm(tenant: AsyncClient, path: str, status: int) -> None:
    assert (await tenant.get(path)).status_code == status


async def test_every_answer_has_its_headers(house: House, tenant: AsyncClient) -> None:
    for answer in (
        await house.client.get("/nope"),
        await house.client.get("/livez"),
        await tenant.get("/api/runs"),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "content-security-policy" in answer.headers
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.headers["x-request-id"]) == 36
        assert "server" not in answer.headers
    named = await house.client.get("/livez", headers={"X-Request-Id": "mine.1"})
    assert named.headers["x-request-id"] == "mine.1"
    forged = await house.client.get("/livez", headers={"X-Request-Id": "a b"})
    assert forged.headers["x-request-id"] != "a b"


async def test_a_problem_belongs_to_the_trace_of_its_request(house: House) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await house.client.get("/nope", headers={"traceparent": trace})
    assert answer.json()["traceId"] == "0af7651916cd43dd8448eb211c80319c"


async def test_probes_metrics_and_health_need_no_credential(house: House) -> None:
    for path in ("/livez", "/readyz", "/api/health"):
        answer = await house.client.get(path)
        assert answer.status_code == 200, answer.text
    health = (await house.client.get("/api/health")).json()
    assert (health["ok"], health["broker"], health["database"]) == (True, True, True)
    assert health["projectionLag"] >= 0
    text = (await house.client.get("/metrics")).text
    assert 'penstock_api_requests_total{method="GET",route="/api/health",status="200"}' in text


async def test_a_read_waits_for_the_write_it_names(house: House, tenant: AsyncClient) -> None:
    made = await tenant.post("/api/workflows", json={"name": "seen"})
    position = made.headers["x-log-position"]
    answer = await tenant.get("/api/workflows", headers={"X-Read-After": position})
    assert [each["name"] for each in answer.json()["items"]] == ["seen"]
    ahead = await tenant.get("/api/workflows", headers={"X-Read-After": "r999999999.0"})
    is_problem(ahead, 503, "UNAVAILABLE")
    assert ahead.headers["retry-after"] == "1"
    wrong = await tenant.get("/api/workflows", headers={"X-Read-After": "soon"})
    is_problem(wrong, 400, "VALIDATION_ERROR")


async def test_the_documents_are_public_and_need_nothing_from_elsewhere(house: House) -> None:
    document = (await house.client.get("/api/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    page = await house.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "//" not in page.text.replace("/api/openapi.json", "")
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/api/runs", "/api/workflows", "/api/runs/x/fork"])
async def test_an_unknown_name_in_the_query_is_told_and_not_passed_over(
    tenant: AsyncClient, path: str
) -> None:
    method = "POST" if path.endswith("fork") else "GET"
    answer = await tenant.request(method, path, params={"limmit": "1", "dry/run": "true"})
    details = is_problem(answer, 400, "VALIDATION_ERROR")["details"]
    assert [(fault["pointer"], fault["code"]) for fault in details] == [
        ("/query/dry~1run", "UNKNOWN_KEY"),
        ("/query/limmit", "UNKNOWN_KEY"),
    ]


async def test_a_stranger_hears_nothing_of_what_a_query_may_hold(house: House) -> None:
    is_problem(await house.client.get("/api/runs", params={"limmit": "1"}), 401, "UNAUTHORIZED")


async def test_a_name_that_stands_twice_in_the_query_is_told_and_not_passed_over(
    tenant: AsyncClient,
) -> None:
    for path in ("/api/runs", "/api/audit/events"):
        answer = await tenant.get(f"{path}?limit=-210&limit=5")
        (fault,) = is_problem(answer, 400, "VALIDATION_ERROR")["details"]
        assert (fault["pointer"], fault["code"]) == ("/query/limit", "SCHEMA_INVALID")
    several = "type=RunStarted&type=RunSucceeded&actor=a&actor=b"
    assert (await tenant.get(f"/api/audit/events?{several}")).status_code == 200
