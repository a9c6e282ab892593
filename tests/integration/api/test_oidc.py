"""Tokens of an issuer that the operator trusts, over real HTTP."""

from collections.abc import AsyncIterator
from time import time
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from penstock.api.errors import Problem
from penstock.api.identity.bearers import Bearers
from penstock.api.identity.oidc import PAUSE_S, Oidc
from tests.integration.api.houses import House
from tests.integration.api.issuers import AUDIENCE, Issuer, issuer
from tests.integration.api.people import address, registered

RSA = RSAKey.generate_key(2048)
EC = ECKey.generate_key("P-256")


@pytest.fixture
async def trusted() -> AsyncIterator[Issuer]:
    with issuer() as found:
        found.add("rsa", RSA, "RS256")
        found.add("ec", EC, "ES256")
        yield found


def bearers(house: House, trusted: Issuer) -> Bearers:
    accounts = house.api.parts.accounts
    oidc = Oidc(
        accounts.engine,
        issuer=trusted.url,
        audience=AUDIENCE,
        peppers=accounts.peppers,
        may_be_plain=True,
    )
    return Bearers(accounts.engine, tokens=accounts.tokens, people=accounts.people, oidc=oidc)


async def test_whose_verified_address_is_a_users_is_that_user(
    house: House, trusted: Issuer
) -> None:
    found = await registered(house)
    door = bearers(house, trusted)
    for kid in ("rsa", "ec"):
        for email in (found["email"], found["email"].upper()):
            principal = await door.principal(trusted.token(kid, email=email))
            assert principal is not None
            assert principal.actor == f"user:{found['user']['id']}"
            assert principal.tenant_id == found["tenant"]["id"]
    assert await door.principal(found["token"]) is not None, "ours are taken as well"
    assert trusted.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_what_the_issuer_did_not_say_so_opens_nothing(house: House, trusted: Issuer) -> None:
    found = await registered(house)
    door = bearers(house, trusted)
    now = int(time())
    wrong: list[dict[str, Any]] = [
        {"email": address()},
        {"email": None},
        {"email": "no address"},
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"aud": "others"},
        {"aud": None},
        {"aud": {AUDIENCE: 1}},
        {"iss": "https://example.org"},
        {"iss": None},
        {"exp": now - 120},
        {"exp": None},
        {"iat": now + 120},
        {"iat": None},
        {"nbf": now + 120},
        {"header": {"jku": "https://example.org"}},
        {"header": {"x5u": "https://example.org"}},
        {"header": {"kid": "nobody"}},
        {"header": {"jwk": EC.as_dict(private=False)}},
    ]
    for claims in wrong:
        token = trusted.token("ec", **{"email": found["email"], **claims})
        assert await door.principal(token) is None, claims
    assert await door.principal(trusted.token("ec", email=found["email"])) is not None


async def test_another_key_under_a_known_name_opens_nothing(house: House, trusted: Issuer) -> None:
    found = await registered(house)
    door = bearers(house, trusted)
    assert await door.principal(trusted.token("ec", email=found["email"])) is not None
    trusted.add("ec", ECKey.generate_key("P-256"), "ES256")
    assert await door.principal(trusted.token("ec", email=found["email"])) is None
    trusted.add("rsa", EC, "ES256")
    assert await door.principal(trusted.token("rsa", email=found["email"])) is None


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_keys_that_are_too_weak_or_for_something_else_are_passed_over(
    house: House, trusted: Issuer
) -> None:
    found = await registered(house)
    trusted.add("weak", RSAKey.generate_key(1024), "RS256")
    trusted.add("wide", ECKey.generate_key("P-384"), "ES384")
    door = bearers(house, trusted)
    for kid in ("weak", "wide"):
        assert await door.principal(trusted.token(kid, email=found["email"])) is None


async def test_a_new_key_is_asked_for_but_not_at_every_token(
    house: House, trusted: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await registered(house)
    door = bearers(house, trusted)
    assert await door.principal(trusted.token("ec", email=found["email"])) is not None
    trusted.add("new", ECKey.generate_key("P-256"), "ES256")
    for _ in range(5):
        assert await door.principal(trusted.token("new", email=found["email"])) is None
    assert len(trusted.asked) == 2
    assert PAUSE_S > 0
    monkeypatch.setattr("penstock.api.identity.oidc.PAUSE_S", 0.0)
    assert await door.principal(trusted.token("new", email=found["email"])) is not None


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/.well-known/openid-configuration", (500, b"")),
        ("/.well-known/openid-configuration", (200, b"[]")),
        ("/.well-known/openid-configuration", (200, b'{"issuer": "https://example.org"}')),
        ("/.well-known/openid-configuration", (302, b"http://127.0.0.1:9/")),
        ("/keys", (200, b"x" * 300_000)),
        ("/keys", (404, b"")),
    ],
)
async def test_an_issuer_that_cannot_be_believed_proves_nothing(
    house: House, trusted: Issuer, path: str, answer: tuple[int, bytes]
) -> None:
    found = await registered(house)
    trusted.raw[path] = answer
    door = bearers(house, trusted)
    with pytest.raises(Problem) as unavailable:
        await door.principal(trusted.token("ec", email=found["email"]))
    assert unavailable.value.status == 503
    assert await door.principal(found["token"]) is not None, "ours need no issuer"


async def test_keys_are_not_fetched_in_the_clear_where_that_is_not_allowed(
    house: House, trusted: Issuer
) -> None:
    accounts = house.api.parts.accounts
    oidc = Oidc(
        accounts.engine,
        issuer=trusted.url,
        audience=AUDIENCE,
        peppers=accounts.peppers,
        may_be_plain=False,
    )
    door = Bearers(accounts.engine, tokens=accounts.tokens, people=accounts.people, oidc=oidc)
    with pytest.raises(Problem):
        await door.principal(trusted.token("ec", email="a@example.org"))
    assert "/keys" not in trusted.asked
