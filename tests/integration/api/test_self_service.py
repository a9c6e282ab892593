"""What people do about their own credentials, and admins for those who have lost theirs."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response

from penstock.api.identity.failures import OF_ACCOUNT_MAX
from penstock.infra.settings_identity import (
    IdentitySettings,
    Registration,
    is_registration_open,
)
from tests.integration.api.houses import House
from tests.integration.api.people import PASSWORD, added, address, log_in, registered

OTHER = "another password of the tests"


@pytest.fixture(autouse=True)
async def forgotten(house: House) -> AsyncIterator[None]:
    yield
    async with house.api.parts.engine.transaction() as session:
        await session.run("delete from vault.failures")


@pytest.fixture
async def admin(house: House) -> AsyncIterator[AsyncClient]:
    async with house.caller((await registered(house))["token"]) as client:
        yield client


async def changed(house: House, token: str, old: str, new: str) -> Response:
    async with house.caller(token) as client:
        body = {"password": old, "newPassword": new}
        return await client.post("/api/auth/password", json=body)


async def status_of(house: House, token: str) -> int:
    async with house.caller(token) as client:
        return (await client.get("/api/auth/me")).status_code


async def accepted(house: House, invite: str, password: str = OTHER) -> Response:
    body = {"token": invite, "password": password}
    return await house.client.post("/api/auth/accept", json=body)


async def test_who_changes_a_password_goes_on_and_other_sessions_end(
    house: House, admin: AsyncClient
) -> None:
    user = await added(admin, "viewer")
    mine, other = [(await log_in(house, user["email"])).json() for _ in range(2)]
    assert await status_of(house, other["token"]) == 200
    answer = await changed(house, mine["token"], PASSWORD, OTHER)
    assert answer.status_code == 204, answer.text
    assert [await status_of(house, each["token"]) for each in (mine, other)] == [200, 401]
    for session, status in ((mine, 200), (other, 401)):
        body = {"refreshToken": session["refreshToken"]}
        found = await house.client.post("/api/auth/refresh", json=body)
        assert found.status_code == status
    assert (await log_in(house, user["email"])).status_code == 401
    assert (await log_in(house, user["email"], OTHER)).status_code == 200
    assert (await admin.get(f"/api/users/{user['id']}")).json() == user


async def test_the_old_password_is_needed_and_cannot_be_guessed(
    house: House, admin: AsyncClient
) -> None:
    user = await added(admin, "viewer")
    token = (await log_in(house, user["email"])).json()["token"]
    for _ in range(OF_ACCOUNT_MAX):
        answer = await changed(house, token, "a wrong password", OTHER)
        assert (answer.status_code, answer.json()["code"]) == (403, "WRONG_PASSWORD")
    answer = await changed(house, token, PASSWORD, OTHER)
    assert (answer.status_code, answer.json()["code"]) == (429, "RATE_LIMITED")
    assert (await log_in(house, user["email"])).status_code == 200, "logins are counted apart"


async def test_a_new_password_is_one_and_a_key_has_none(house: House, admin: AsyncClient) -> None:
    token = (await registered(house))["token"]
    answer = await changed(house, token, PASSWORD, "short")
    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    made = (await admin.post("/api/api-keys", json={"name": "k", "role": "admin"})).json()
    answer = await changed(house, made["key"], PASSWORD, OTHER)
    assert (answer.status_code, answer.json()["code"]) == (403, "NO_PASSWORD")


async def test_a_new_invitation_voids_the_one_that_was_lost(
    house: House, admin: AsyncClient
) -> None:
    asked = {"email": address(), "role": "editor"}
    invited = (await admin.post("/api/users", json=asked)).json()
    again = await admin.post(f"/api/users/{invited['id']}/invitation")
    assert again.status_code == 200, again.text
    assert {**again.json(), "inviteToken": ""} == {**invited, "inviteToken": ""}
    assert (await accepted(house, invited["inviteToken"])).status_code == 401
    assert (await accepted(house, again.json()["inviteToken"])).status_code == 200
    assert (await accepted(house, again.json()["inviteToken"])).status_code == 401
    assert (await log_in(house, asked["email"], OTHER)).status_code == 200


async def test_who_is_invited_once_more_has_nothing_else_that_opens(
    house: House, admin: AsyncClient
) -> None:
    user = await added(admin, "editor")
    session = (await log_in(house, user["email"])).json()
    assert await status_of(house, session["token"]) == 200
    path = f"/api/users/{user['id']}"
    again: dict[str, Any] = (await admin.post(f"{path}/invitation")).json()
    assert (again["status"], again["acceptedAt"]) == ("invited", None)
    assert await status_of(house, session["token"]) == 401
    body = {"refreshToken": session["refreshToken"]}
    assert (await house.client.post("/api/auth/refresh", json=body)).status_code == 401
    assert (await log_in(house, user["email"])).status_code == 401
    assert (await accepted(house, again["inviteToken"])).status_code == 200
    assert await status_of(house, session["token"]) == 401
    assert (await log_in(house, user["email"], OTHER)).status_code == 200
    assert (await admin.get(path)).json()["status"] == "active"
    assert (await admin.post(f"/api/users/{uuid4()}/invitation")).status_code == 404


async def test_an_admin_does_not_invite_themselves(house: House, admin: AsyncClient) -> None:
    own = (await admin.get("/api/auth/me")).json()["user"]["id"]
    assert (await admin.post(f"/api/users/{own}/invitation")).status_code == 409
    key = (await admin.post("/api/api-keys", json={"name": "k", "role": "admin"})).json()["key"]
    async with house.caller(key) as client:
        assert (await client.post(f"/api/users/{own}/invitation")).status_code == 200


async def test_where_registration_is_closed_nobody_registers(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = house.api.parts.accounts
    monkeypatch.setitem(vars(accounts), "may_register", False)
    body = {"tenantName": "mine", "email": address(), "password": PASSWORD}
    answer = await house.client.post("/api/auth/register", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "REGISTRATION_CLOSED")


@pytest.mark.parametrize(
    ("is_production", "said", "is_open"),
    [
        (False, None, True),
        (True, None, False),
        (True, Registration.OPEN, True),
        (False, Registration.CLOSED, False),
    ],
)
def test_registration_is_closed_in_production_unless_it_is_opened(
    is_production: bool, said: Registration | None, is_open: bool
) -> None:
    settings = IdentitySettings(registration=said)
    assert is_registration_open(settings, is_production=is_production) is is_open
