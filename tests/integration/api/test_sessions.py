"""Sessions: begun by a password, kept alive by tokens that are good once, ended for good."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from httpx import AsyncClient, Response

from penstock.api.identity.failures import OF_ACCOUNT_MAX, OF_ADDRESS_MAX
from penstock.infra.postgres.tenant import tenant_session
from tests.integration.api.houses import House
from tests.integration.api.people import PASSWORD, address, log_in, registered


@pytest.fixture(autouse=True)
async def forgotten(house: House) -> AsyncIterator[None]:
    """All tests share one address: what one of them failed at is no failure of the next."""
    yield
    async with house.api.parts.engine.transaction() as session:
        await session.run("delete from vault.failures")


async def refresh(house: House, token: str) -> Response:
    return await house.client.post("/api/auth/refresh", json={"refreshToken": token})


async def status_of(house: House, token: str) -> int:
    async with house.caller(token) as client:
        return (await client.get("/api/workflows")).status_code


async def test_a_session_goes_on_from_token_to_token(house: House) -> None:
    found = await registered(house)
    session = (await log_in(house, found["email"].upper())).json()
    assert set(session) == {"token", "refreshToken", "expiresIn"}
    for _ in range(3):
        answer = await refresh(house, session["refreshToken"])
        assert answer.status_code == 200, answer.text
        assert answer.json()["refreshToken"] != session["refreshToken"]
        session = answer.json()
        assert await status_of(house, session["token"]) == 200


async def test_a_refresh_token_that_comes_again_ends_the_session(house: House) -> None:
    found = await registered(house)
    first = (await log_in(house, found["email"])).json()
    second = (await refresh(house, first["refreshToken"])).json()
    again = await refresh(house, first["refreshToken"])
    assert (again.status_code, again.json()["code"]) == (401, "UNAUTHORIZED")
    assert (await refresh(house, second["refreshToken"])).status_code == 401
    assert await status_of(house, second["token"]) == 401
    assert await status_of(house, found["token"]) == 200, "another session is not touched"


async def test_of_many_refreshes_at_once_one_succeeds(house: House) -> None:
    found = await registered(house)
    answers = await asyncio.gather(*(refresh(house, found["refreshToken"]) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]


async def test_whoever_logs_out_is_out(house: House) -> None:
    found = await registered(house)
    body = {"refreshToken": found["refreshToken"]}
    assert await status_of(house, found["token"]) == 200
    assert (await house.client.post("/api/auth/logout", json=body)).status_code == 204
    assert await status_of(house, found["token"]) == 401
    assert (await refresh(house, found["refreshToken"])).status_code == 401
    assert (await house.client.post("/api/auth/logout", json=body)).status_code == 204


async def test_a_session_ends_by_itself(house: House) -> None:
    found = await registered(house)
    async with tenant_session(house.api.parts.engine, found["tenant"]["id"]) as session:
        await session.run("update vault.sessions set expires_at = now()")
    assert (await refresh(house, found["refreshToken"])).status_code == 401


async def test_tokens_that_are_none_open_nothing(house: House) -> None:
    for token in ("psr_", f"psr_{uuid4().hex}_{'A' * 43}", "x", "psi_" + "A" * 43, "é"):
        assert (await refresh(house, token)).status_code == 401
        body = {"token": token, "password": PASSWORD}
        assert (await house.client.post("/api/auth/accept", json=body)).status_code == 401


async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(house: House) -> None:
    found = await registered(house)
    answers = [
        await log_in(house, found["email"], "a wrong password"),
        await log_in(house, address(), "a wrong password"),
        await log_in(house, "no address at all", "x"),
        await log_in(house, found["email"], ""),
    ]
    bodies = [{**answer.json(), "traceId": ""} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert {answer.status_code for answer in answers} == {401}


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
async def test_an_account_is_locked_after_too_many_failures(house: House, is_known: bool) -> None:
    email = (await registered(house))["email"] if is_known else address()
    answers = [await log_in(house, email, "wrong") for _ in range(OF_ACCOUNT_MAX)]
    assert {answer.status_code for answer in answers} == {401}
    locked = await log_in(house, email)
    assert (locked.status_code, locked.json()["code"]) == (429, "RATE_LIMITED")
    assert 0 < int(locked.headers["retry-after"]) <= 900
    assert (await log_in(house, (await registered(house))["email"])).status_code == 200


async def test_guesses_at_once_get_no_further(house: House) -> None:
    email = (await registered(house))["email"]
    answers = await asyncio.gather(*(log_in(house, email, f"guess {n}") for n in range(30)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(401) <= OF_ACCOUNT_MAX
    assert set(statuses) == {401, 429}


async def test_success_makes_up_for_failures(house: House) -> None:
    email = (await registered(house))["email"]
    for _ in range(3):
        for _ in range(OF_ACCOUNT_MAX - 1):
            assert (await log_in(house, email, "wrong")).status_code == 401
        assert (await log_in(house, email)).status_code == 200


async def test_an_address_is_held_off_after_failures_at_many_accounts(house: House) -> None:
    found = await registered(house)
    failures = house.api.parts.accounts.failures
    for _ in range(OF_ADDRESS_MAX):
        await failures.begin("127.0.0.1")
    for answer in (await log_in(house, found["email"]), await refresh(house, "psr_x")):
        assert (answer.status_code, answer.json()["code"]) == (429, "RATE_LIMITED")


async def test_x_forwarded_for_of_anybody_changes_nothing(house: House) -> None:
    failures = house.api.parts.accounts.failures
    for _ in range(OF_ADDRESS_MAX):
        await failures.begin("127.0.0.1")
    headers = {"X-Forwarded-For": "203.0.113.9"}
    body = {"email": address(), "password": PASSWORD}
    answer = await house.client.post("/api/auth/login", json=body, headers=headers)
    assert answer.status_code == 429


async def test_a_deleted_tenants_users_are_out(house: House) -> None:
    found = await registered(house)
    assert await status_of(house, found["token"]) == 200
    gone = await house.admin("DELETE", f"/api/tenants/{found['tenant']['id']}")
    assert gone.status_code == 204
    assert await status_of(house, found["token"]) == 401
    assert (await log_in(house, found["email"])).status_code == 401
    assert (await refresh(house, found["refreshToken"])).status_code == 401


async def test_a_user_has_a_bounded_number_of_sessions(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.api.identity.sessions.SESSIONS_MAX", 2)
    found = await registered(house)
    later = [(await log_in(house, found["email"])).json() for _ in range(2)]
    assert (await refresh(house, found["refreshToken"])).status_code == 401
    for session in later:
        assert (await refresh(house, session["refreshToken"])).status_code == 200


async def test_a_key_of_a_maker_has_their_role_at_most(house: House, tenant: AsyncClient) -> None:
    found = await registered(house)
    async with house.caller(found["token"]) as admin:
        made = (await admin.post("/api/api-keys", json={"name": "k", "role": "viewer"})).json()
        assert made["createdBy"] == f"user:{UUID(found['user']['id'])}"
        async with house.caller(made["key"]) as viewer:
            assert (await viewer.get("/api/auth/me")).json()["user"] is None
            asked = {"name": "k", "role": "viewer"}
            assert (await viewer.post("/api/api-keys", json=asked)).status_code == 403
            assert (await admin.delete(f"/api/api-keys/{made['id']}")).status_code == 204
            assert (await viewer.get("/api/auth/me")).status_code == 401
