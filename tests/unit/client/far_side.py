"""The far side of a network: a real HTTP server that plays a script, one act a request."""

import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self


@dataclass(frozen=True)
class Act:
    """What happens to one request. `breaks`: the connection is cut after the body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    breaks: bool = False


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def says(value: Any, status: int = 200, **headers: str) -> Act:
    """A JSON answer; underscores in names of headers stand for hyphens."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Act(status, json.dumps(value).encode(), {"Content-Type": "application/json", **named})


def refuses(status: int, code: str, *details: dict[str, str], **headers: str) -> Act:
    """A problem as Penstock writes it."""
    problem = {
        "type": "about:blank",
        "title": "no",
        "status": status,
        "detail": "it is so",
        "code": code,
        "message": "it is so",
        "details": list(details),
        "traceId": "t-1",
    }
    return says(problem, status, **headers)


def streams(*frames: str, breaks: bool = False) -> Act:
    """A stream of server-sent events; with `breaks` the connection is cut in its middle."""
    body = "".join(frames).encode()
    headers = {"Content-Type": "text/event-stream", "Content-Length": str(len(body) + breaks)}
    return Act(200, body, headers, breaks)


def frame(position: str, kind: str = "StepReady", **data: Any) -> str:
    """One event as a frame."""
    event = {
        "position": position,
        "type": kind,
        "version": 1,
        "at": "2026-11-21T12:00:00.000Z",
        "tenantId": "t",
        "subject": {"kind": "run", "id": "r-1"},
        "data": data,
    }
    return f"id: {position}\nevent: {kind}\ndata: {json.dumps(event)}\n\n"


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
END = "event: end\ndata: {}\n\n"
GONE = Act(breaks=True)
"""The connection is cut before a word."""


class FarSide:
    """The server while it stands: a context. Requests beyond the script get 500."""

    def __init__(self, *script: Act) -> None:
        self.script = list(script)
        self.seen: list[Seen] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Where it stands."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def act(self, seen: Seen) -> Act:
        """What the script says comes next."""
        self.seen.append(seen)
        return self.script.pop(0) if self.script else Act(500)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def handler_of(far_side: FarSide) -> type[BaseHTTPRequestHandler]:
    """The handler that plays one far side's script."""

    class Handler(BaseHTTPRequestHandler):
        """Every method is the same here."""

        protocol_version = "HTTP/1.1"
        timeout = 10

        def play(self) -> None:
            """One request, one act."""
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            act = far_side.act(Seen(self.command, self.path, headers, body))
            self.close_connection = act.breaks
            if act == GONE:
                return
            self.send_response(act.status)
            for name, value in {"Content-Length": str(len(act.body)), **act.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(act.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Tests are quiet."""

    for method in METHODS:
        setattr(Handler, f"do_{method}", Handler.play)
    return Handler
