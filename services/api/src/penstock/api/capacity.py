"""How many live connections there are, and how many there may be."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from penstock.api.errors import Problem, Unavailable
from penstock.infra.telemetry import metrics

SOCKETS_MAX = 1_000
"""Of one process; each costs some tasks, a few buffers and its subscriptions' tails."""
TENANT_SOCKETS_MAX = 200
RETRY_AFTER_S = 5


class Capacity:
    """The open sockets of one process, in all and of each tenant."""

    def __init__(self, *, most: int = SOCKETS_MAX, of_a_tenant: int = TENANT_SOCKETS_MAX) -> None:
        self._most = most
        self._of_a_tenant = of_a_tenant
        self._open: Counter[str] = Counter()

    @contextmanager
    def taken(self, tenant_id: str) -> Iterator[None]:
        """Count one more while it lasts. Raises Problem 429 or 503 for one too many."""
        if self._open.total() >= self._most:
            raise Unavailable("too many live connections; try again soon")
        if self._open[tenant_id] >= self._of_a_tenant:
            said = f"a tenant has at most {self._of_a_tenant} live connections to one process"
            retry = {"Retry-After": str(RETRY_AFTER_S)}
            raise Problem(429, said, code="RATE_LIMITED", headers=retry)
        self._open[tenant_id] += 1
        try:
            with metrics.api_sockets_open.track_inprogress():
                yield
        finally:
            self._open[tenant_id] -= 1
            if not self._open[tenant_id]:
                del self._open[tenant_id]
