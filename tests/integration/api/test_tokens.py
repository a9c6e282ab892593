"""Tokens: what opens the door, and the corpus of what does not."""

import json
from uuid import UUID, uuid4

import httpx
import pytest

from penstock.api.identity.accounts import token_keys
from penstock.api.identity.jwt_keys import derived_keys
from penstock.api.identity.tokens import Tokens
from penstock.infra.settings import ApiSettings
from tests.integration.api.houses import House
from tests.integration.api.jwt_attacks import Good, attacks, parsed, signed
from tests.integration.api.people import registered

ATTACKS_MIN = 80


async def test_no_attack_opens_the_door(house: House) -> None:
    found = await registered(house)
    token = found["token"]
    head, body, _ = token.split(".")
    good = Good(parsed(head), parsed(body), token_keys(house.settings))
    corpus = list(attacks(token, good))
    assert len({name for name, _ in corpus}) == len(corpus) >= ATTACKS_MIN
    passed, answers = [], set()
    async with house.caller("none") as client:
        for name, attack in corpus:
            assert await house.api.parts.keys.principal(attack) is None, name
            headers = {"Authorization": f"Bearer {attack}", "X-Request-Id": "r"}
            try:
                answer = await client.get("/api/auth/me", headers=headers)
            except httpx.LocalProtocolError:
                continue
            if answer.status_code != 401:
                passed.append((name, answer.status_code))
            answers.add(json.dumps({k: v for k, v in answer.json().items() if k != "traceId"}))
        assert passed == []
        assert len(answers) == 1, "a refusal does not say why"
        for token_again in (token, signed(good)):
            headers = {"Authorization": f"Bearer {token_again}"}
            assert (await client.get("/api/auth/me", headers=headers)).status_code == 200


async def test_a_token_of_another_tenant_names_nobody_here(house: House) -> None:
    mine, theirs = await registered(house), await registered(house)
    tokens = house.api.parts.accounts.tokens
    session_id = tokens.read(mine["token"]).session_id
    forged = tokens.made(UUID(mine["user"]["id"]), UUID(theirs["tenant"]["id"]), session_id)
    other = tokens.made(uuid4(), UUID(mine["tenant"]["id"]), session_id)
    for token in (forged, other):
        async with house.caller(token) as client:
            assert (await client.get("/api/auth/me")).status_code == 401


def settings(**more: str) -> ApiSettings:
    given = {"database_url": "postgresql://x/y", "admin_key": "k", "key_encryption_key": "A" * 43}
    return ApiSettings.model_validate({**given, **more})


def test_a_rotated_key_still_reads_what_the_old_one_signed() -> None:
    old = token_keys(settings(jwt_secret="o" * 32))
    new = token_keys(settings(jwt_secret="n" * 32))
    sets = [each.keys[each.signing].key.as_dict(private=True) for each in (new, old)]
    both = token_keys(settings(jwt_keys=json.dumps({"keys": sets})))
    assert both.signing == new.signing
    ids = (uuid4(), uuid4(), uuid4())
    before = Tokens(old).made(*ids)
    assert Tokens(both).read(before)[:3] == ids
    assert Tokens(new).read(Tokens(both).made(*ids))[:3] == ids
    with pytest.raises(Exception, match="no such key"):
        Tokens(new).read(before)


def test_replicas_without_a_key_set_have_the_same_key() -> None:
    assert token_keys(settings()).signing == token_keys(settings()).signing
    assert token_keys(settings()).signing == derived_keys([bytes(32)]).signing
    assert token_keys(settings(jwt_secret="s" * 32)).signing != token_keys(settings()).signing
