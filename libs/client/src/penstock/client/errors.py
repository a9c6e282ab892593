"""What can go wrong between a client and Penstock, as one tree.

PenstockError
├── NotConfigured         no URL or key is known, or penstock.json cannot be read
├── Unreachable           no answer, after all tries
├── BadAnswer             an answer that is not Penstock's
├── Refused               Penstock answered with a problem (RFC 9457)
│   ├── Invalid           400, 413, 415: the request is wrong; `problems` names every fault
│   ├── Unauthorized      401
│   ├── Forbidden         403
│   ├── NotFound          404: unknown, or another tenant's
│   ├── Conflict          409: the state forbids it; `code` says which
│   ├── PreconditionFailed  412: somebody was faster
│   ├── RateLimited       429; `retry_after_s`
│   ├── Unavailable       503; `retry_after_s`
│   └── ServerFault       any other 5xx
├── RunUnsuccessful       the run that was waited for failed, was cancelled or timed out; `run`
└── WaitTimeout           the run that was waited for is still on its way; `run_id`
"""

from typing import Final

from penstock.client.models import Problem, ProblemDetail, Run


class PenstockError(Exception):
    """Anything the SDK raises on purpose."""


class NotConfigured(PenstockError):
    """Nothing tells which Penstock to talk to, or as whom."""


class Unreachable(PenstockError):
    """Penstock did not answer, however often it was tried."""


class BadAnswer(PenstockError):
    """Somebody answered, but not as Penstock does."""


class Refused(PenstockError):
    """Penstock's own no: a status, a stable code, a sentence, and all faults of the request."""

    def __init__(self, problem: Problem, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.status = problem.status
        self.code = problem.code
        self.message = problem.detail
        self.problems: tuple[ProblemDetail, ...] = problem.details
        self.trace_id = problem.trace_id
        self.retry_after_s = retry_after_s


class Invalid(Refused):
    """The request, or the definition in it, is wrong; `problems` names every fault."""


class Unauthorized(Refused):
    """The key is missing, unknown, expired or deleted."""


class Forbidden(Refused):
    """The key's role does not allow it, or the tenant is not the key's."""


class NotFound(Refused):
    """No such thing in this tenant."""


class Conflict(Refused):
    """The state of things forbids it; `code` says what stands in the way."""


class PreconditionFailed(Refused):
    """The workflow was changed since its ETag was read."""


class RateLimited(Refused):
    """Too many requests, or a quota is used up."""


class Unavailable(Refused):
    """Penstock cannot do it at the moment."""


class ServerFault(Refused):
    """Penstock failed; `trace_id` helps its operator."""


class RunUnsuccessful(PenstockError):
    """The run came to an end, but not to success."""

    def __init__(self, run: Run) -> None:
        reason = f": {run.error.message} ({run.error.code})" if run.error else ""
        super().__init__(f"run {run.id} {run.status.replace('_', ' ')}{reason}")
        self.run = run


class WaitTimeout(PenstockError):
    """The run did not end in time; it goes on."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id} has not ended yet")
        self.run_id = run_id


BY_STATUS: Final[dict[int, type[Refused]]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: PreconditionFailed,
    413: Invalid,
    415: Invalid,
    429: RateLimited,
    503: Unavailable,
}


def refused(problem: Problem, *, retry_after_s: float | None = None) -> Refused:
    """The error that a problem stands for."""
    other = ServerFault if problem.status >= 500 else Refused
    return BY_STATUS.get(problem.status, other)(problem, retry_after_s=retry_after_s)
