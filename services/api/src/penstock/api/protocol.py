"""HTTP as the server reads it: also what is no request is refused as a problem.

The parser gives up before there is a request, so the door never hears of an unknown method, of a
malformed line, of endless headers, or of a head that never comes to its end. Such a connection is
answered here, and closed: where the next request begins, no one knows.
"""

from asyncio import TimerHandle, Transport
from http import HTTPStatus

from uuid_utils import uuid7
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidMessage
from websockets.http11 import MAX_LINE_LENGTH, Request, Response

from penstock.api.door import CONTENT_POLICY, NO_STORE, SECURITY_HEADERS
from penstock.api.errors import Problem, answer, invalid
from penstock.infra.telemetry import tracing

HEADERS_MAX = 100
HEAD_BYTES_MAX = 32 * 1024
"""Of the request line and all headers together."""
HEAD_SECONDS_MAX = 15.0
"""From the connection, or the first byte of a further request, to the end of its headers."""

NO_REQUEST = invalid("that is no request: an unknown method, or a line that is not HTTP/1.1")
TOO_MANY_HEADERS = Problem(
    431, f"a request has at most {HEADERS_MAX} headers and {HEAD_BYTES_MAX} bytes before its body"
)
TOO_SLOW = Problem(408, f"a request's headers come within {HEAD_SECONDS_MAX:.0f} s")
LINE_TOO_LONG = Problem(431, f"a line of a handshake has at most {MAX_LINE_LENGTH} bytes")
NO_HANDSHAKE = invalid("that is no handshake of a WebSocket (RFC 6455)")


def last_words(problem: Problem) -> bytes:
    """A problem as the last answer on a connection."""
    response = answer(problem, tracing.trace_id(tracing.new_trace()))
    headers = [
        *response.raw_headers,
        (b"x-request-id", str(uuid7()).encode()),
        *SECURITY_HEADERS,
        CONTENT_POLICY,
        NO_STORE,
        (b"connection", b"close"),
    ]
    phrase = HTTPStatus(response.status_code).phrase
    lines = [f"HTTP/1.1 {response.status_code} {phrase}".encode()]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", bytes(response.body)])


class Http(HttpToolsProtocol):
    """One connection; its refusals are problems as everywhere."""

    _patience: TimerHandle | None = None
    _unfinished = 0
    """Bytes of a head that has not come to its end."""
    _refusal = NO_REQUEST

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait for a first request."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._end_of_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        if self._patience is not None:
            self._unfinished += len(data)
            if self._unfinished > HEAD_BYTES_MAX and not self.transport.is_closing():
                self._refuse(TOO_MANY_HEADERS)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_bytes = 0
        self._wait_for_head()

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        super().on_url(url)
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of it; what is raised here ends in `send_400_response`."""
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value)
        if len(self.headers) > HEADERS_MAX or self._head_bytes > HEAD_BYTES_MAX:
            self._refusal = TOO_MANY_HEADERS
            raise TOO_MANY_HEADERS

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._end_of_head()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read, and close."""
        self._refuse(self._refusal)

    def _refuse(self, problem: Problem) -> None:
        self._end_of_head()
        self.transport.write(last_words(problem))
        self.transport.close()

    def _wait_for_head(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEAD_SECONDS_MAX, self._too_slow)

    def _end_of_head(self) -> None:
        self._unfinished = 0
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _too_slow(self) -> None:
        self._patience = None
        if self._unfinished:
            self._refuse(TOO_SLOW)
        else:
            self.transport.close()


class Upgraded(WebSocketsSansIOProtocol):
    """One WebSocket; a handshake that the application refuses is complete with its answer."""

    def data_received(self, data: bytes) -> None:
        """Read on; a handshake that cannot be read is no event, and nobody else answers it."""
        super().data_received(data)
        unread = self.conn.handshake_exc
        if unread is not None and not self.handshake_initiated:
            self._refuse(NO_HANDSHAKE if isinstance(unread, InvalidMessage) else LINE_TOO_LONG)

    def handle_connect(self, event: Request) -> None:
        """Begin, or refuse what is no handshake."""
        offered: Response = self.conn.accept(event)
        if offered.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._refuse(NO_HANDSHAKE)
            return
        super().handle_connect(event)

    def _refuse(self, problem: Problem) -> None:
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        self.transport.write(last_words(problem))
        self.transport.close()

    async def send(self, message: ASGISendEvent) -> None:
        """Send one message of the application's."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            # Else the server calls a refusal a failure of ours, in its log.
            self.handshake_complete = True
