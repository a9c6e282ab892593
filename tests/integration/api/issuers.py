"""An OpenID Connect issuer on a real port, as small as one can be."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import time
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

AUDIENCE = "penstock-of-the-tests"
Members = dict[str, Any]


class Issuer:
    """What it answers can be changed by path; it counts how often each was asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, tuple[ECKey | RSAKey, str]] = {}
        self.document: Members = {"issuer": url, "jwks_uri": f"{url}/keys"}
        self.raw: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []

    def add(self, kid: str, key: ECKey | RSAKey, algorithm: str) -> None:
        """Sign with one more key."""
        self.keys[kid] = (key, algorithm)

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        self.asked.append(path)
        if path in self.raw:
            return self.raw[path]
        if path == "/.well-known/openid-configuration":
            return 200, json.dumps(self.document).encode()
        if path == "/keys":
            jwks = [
                {**key.as_dict(private=False), "kid": kid, "use": "sig"}
                for kid, (key, _) in self.keys.items()
            ]
            return 200, json.dumps({"keys": jwks}).encode()
        return 404, b""

    def token(self, kid: str, *, header: Members | None = None, **claims: Any) -> str:
        """A token of an hour; a claim that is None is left out."""
        key, algorithm = self.keys[kid]
        now = int(time())
        said = {
            "iss": self.url,
            "aud": [AUDIENCE, "others"],
            "sub": "somebody",
            "iat": now,
            "exp": now + 3600,
            "email_verified": True,
            **claims,
        }
        payload = json.dumps({k: v for k, v in said.items() if v is not None}).encode()
        head = {"alg": algorithm, "kid": kid, **(header or {})}
        return jws.serialize_compact(head, payload, key, algorithms=[algorithm])


@contextmanager
def issuer() -> Iterator[Issuer]:
    """An issuer that serves while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = found.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status in {301, 302}:
                self.send_header("Location", body.decode())
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Issuer(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
