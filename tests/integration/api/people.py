"""Tenants with users of every role, for tests about who may do what."""

from typing import Any
from uuid import uuid4

from httpx import AsyncClient, Response

from tests.integration.api.houses import House

PASSWORD = "a password of the tests"
ROLES = ("viewer", "member", "editor", "admin")


def address(name: str = "somebody") -> str:
    """An email address that nobody has yet."""
    return f"{name}-{uuid4().hex[:12]}@example.org"


async def registered(house: House, name: str = "a tenant", email: str = "") -> dict[str, Any]:
    """A new tenant with its first admin, as the answer tells it."""
    body = {"tenantName": name, "email": email or address(), "password": PASSWORD}
    answer = await house.client.post("/api/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    return {**answer.json(), "email": body["email"]}


async def log_in(house: House, email: str, password: str = PASSWORD) -> Response:
    """An attempt to log in."""
    return await house.client.post("/api/auth/login", json={"email": email, "password": password})


async def added(admin: AsyncClient, role: str, **more: Any) -> dict[str, Any]:
    """A new user of the admin's tenant, as the answer tells them."""
    body = {"email": address(role), "role": role, "password": PASSWORD, **more}
    answer = await admin.post("/api/users", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found
