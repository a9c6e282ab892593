"""Every refusal as `application/problem+json`, and the one table from our errors to statuses.

A problem is `{type, title, status, detail, code, message, details, traceId}`; `message` equals
`detail`, `code` is stable, `details` names each fault as `{pointer, code, message}`.
"""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from nats.errors import Error as NatsError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from penstock.domain.errors import Conflict, Contention, Invalid, NotFound, Refused
from penstock.infra.blobs.port import BlobsUnavailable
from penstock.infra.nats.direct import ReadUnavailable
from penstock.infra.nats.publish import PublishError
from penstock.infra.postgres.engine import DatabaseUnavailable
from penstock.infra.telemetry import logs, tracing

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 1
"""Servers are back within seconds, and a client that asks once a second is no burden."""
DETAILS_MAX = 1000
"""As many faults as one answer names; a definition may have one a node."""

CODES = {
    400: "VALIDATION_ERROR",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    409: "CONFLICT",
    412: "PRECONDITION_FAILED",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    431: "HEADERS_TOO_LARGE",
    500: "INTERNAL_ERROR",
    503: "UNAVAILABLE",
}
"""The code of a status that nobody has a more telling one for."""

CODE = "code"
"""Where a request's scope says which problem it was answered with."""

UNAVAILABLE = (
    DatabaseUnavailable,
    PublishError,
    ReadUnavailable,
    BlobsUnavailable,
    Contention,
    NatsError,
)
"""A server is away, or busy: the same request may succeed in a moment."""

Detail = Mapping[str, Any]

_log = logs.logger(__name__)


class Problem(Exception):
    """An answer that says what is wrong; see the module for its members."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        details: Sequence[Detail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or CODES.get(status, "ERROR")
        self.details = details
        self.headers = headers or {}


class Unauthorized(Problem):
    """No credential, or none that opens anything; the answer does not say which."""

    def __init__(self) -> None:
        super().__init__(
            401,
            "a valid API key or token is needed",
            headers={"WWW-Authenticate": 'Bearer realm="penstock"'},
        )


class Unavailable(Problem):
    """Something that the request needs is away for the moment."""

    def __init__(self, message: str = "a server that this needs is away; try again soon") -> None:
        super().__init__(503, message, headers={"Retry-After": str(RETRY_AFTER_S)})


def detail(pointer: str, code: str, message: str) -> dict[str, str]:
    """One fault of a request; `pointer` is a JSON pointer into what was sent."""
    return {"pointer": pointer, "code": code, "message": message}


def invalid(message: str, *details: Detail) -> Problem:
    """The problem of a request that is itself wrong."""
    return Problem(400, message, details=details)


def of_refusal(refused: Refused) -> Problem:
    """The problem that a refusal of the domain is to a client."""
    match refused:
        case NotFound():
            status = 404
        case Conflict():
            status = 412 if refused.code == CODES[412] else 409
        case Invalid():
            status = 400
        case _:
            status = 409
    return Problem(status, str(refused), code=refused.code)


def pointer(location: Iterable[object]) -> str:
    """A JSON pointer of the members and indexes in `location`."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in location)


def of_validation(error: RequestValidationError) -> Problem:
    """What the framework found wrong with path, query and headers; 400, not its 422."""
    details = [
        detail(pointer(fault["loc"]), "SCHEMA_INVALID", str(fault["msg"]))
        for fault in error.errors()[:DETAILS_MAX]
    ]
    return invalid("the request is not valid", *details)


def of_exception(error: Exception) -> Problem:
    """Any exception as what a client may hear of it."""
    match error:
        case Problem():
            return error
        case Refused():
            return of_refusal(error)
        case RequestValidationError():
            return of_validation(error)
        case HTTPException(status_code=status):
            return Problem(status, HTTPStatus(status).phrase, headers=error.headers)
        case _ if isinstance(error, UNAVAILABLE):
            _log.warning("unavailable", error=repr(error))
            return Unavailable()
        case _:
            return Problem(500, "something went wrong on our side")


def answer(problem: Problem, trace_id: str) -> Response:
    """The problem as a response."""
    body = {
        "type": f"urn:penstock:problem:{problem.code.lower().replace('_', '-')}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.message,
        "code": problem.code,
        "message": problem.message,
        "details": list(problem.details[:DETAILS_MAX]),
        "traceId": trace_id,
    }
    return Response(
        msgspec.json.encode(body),
        status_code=problem.status,
        media_type=PROBLEM_JSON,
        headers=dict(problem.headers),
    )


async def handle(request: Request, error: Exception) -> Response:
    """The exception handler of the whole application."""
    trace_id = tracing.trace_id(request.scope.get("traceparent"))
    problem = of_exception(error)
    request.scope[CODE] = problem.code
    return answer(problem, trace_id)


HANDLED: tuple[type[Exception], ...] = (
    Problem,
    Refused,
    RequestValidationError,
    HTTPException,
    *UNAVAILABLE,
    Exception,
)
"""What `handle` is registered for. A fault of ours is answered here too, and goes on to the door,
which logs it: without this the framework would answer it as plain text."""
