"""The door that every request comes through: ids, limits, headers, one log line, figures.

Plain ASGI, so that it costs little and sees everything: unknown paths, failures of ours, streams.
It leaves `request_id` and `traceparent` in the scope for whoever acts on the request.
"""

import re
from collections.abc import Iterable
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from penstock.api.audit import acts
from penstock.api.audit.acts import NOTED
from penstock.api.bodies import BODY_MAX_BYTES, too_large
from penstock.api.cross_origin import REFUSED
from penstock.api.errors import Problem, detail, handle, invalid
from penstock.api.parts import Parts
from penstock.api.rates import RATE, headers_of, too_often
from penstock.infra.telemetry import logs, metrics, tracing

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""A client's own id is kept where it can stand in a log line as it is."""

UNROUTED, UPGRADE = "(none)", "(socket)"
NUL, NUL_ENCODED = "\0", b"%00"
QUIET = frozenset({"/livez", "/readyz", "/metrics", "/api/health"})
"""Asked every few seconds by machines: their lines are for debugging."""

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"strict-transport-security", b"max-age=31536000"),
)
CONTENT_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""Answers are data; the one page of ours brings a policy of its own."""
NO_STORE = (b"cache-control", b"no-store")

_log = logs.logger(__name__)


class Door:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, parts: Parts) -> None:
        self.app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, a request or a WebSocket."""
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        scope["request_id"] = asked if REQUEST_ID.fullmatch(asked) else str(uuid7())
        if scope["type"] == "websocket":
            await self._watch(scope, receive, send, headers)
            return
        with tracing.span(f"HTTP {scope['method']}", headers.get("traceparent")) as traceparent:
            scope["traceparent"] = traceparent
            visit = (Glance if scope["method"] == "HEAD" else Visit)(scope, receive, send)
            await self._serve(visit, headers)

    async def _watch(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        """A WebSocket: no credential in its URL for others to log, and one log line at its end."""
        scope["traceparent"] = tracing.child(headers.get("traceparent"))
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        scope["token"] = dict(pairs).get("token", "")
        scope["query_string"] = urlencode([pair for pair in pairs if pair[0] != "token"]).encode()
        visit = Handshake(scope, receive, send)
        began = perf_counter()
        try:
            await self.app(scope, receive, visit.send)
        finally:
            _log.info("socket", **visit.line(UPGRADE, perf_counter() - began))
            self._witness(scope, visit.status)

    async def _serve(self, visit: "Visit", headers: Headers) -> None:
        try:
            problem = refused(visit.scope, headers) or self._one_too_many(visit.scope)
            if problem is not None:
                visit.scope[REFUSED] = problem
            await self.app(visit.scope, visit.receive, visit.send)
        except Exception as error:  # noqa: BLE001  the last place where a failure becomes an answer
            _log.exception("request failed", requestId=visit.scope["request_id"])
            if not visit.status:
                await visit.fail(error)
        finally:
            visit.ended()
            self._witness(visit.scope, visit.status)

    def _witness(self, scope: Scope, status: int) -> None:
        """What was refused, and what a route took note of, is told."""
        if status < 400 and NOTED not in scope:
            return
        found = acts.seen(scope, status, self._parts.accounts.proxies)
        if found is not None:
            tenant_id, seen = found
            request_id, traceparent = scope["request_id"], scope["traceparent"]
            self._parts.witness.saw(tenant_id, seen, request_id=request_id, traceparent=traceparent)

    def _one_too_many(self, scope: Scope) -> Problem | None:
        """What is wrong with a request from an address that sends too many."""
        client = scope.get("client")
        if client is None or scope["path"] in QUIET:
            return None
        taken = self._parts.rates.of_address(client[0])
        if taken is None:
            return None
        scope[RATE] = taken
        if not taken.wait_s:
            return None
        return too_often("this address", "addressRequestsPerMinute", taken)


def refused(scope: Scope, headers: Headers) -> Problem | None:
    """What is wrong with a request whatever it asks for; None when nothing is.

    No text of ours holds a NUL, and Postgres takes none.
    """
    if declared_length(headers) > BODY_MAX_BYTES:
        return too_large()
    if NUL in scope["path"]:
        return Problem(404, "Not Found")
    if NUL_ENCODED in scope["query_string"]:
        return invalid("the query holds a NUL", detail("/query", "SCHEMA_INVALID", "holds a NUL"))
    return None


def declared_length(headers: Headers) -> int:
    """What Content-Length says, 0 where it says nothing readable."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


class Visit:
    """One request on its way through."""

    START = "http.response.start"

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.status = 0
        self._method = scope.get("method", "GET")
        self._send = send
        self._began = perf_counter()

    async def send(self, message: Message) -> None:
        """Pass a message to the client, with the headers that every answer has."""
        if message["type"] == self.START:
            self.status = message["status"]
            message = {**message, "headers": [*self._with_ours(message.get("headers", ()))]}
        await self._send(message)

    def _with_ours(self, headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
        theirs = list(headers)
        names = {name for name, _ in theirs}
        yield from theirs
        yield b"x-request-id", self.scope["request_id"].encode()
        yield from SECURITY_HEADERS
        taken = self.scope.get(RATE)
        if taken is not None:
            yield from headers_of(taken)
        for name, value in (CONTENT_POLICY, NO_STORE):
            if name not in names:
                yield name, value

    async def fail(self, error: Exception) -> None:
        """Answer with the problem that `error` is."""
        response = await handle(Request(self.scope), error)
        await response(self.scope, self.receive, self.send)

    def ended(self) -> None:
        """One log line and the figures."""
        seconds = perf_counter() - self._began
        route = getattr(self.scope.get("route"), "path", UNROUTED)
        metrics.api_requests.labels(route, self._method, str(self.status)).inc()
        metrics.api_request_seconds.labels(route).observe(seconds)
        write = _log.debug if route in QUIET else _log.info
        write("request", **self.line(route, seconds))

    def line(self, route: str, seconds: float) -> dict[str, Any]:
        """What a log line says of it."""
        return {
            "method": self._method,
            "path": self.scope["path"],
            "route": route,
            "status": self.status,
            "durationMs": round(seconds * 1000, 2),
            "requestId": self.scope["request_id"],
            "traceId": tracing.trace_id(self.scope["traceparent"]),
            "tenant": self.scope.get("tenant"),
            "actor": self.scope.get("actor"),
        }


class Handshake(Visit):
    """What leads to a WebSocket, or to a refusal with the headers that every answer has."""

    START = "websocket.http.response.start"


class Glance(Visit):
    """A HEAD request: served as GET, of which only the head is sent."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__({**scope, "method": "GET"}, receive, send)
        self._method = scope["method"]

    async def send(self, message: Message) -> None:
        """Pass the head on and end the answer there, so that a stream ends too."""
        if message["type"] == "http.response.start":
            await super().send(message)
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
