"""What browsers on other origins may do: call, with a credential in a header, from where we say.

Cookies are never taken, so `Access-Control-Allow-Credentials` is never said. Refusals of the door
pass here too: a page that must not read an answer could not tell a 429 from a broken network.
"""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from penstock.api.answers import POSITION_HEADER, REPLAYED_HEADER
from penstock.api.errors import answer, handle, invalid
from penstock.infra.telemetry import tracing

REFUSED = "refused"
"""Where the door leaves the problem of a request that goes no further."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
RATE_LIMIT = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After")
EXPOSED = ("ETag", "Location", POSITION_HEADER, REPLAYED_HEADER, *RATE_LIMIT, "X-Request-Id")
PREFLIGHT_SECONDS = 600
"""How long a browser need not ask again."""


class Refusals:
    """Answers what the door has refused, and passes on the rest."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        problem = scope.get(REFUSED)
        if problem is None:
            await self.app(scope, receive, send)
            return
        response = await handle(Request(scope), problem)
        await response(scope, receive, send)


class CrossOrigin(CORSMiddleware):
    """The browsers' rules; what is refused is a problem as everywhere."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to what a browser asks before it calls."""
        given = super().preflight_response(request_headers)
        if given.status_code < 400:
            return given
        said = "another origin may not call so: see PENSTOCK_CORS_ORIGINS"
        problem = answer(invalid(said), tracing.trace_id(tracing.new_trace()))
        for name, value in given.headers.items():
            if name not in problem.headers:
                problem.headers[name] = value
        return problem


def crossed(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """`app`, callable by browsers from these origins."""
    refusing = Refusals(app)
    if not origins:
        return refusing
    return CrossOrigin(
        refusing,
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=["*"],
        expose_headers=EXPOSED,
        max_age=PREFLIGHT_SECONDS,
    )
