"""A stand-in for any service, run as a script: probes, one tenant, and a diary of its life.

Its environment is what the stack gives a service. STUB_DIARY names a folder: the stub leaves its
environment there, and a line in `stops` when it is asked to end. STUB_FAILS=<service> makes that
service end at once, with STUB_CODE (1 or 2); STUB_DEAF=1 makes all ignore the wish to end.
"""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

INSTANCE = os.environ["PENSTOCK_INSTANCE"]
DIARY = Path(os.environ["STUB_DIARY"])


class Probes(BaseHTTPRequestHandler):
    """Ready at once; the API makes the same tenant every time."""

    def do_GET(self) -> None:
        """Any page: it is there."""
        self._answer(200, {})

    def do_POST(self) -> None:
        """A new tenant, for the platform admin."""
        key = self.headers["Authorization"].removeprefix("Bearer ")
        name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["name"]
        if key == os.environ["PENSTOCK_ADMIN_KEY"]:
            made = {"id": f"tenant-{time.monotonic_ns()}", "name": name, "adminApiKey": "psk_a_b"}
            self._answer(201, made)
        else:
            self._answer(401, {"detail": "not the admin"})

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def note_stop(*_: object) -> None:
    """Write down that it was asked to end, and end."""
    with (DIARY / "stops").open("a") as stops:
        stops.write(f"{INSTANCE}\n")
    os._exit(0)


def main() -> None:
    """Serve until told to end."""
    if os.environ.get("STUB_FAILS") == INSTANCE.partition("-")[0]:
        sys.exit("PENSTOCK_STUB: is wrong" if os.environ.get("STUB_CODE") == "1" else 2)
    deaf = os.environ.get("STUB_DEAF") == "1"
    signal.signal(signal.SIGTERM, signal.SIG_IGN if deaf else note_stop)
    (DIARY / f"{INSTANCE}.json").write_text(json.dumps(dict(os.environ)))
    variable = "API_PORT" if INSTANCE.startswith("api") else "METRICS_PORT"
    port = int(os.environ[f"PENSTOCK_{variable}"])
    ThreadingHTTPServer(("127.0.0.1", port), Probes).serve_forever()


if __name__ == "__main__":
    main()
