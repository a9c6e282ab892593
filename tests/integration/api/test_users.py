"""Users: registered, invited, changed, removed, and what holds while that happens at once."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

from httpx import AsyncClient

from penstock.api.identity import logins
from penstock.api.identity.logins import Login
from penstock.infra.postgres.tenant import tenant_session
from tests.integration.api.houses import House
from tests.integration.api.people import PASSWORD, ROLES, added, address, log_in, registered


async def test_whoever_registers_is_the_admin_of_a_tenant_of_their_own(house: House) -> None:
    email = address("Ada").replace("ada", "Ada")
    body = {"tenantName": "Ada's", "email": email, "password": PASSWORD, "name": "Ada L."}
    answer = await house.client.post("/api/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["x-log-position"].startswith("r")
    found = answer.json()
    assert found["user"]["role"] == "admin"
    assert found["expiresIn"] == 900
    async with house.caller(found["token"]) as ada:
        me = (await ada.get("/api/auth/me")).json()
        assert me["actor"] == f"user:{found['user']['id']}"
        assert me["tenant"] == {"id": found["tenant"]["id"], "name": "Ada's"}
        assert me["user"] == found["user"]
        assert (me["user"]["email"], me["user"]["name"]) == (email.casefold(), "Ada L.")
        assert "users:manage" in me["permissions"]
        made = (await ada.post("/api/workflows", json={"name": "hers"})).json()
        assert made["createdBy"] == me["actor"]


async def test_an_address_is_one_users_whatever_its_case(house: House) -> None:
    first = await registered(house)
    body = {"tenantName": "again", "email": first["email"].upper(), "password": PASSWORD}
    answer = await house.client.post("/api/auth/register", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "EMAIL_TAKEN")
    other = await registered(house)
    async with house.caller(other["token"]) as admin:
        asked = {"email": first["email"], "role": "viewer"}
        answer = await admin.post("/api/users", json=asked)
        assert (answer.status_code, answer.json()["code"]) == (409, "EMAIL_TAKEN")


async def test_of_many_who_register_one_address_at_once_one_has_it(house: House) -> None:
    body = {"tenantName": "race", "email": address(), "password": PASSWORD}
    answers = await asyncio.gather(
        *(house.client.post("/api/auth/register", json=body) for _ in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]


async def test_a_repeated_registration_makes_one_tenant_and_asks_for_the_password(
    house: House,
) -> None:
    body = {"tenantName": "twice", "email": address(), "password": PASSWORD}
    key = {"Idempotency-Key": uuid4().hex}
    first = await house.client.post("/api/auth/register", json=body, headers=key)
    again = await house.client.post("/api/auth/register", json=body, headers=key)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.json()["tenant"] == first.json()["tenant"]
    for other in ({"password": "another password"}, {"tenantName": "other"}, {"email": address()}):
        answer = await house.client.post("/api/auth/register", json=body | other, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT"), other


async def test_an_admin_adds_users_of_every_role_who_log_in(house: House) -> None:
    found = await registered(house)
    async with house.caller(found["token"]) as admin:
        made = [await added(admin, role) for role in ROLES]
        listed = (await admin.get("/api/users?limit=3")).json()
        rest = (await admin.get(f"/api/users?cursor={listed['nextCursor']}")).json()
        assert listed["items"] + rest["items"] == [*reversed(made), found["user"]]
        for user in made:
            assert (await admin.get(f"/api/users/{user['id']}")).json() == user
            token = (await log_in(house, user["email"])).json()["token"]
            async with house.caller(token) as client:
                assert (await client.get("/api/auth/me")).json()["role"] == user["role"]
                may = 200 if user["role"] == "admin" else 403
                assert (await client.get("/api/users")).status_code == may


async def test_who_is_invited_chooses_a_password_once(house: House) -> None:
    found = await registered(house)
    async with house.caller(found["token"]) as admin:
        asked = {"email": address(), "role": "editor"}
        invited = (await admin.post("/api/users", json=asked)).json()
        assert invited["status"] == "invited"
        listed = (await admin.get(f"/api/users/{invited['id']}")).json()
        assert "inviteToken" not in listed
        assert (await log_in(house, asked["email"])).status_code == 401
        body = {"token": invited["inviteToken"], "password": PASSWORD}
        accepted = await house.client.post("/api/auth/accept", json=body)
        assert accepted.status_code == 200, accepted.text
        assert (await log_in(house, asked["email"])).status_code == 200
        assert (await house.client.post("/api/auth/accept", json=body)).status_code == 401
        listed = (await admin.get(f"/api/users/{invited['id']}")).json()
        assert (listed["status"], listed["acceptedAt"] is None) == ("active", False)


async def test_a_repeated_invitation_is_the_same_one(tenant: AsyncClient) -> None:
    asked, key = {"email": address(), "role": "viewer"}, {"Idempotency-Key": uuid4().hex}
    first = await tenant.post("/api/users", json=asked, headers=key)
    again = await tenant.post("/api/users", json=asked, headers=key)
    assert again.json() == first.json()
    other = await tenant.post("/api/users", json=asked | {"role": "admin"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")


async def test_a_changed_role_holds_at_once(house: House) -> None:
    found = await registered(house)
    async with house.caller(found["token"]) as admin:
        user = await added(admin, "editor")
        token = (await log_in(house, user["email"])).json()["token"]
        async with house.caller(token) as client:
            assert (await client.post("/api/workflows", json={"name": "w"})).status_code == 201
            patch = {"role": "viewer", "name": "New Name"}
            changed = await admin.patch(f"/api/users/{user['id']}", json=patch)
            assert changed.json() == user | patch
            assert (await client.post("/api/workflows", json={"name": "w"})).status_code == 403
            assert (await client.get("/api/auth/me")).json()["user"] == changed.json()


async def test_who_is_removed_is_out_at_once_and_their_address_is_free(house: House) -> None:
    found = await registered(house)
    async with house.caller(found["token"]) as admin:
        user = await added(admin, "viewer")
        session = (await log_in(house, user["email"])).json()
        async with house.caller(session["token"]) as client:
            assert (await client.get("/api/workflows")).status_code == 200
            path = f"/api/users/{user['id']}"
            assert (await admin.delete(path)).status_code == 204
            assert (await client.get("/api/workflows")).status_code == 401
            assert (await admin.delete(path)).status_code == 404
            assert (await admin.get(path)).status_code == 404
        spent = {"refreshToken": session["refreshToken"]}
        assert (await house.client.post("/api/auth/refresh", json=spent)).status_code == 401
        assert (await log_in(house, user["email"])).status_code == 401
        await added(admin, "viewer", email=user["email"])


async def test_the_last_admin_stays_even_when_two_demote_each_other(house: House) -> None:
    found = await registered(house)
    mine = f"/api/users/{found['user']['id']}"
    async with house.caller(found["token"]) as admin:
        for refused in (await admin.delete(mine), await admin.patch(mine, json={"role": "editor"})):
            assert (refused.status_code, refused.json()["code"]) == (409, "LAST_ADMIN")
        assert (await admin.get("/api/auth/me")).json()["role"] == "admin"
        for _ in range(5):
            await two_demote_each_other(house, admin, mine)


async def two_demote_each_other(house: House, admin: AsyncClient, mine: str) -> None:
    other = await added(admin, "admin")
    token = (await log_in(house, other["email"])).json()["token"]
    async with house.caller(token) as second:
        answers = await asyncio.gather(
            admin.patch(f"/api/users/{other['id']}", json={"role": "editor"}),
            second.patch(mine, json={"role": "editor"}),
        )
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses in ([200, 403], [200, 409])
        if answers[1].status_code == 200:
            assert (await second.patch(mine, json={"role": "admin"})).status_code == 200


async def test_nobody_gives_a_role_above_their_own(tenant: AsyncClient) -> None:
    for path, body in (
        ("/api/users", {"email": address(), "role": "platform_admin"}),
        ("/api/api-keys", {"name": "k", "role": "platform_admin"}),
    ):
        assert (await tenant.post(path, json=body)).status_code == 400


async def test_users_that_cannot_be_are_refused(tenant: AsyncClient) -> None:
    good: dict[str, Any] = {"email": address(), "role": "viewer", "password": PASSWORD}
    for bad in (
        {"email": "nobody"},
        {"email": "a@b@c"},
        {"email": f"{'x' * 300}@example.org"},
        {"email": "a\u0000@b"},
        {"role": "king"},
        {"password": "short"},
        {"password": "x" * 257},
        {"name": "a\nb"},
        {"more": 1},
    ):
        answer = await tenant.post("/api/users", json=good | bad)
        assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR"), bad


async def test_the_sweep_settles_by_the_log_what_is_doubtful(house: House) -> None:
    found = await registered(house)
    tenant_id = found["tenant"]["id"]
    accounts = house.api.parts.accounts
    orphan = Login(uuid4(), uuid4(), "hash")
    await logins.keep(accounts.engine, orphan, [b"orphan"])
    real = Login(UUID(tenant_id), UUID(found["user"]["id"]))
    await logins.doubt(accounts.engine, real)
    await accounts.sweep.round(doubted_s=3600)
    assert await logins.find(accounts.engine, [b"orphan"]) is not None
    await accounts.sweep.round(doubted_s=0)
    assert await logins.find(accounts.engine, [b"orphan"]) is None
    assert (await log_in(house, found["email"])).status_code == 200
    doubtful = await logins.doubtful(accounts.engine, age_s=0, at_most=100)
    assert real not in doubtful


async def test_what_is_kept_of_a_person_is_no_address_and_no_password(house: House) -> None:
    found = await registered(house)
    async with tenant_session(house.api.parts.engine, found["tenant"]["id"]) as session:
        rows = [
            *await session.all("select * from vault.emails"),
            *await session.all("select * from vault.logins"),
            *await session.all("select * from vault.sessions"),
        ]
    assert len(rows) == 3
    text = repr(rows)
    for told in (found["email"], PASSWORD, found["refreshToken"], found["token"]):
        assert told not in text
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in text
