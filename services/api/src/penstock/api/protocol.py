"""HTTP as the server reads it: also what is no request is refused as a problem.

The parser gives up before there is a request, so the door never hears of an unknown method or of a
malformed line. Such a connection is answered here, and closed: where the next request begins, no
one knows.
"""

from http import HTTPStatus

from uuid_utils import uuid7
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from penstock.api.door import CONTENT_POLICY, NO_STORE, SECURITY_HEADERS
from penstock.api.errors import answer, invalid
from penstock.infra.telemetry import tracing

SAID = "that is no request: an unknown method, or a line that is not HTTP/1.1"


class Http(HttpToolsProtocol):
    """One connection; its refusals are problems as everywhere."""

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read, and close."""
        response = answer(invalid(SAID), tracing.trace_id(tracing.new_trace()))
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
        self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
        self.transport.close()


class Upgraded(WebSocketsSansIOProtocol):
    """One WebSocket; a handshake that the application refuses is complete with its answer."""

    async def send(self, message: ASGISendEvent) -> None:
        """Send one message of the application's."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            # Else the server calls a refusal a failure of ours, in its log.
            self.handshake_complete = True
