"""Whether who holds a connection open still may: what let them in is asked again and again.

A token that has expired, a session or a user that is over and a key that was revoked close what
they had opened. The client comes back with a new credential, from the position that it has.
"""

from time import monotonic

from starlette.requests import Request

from penstock.api.auth import Access
from penstock.api.errors import Problem, Unavailable
from penstock.infra.postgres.engine import DatabaseUnavailable

CHECK_S = 15.0
"""How often an open connection's credential is asked for again."""


class Standing:
    """One connection's. request: with which it was opened. access: what let it pass."""

    def __init__(self, request: Request, access: Access) -> None:
        self._request = request
        self._access = access
        self._asked = monotonic()

    async def refusal_when_due(self) -> Problem | None:
        """The same for who comes by often: asked every `CHECK_S`, None in between."""
        return await self.refusal() if monotonic() - self._asked >= CHECK_S else None

    async def refusal(self) -> Problem | None:
        """Why the connection has to end, None where it may go on.

        Also None while a server is away that would have to be asked.
        """
        self._asked = monotonic()
        try:
            await self._access.judge(self._request)
        except (DatabaseUnavailable, Unavailable):
            return None
        except Problem as problem:
            return problem
        return None
