"""Who calls, and whether they may: each route names the permission it needs, or says it is public.

The dependency of a route is the statement: `Access(permission)`. A route without one is a fault
that a test finds. A credential belongs to one tenant, and no path or body can name another.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Depends
from fastapi.routing import APIRoute
from msgspec import Struct
from starlette.requests import Request

from penstock.api.errors import Problem, Unauthorized
from penstock.api.parameters import refuse_unknown
from penstock.api.parts import Parts, parts_of
from penstock.api.rates import RATE, too_often
from penstock.domain.identity import PLATFORM_SCOPE, Permission, Principal, Role, permits

IsKnown = Callable[[Parts, UUID], Awaitable[bool]]


PRESENTED = "presented"
"""Where a request's scope says what its credential claimed to be."""
NOTHING = "nothing"


class Caller(Struct, frozen=True, kw_only=True):
    """A principal at a route of a tenant: `tenant_id` is theirs, or the one an admin named."""

    actor: str
    role: Role
    tenant_id: str


class Access:
    """Lets only callers with `permission` pass, and says for which tenant they act."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Caller:
        """The caller, whose request counts. Raises Problem 400, 401, 403, 404 or 429."""
        principal, tenant_id = await self.judge(request)
        request.scope["tenant"] = tenant_id
        await keep_rates(request, parts_of(request), principal, tenant_id)
        return Caller(actor=principal.actor, role=principal.role, tenant_id=tenant_id)

    async def judge(self, request: Request) -> tuple[Principal, str]:
        """Who asks, and for which tenant. Raises Problem 400, 401, 403 or 404."""
        parts = parts_of(request)
        principal = await permitted(request, parts, self.permission)
        return principal, await tenant_of(request, parts, principal, self.is_known)

    async def is_known(self, parts: Parts, tenant_id: UUID) -> bool:
        """Whether the platform admin may act for such a tenant."""
        return await parts.keys.has_tenant(tenant_id)


class AuditAccess(Access):
    """Shows the platform admin also what became of deleted tenants, and of the platform itself."""

    async def is_known(self, parts: Parts, tenant_id: UUID) -> bool:
        """Whether anything may have happened there."""
        return tenant_id == PLATFORM_SCOPE or await parts.keys.has_history(tenant_id)


async def keep_rates(request: Request, parts: Parts, principal: Principal, tenant_id: str) -> None:
    """Count the request. Raises Problem 429 where it is one too many.

    Who stands above the tenants uses up nothing of theirs.
    """
    if principal.tenant_id is None:
        return
    taken = parts.rates.of_key(principal.actor)
    if taken is not None:
        request.scope[RATE] = taken
        if taken.wait_s:
            raise too_often("this credential", "keyRequestsPerMinute", taken)
    per_minute = (await parts.limits.of(tenant_id)).requests_per_minute
    if per_minute is not None:
        taken = request.scope[RATE] = parts.rates.of_tenant(tenant_id, per_minute)
        if taken.wait_s:
            raise too_often("the tenant", "requestsPerMinute", taken)


class PlatformAccess:
    """Lets only callers with `permission` pass, for whatever tenant, or none."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Principal:
        """The caller. Raises Problem 401 or 403."""
        return await permitted(request, parts_of(request), self.permission)


class Public:
    """Lets everybody pass: the route shows nothing that belongs to anybody."""

    permission = None

    async def __call__(self) -> None:
        """Nothing to ask."""


Guard = Access | PlatformAccess | Public

RUNS_READ = Access(Permission.RUNS_READ)
"""Also of connections that stay open."""

PUBLIC = Depends(Public())
SelfReader = Annotated[Principal, Depends(PlatformAccess(Permission.SELF_READ))]
UsersManager = Annotated[Caller, Depends(Access(Permission.USERS_MANAGE))]
KeysManager = Annotated[Caller, Depends(Access(Permission.KEYS_MANAGE))]
WorkflowsReader = Annotated[Caller, Depends(Access(Permission.WORKFLOWS_READ))]
WorkflowsWriter = Annotated[Caller, Depends(Access(Permission.WORKFLOWS_WRITE))]
VariablesReader = Annotated[Caller, Depends(Access(Permission.VARIABLES_READ))]
VariablesWriter = Annotated[Caller, Depends(Access(Permission.VARIABLES_WRITE))]
SecretsReader = Annotated[Caller, Depends(Access(Permission.SECRETS_READ))]
SecretsManager = Annotated[Caller, Depends(Access(Permission.SECRETS_MANAGE))]
ConnectionsReader = Annotated[Caller, Depends(Access(Permission.CONNECTIONS_READ))]
ConnectionsManager = Annotated[Caller, Depends(Access(Permission.CONNECTIONS_MANAGE))]
RunsReader = Annotated[Caller, Depends(RUNS_READ)]
RunsStarter = Annotated[Caller, Depends(Access(Permission.RUNS_START))]
UsageReader = Annotated[Caller, Depends(Access(Permission.USAGE_READ))]
AuditReader = Annotated[Caller, Depends(AuditAccess(Permission.AUDIT_READ))]
RunsCanceller = Annotated[Caller, Depends(Access(Permission.RUNS_CANCEL))]
TenantsManager = Annotated[Principal, Depends(PlatformAccess(Permission.TENANTS_MANAGE))]


def guard_of(route: APIRoute) -> Guard | None:
    """What the route asks of its callers; None for one that was left open by mistake."""
    for dependency in route.dependant.dependencies:
        if isinstance(dependency.call, Access | PlatformAccess | Public):
            return dependency.call
    return None


def credential_of(request: Request) -> str:
    """What the request presents. Raises Problem 401 where it presents nothing."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    text = bearer.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    if not text:
        raise Unauthorized
    return text


async def permitted(request: Request, parts: Parts, permission: Permission) -> Principal:
    """The principal who calls, if their role has `permission`."""
    request.scope[PRESENTED] = NOTHING
    text = credential_of(request)
    principal = await parts.keys.principal(text)
    if principal is None:
        request.scope[PRESENTED], request.scope["tenant"] = parts.keys.claimed(text)
        raise Unauthorized
    request.scope["actor"] = principal.actor
    request.scope["tenant"] = principal.tenant_id
    request.scope[PRESENTED] = principal.actor
    refuse_without(principal.role, permission)
    refuse_unknown(request)
    return principal


def refuse_without(role: Role, permission: Permission) -> None:
    """Raise Problem 403 for a role without `permission`: of a route, or of what is asked of it."""
    if not permits(role, permission):
        raise Problem(403, f"the role {role} does not have {permission}")


async def tenant_of(request: Request, parts: Parts, principal: Principal, is_known: IsKnown) -> str:
    """The tenant that the request acts for. is_known: whether there is one that an admin names."""
    named = request.headers.get("x-tenant-id", "").strip()
    if principal.tenant_id is not None:
        if named and named.lower() != principal.tenant_id:
            raise Problem(403, "X-Tenant-Id names another tenant than the credential's")
        return principal.tenant_id
    if not named:
        said = "a platform admin says with X-Tenant-Id for which tenant"
        raise Problem(400, said, code="TENANT_REQUIRED")
    try:
        tenant_id = UUID(named)
    except ValueError:
        raise Problem(404, "there is no such tenant") from None
    if not await is_known(parts, tenant_id):
        raise Problem(404, "there is no such tenant")
    return str(tenant_id)
