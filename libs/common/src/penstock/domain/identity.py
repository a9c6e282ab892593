"""Who may do what: roles, the permissions that routes ask for, and the one answer to both."""

from enum import StrEnum
from uuid import UUID

from msgspec import Struct


class Role(StrEnum):
    """What a credential may do; each role may do all that the one before it may.

    `platform_admin` stands above the tenants, the others inside one.
    """

    VIEWER = "viewer"
    MEMBER = "member"
    EDITOR = "editor"
    ADMIN = "admin"
    PLATFORM_ADMIN = "platform_admin"


RANK = {role: rank for rank, role in enumerate(Role)}

ALIASES = {"USER": Role.MEMBER, "MEMBER": Role.MEMBER, "ADMIN": Role.ADMIN}
"""Spellings that older clients send."""

TENANT_ROLES = frozenset(Role) - {Role.PLATFORM_ADMIN}
"""The roles that a user or a key of a tenant may have."""


class Permission(StrEnum):
    """What a route lets its caller do."""

    TENANTS_MANAGE = "tenants:manage"
    SELF_READ = "self:read"
    KEYS_MANAGE = "keys:manage"
    USERS_MANAGE = "users:manage"
    WORKFLOWS_READ = "workflows:read"
    WORKFLOWS_WRITE = "workflows:write"
    VARIABLES_READ = "variables:read"
    VARIABLES_WRITE = "variables:write"
    SECRETS_READ = "secrets:read"
    SECRETS_MANAGE = "secrets:manage"
    CONNECTIONS_READ = "connections:read"
    CONNECTIONS_MANAGE = "connections:manage"
    RUNS_READ = "runs:read"
    RUNS_START = "runs:start"
    RUNS_CANCEL = "runs:cancel"
    USAGE_READ = "usage:read"
    AUDIT_READ = "audit:read"


NEEDED: dict[Permission, Role] = {
    Permission.SELF_READ: Role.VIEWER,
    Permission.WORKFLOWS_READ: Role.VIEWER,
    Permission.VARIABLES_READ: Role.VIEWER,
    Permission.RUNS_READ: Role.VIEWER,
    Permission.USAGE_READ: Role.VIEWER,
    Permission.RUNS_START: Role.MEMBER,
    Permission.RUNS_CANCEL: Role.MEMBER,
    Permission.WORKFLOWS_WRITE: Role.EDITOR,
    Permission.VARIABLES_WRITE: Role.EDITOR,
    Permission.SECRETS_READ: Role.EDITOR,
    Permission.CONNECTIONS_READ: Role.EDITOR,
    Permission.SECRETS_MANAGE: Role.ADMIN,
    Permission.CONNECTIONS_MANAGE: Role.ADMIN,
    Permission.KEYS_MANAGE: Role.ADMIN,
    Permission.USERS_MANAGE: Role.ADMIN,
    Permission.AUDIT_READ: Role.ADMIN,
    Permission.TENANTS_MANAGE: Role.PLATFORM_ADMIN,
}
"""The least role that has a permission. One that is not listed, nobody has."""


PLATFORM_SCOPE = UUID(int=0)
"""What happens at the platform and in no tenant is told as of this one, which nobody is in."""


class Principal(Struct, frozen=True, kw_only=True):
    """Who asks. `tenant_id` is None for the platform admin until a request names a tenant.

    actor: `<kind>:<id>` as events record it, such as `key:0190…` or `admin:platform`.
    """

    actor: str
    role: Role
    tenant_id: str | None = None


def permits(role: Role, permission: Permission) -> bool:
    """Whether `role` has `permission`."""
    needed = NEEDED.get(permission)
    return needed is not None and RANK[role] >= RANK[needed]


def may_grant(giver: Role, role: Role) -> bool:
    """Whether whoever has the role `giver` may give somebody, or a key, the role `role`."""
    return role in TENANT_ROLES and RANK[role] <= RANK[giver]


def role_of(text: str) -> Role | None:
    """The role that a client means by `text`, None when there is no such role."""
    if text in ALIASES:
        return ALIASES[text]
    return Role(text) if text in RANK else None
