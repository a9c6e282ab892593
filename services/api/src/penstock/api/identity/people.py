"""Who is a user of which tenant, and as what: asked of the log, which is never behind.

What was read is good for `REMEMBERED_S`; a change is heard at once, and a word of it that was
missed costs no more than that.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

from penstock.api.errors import Unavailable
from penstock.domain.identity import Role
from penstock.domain.tenant.decide import TENANT
from penstock.domain.tenant.state import Tenant
from penstock.domain.user.decide import USERS
from penstock.domain.user.state import Status, Users
from penstock.infra.eventlog.log import EventLog, LogUnavailable
from penstock.infra.nats import subjects
from penstock.messages import catalogue
from penstock.messages.codec import codec_for

REMEMBERED_S = 5.0
TENANTS_MAX = 1000
"""Of at most `USERS_MAX` users each, of which an id and a role are remembered."""


class Remembered(NamedTuple):
    """The roles of a tenant's active users. until: of the monotonic clock."""

    until: float
    roles: Mapping[UUID, Role]


class People:
    """Tells the present role of a user."""

    def __init__(self, log: EventLog, is_connected: Callable[[], bool]) -> None:
        self._log = log
        self._is_connected = is_connected
        self._tenants: OrderedDict[UUID, Remembered] = OrderedDict()

    async def role_of(self, tenant_id: UUID, user_id: UUID) -> Role | None:
        """The role of an active user of a living tenant; None for anybody else.

        Raises `Unavailable` when it has to be asked and the log is away.
        """
        known = self._tenants.get(tenant_id)
        if known is None or known.until < monotonic() or user_id not in known.roles:
            known = await self._read(tenant_id)
        return known.roles.get(user_id)

    async def has(self, tenant_id: UUID, user_id: UUID) -> bool:
        """Whether the log has a user who is not removed, in a tenant that is not deleted."""
        users = await self._users(tenant_id)
        return users is not None and users.living(str(user_id)) is not None

    def forget(self, tenant_id: UUID) -> None:
        """Ask again: something happened to the tenant or its users."""
        self._tenants.pop(tenant_id, None)

    async def _read(self, tenant_id: UUID) -> Remembered:
        users = await self._users(tenant_id)
        by_id = {} if users is None else users.by_id
        roles = {
            UUID(id_): Role(user.role)
            for id_, user in by_id.items()
            if user.status is Status.ACTIVE
        }
        found = Remembered(monotonic() + REMEMBERED_S, roles)
        self._tenants[tenant_id] = found
        self._tenants.move_to_end(tenant_id)
        if len(self._tenants) > TENANTS_MAX:
            self._tenants.popitem(last=False)
        return found

    async def _users(self, tenant_id: UUID) -> Users | None:
        id_ = str(tenant_id)
        tenant: Tenant | None = await self._folded(id_, catalogue.TENANT, TENANT.evolve)
        if tenant is None or tenant.deleted_at is not None:
            return None
        users: Users | None = await self._folded(id_, catalogue.USERS, USERS.evolve)
        return users

    async def _folded(self, tenant_id: str, kind: str, evolve: Callable[[Any, Any], Any]) -> Any:
        if not self._is_connected():
            raise Unavailable
        state = None
        try:
            stored = await self._log.read(subjects.registry(tenant_id, kind, tenant_id))
        except LogUnavailable as error:
            raise Unavailable from error
        for message in stored:
            for event in codec_for(kind).decode(message.body).events:
                state = evolve(state, event)
        return state
