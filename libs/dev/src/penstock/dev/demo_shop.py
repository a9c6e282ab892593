"""The demo's far side: a small shop that answers over HTTP, in a thread of this process.

Its stock service is down at the first try of every caller, so that a retry is seen.
"""

import json
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final, Self

HOST: Final = "127.0.0.1"
BODY_BYTES_MAX: Final = 64 * 1024
SOCKET_TIMEOUT_S: Final = 30.0

ORDERS: Final = {
    "o-1001": {"customerId": "c-7", "sku": "turbine", "quantity": 3, "unitPrice": 480.0},
    "o-1002": {"customerId": "c-9", "sku": "gasket", "quantity": 20, "unitPrice": 1.5},
}
CUSTOMERS: Final = {
    "c-7": {"name": "Ada Works", "tier": "gold"},
    "c-9": {"name": "Noether Pipes", "tier": "silver"},
}
STOCK: Final = {"turbine": {"available": 5}, "gasket": {"available": 4000}}
Shelf = Mapping[str, Mapping[str, object]]
SHELVES: Final[Mapping[str, Shelf]] = {
    "orders": ORDERS,
    "customers": CUSTOMERS,
    "stock": STOCK,
}

Answer = tuple[int, dict[str, Any]]


class Shop:
    """The shop while it is open: a context. `url` is where; `calls` counts what it was asked."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.keys: dict[str, set[str]] = {}
        self._server = ThreadingHTTPServer((HOST, 0), handler_of(self))
        self._thread = Thread(target=self._server.serve_forever, name="shop", daemon=True)

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"{HOST}:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Where it answers, without a slash at its end."""
        return f"http://{self.address}"

    def answer(self, method: str, path: str, key: str, body: object) -> Answer:
        """The status and body for a request. key: the caller's Idempotency-Key."""
        shelf, _, name = path.strip("/").partition("/")
        self.calls[shelf] += 1
        seen = self.keys.setdefault(shelf, set())
        is_new = key not in seen
        seen.add(key)
        if method == "POST" and shelf == "confirmations":
            return 201, {"confirmation": f"k-{len(seen):04}", "of": body}
        found = SHELVES.get(shelf, {}).get(name)
        if found is None:
            return 404, {"error": f"there is no {path}"}
        if shelf == "stock" and is_new:
            return 503, {"error": "the stock service is starting"}
        return 200, {"id": name, **found}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def handler_of(shop: Shop) -> type[BaseHTTPRequestHandler]:
    """The handler of one shop's requests, as the standard library wants it."""

    class Handler(BaseHTTPRequestHandler):
        """Reads a request, asks the shop, writes its answer."""

        timeout = SOCKET_TIMEOUT_S

        def do_GET(self) -> None:
            """Read something from a shelf."""
            self._answer(None)

        def do_POST(self) -> None:
            """Confirm an order."""
            length = min(int(self.headers.get("Content-Length") or 0), BODY_BYTES_MAX)
            self._answer(json.loads(self.rfile.read(length) or b"null"))

        def _answer(self, body: object) -> None:
            key = self.headers.get("Idempotency-Key") or ""
            status, said = shop.answer(self.command, self.path, key, body)
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing: the demo shows the steps."""

    return Handler
