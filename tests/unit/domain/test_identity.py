"""Roles and permissions: each role may do what the one below it may, and no more than is listed."""

import pytest

from penstock.domain.identity import (
    NEEDED,
    TENANT_ROLES,
    Permission,
    Role,
    permits,
    role_of,
)

ASCENDING = (Role.VIEWER, Role.MEMBER, Role.EDITOR, Role.ADMIN, Role.PLATFORM_ADMIN)


@pytest.mark.parametrize("permission", Permission)
def test_a_role_may_do_all_that_the_one_below_may(permission: Permission) -> None:
    allowed = [permits(role, permission) for role in ASCENDING]
    assert allowed == sorted(allowed)
    assert allowed[-1]


def test_every_permission_names_the_least_role() -> None:
    assert set(NEEDED) == set(Permission)


@pytest.mark.parametrize(
    ("permission", "least"),
    [
        (Permission.RUNS_READ, Role.VIEWER),
        (Permission.RUNS_START, Role.MEMBER),
        (Permission.WORKFLOWS_WRITE, Role.EDITOR),
        (Permission.KEYS_MANAGE, Role.ADMIN),
        (Permission.TENANTS_MANAGE, Role.PLATFORM_ADMIN),
    ],
)
def test_the_least_role_may_and_the_one_below_may_not(permission: Permission, least: Role) -> None:
    allowed = [role for role in ASCENDING if permits(role, permission)]
    assert allowed == list(ASCENDING[ASCENDING.index(least) :])


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("viewer", Role.VIEWER),
        ("ADMIN", Role.ADMIN),
        ("USER", Role.MEMBER),
        ("MEMBER", Role.MEMBER),
        ("Admin", None),
        ("", None),
    ],
)
def test_older_spellings_are_taken(text: str, role: Role | None) -> None:
    assert role_of(text) is role


def test_no_key_of_a_tenant_stands_above_the_tenants() -> None:
    assert Role.PLATFORM_ADMIN not in TENANT_ROLES
