"""Connections sign requests; tokens are kept, renewed, and asked for anew when refused."""

import json
from base64 import b64decode
from typing import Any, cast
from urllib.parse import parse_qs

import pytest
from msgspec.structs import replace

from penstock.executor.authorization import authorized
from penstock.executor.connections import Connection
from penstock.executor.context import StepContext
from penstock.executor.credentials import Used
from penstock.executor.oauth import EARLY_S, Tokens
from penstock.executor.outbound import Answer, Call, CallInvalid, url_of
from penstock.executor.outcome import StepFault
from penstock.executor.scrub import Scrubber
from penstock.executor.transport import GuardedTransport
from penstock.infra.egress.urls import EgressRefused, parse_url

CALL = Call(
    tenant="acme",
    method="GET",
    url="https://api.test/x",
    headers=(("authorization", "mine"), ("x-own", "1")),
    timeout_ms=1000,
)
OAUTH = Connection(
    "oauth2_client_credentials",
    {"tokenUrl": "https://id.test/token", "clientId": "me:too", "scope": "a b"},
    {"clientSecret": "the-client-secret"},
    "shop",
)


class World:
    """Answers calls as a test says; remembers them."""

    def __init__(self, *statuses: int, expires_in: Any = 3600, token_status: int = 200) -> None:
        self.statuses = list(statuses)
        self.calls: list[Call] = []
        self.asked: list[Call] = []
        self.expires_in = expires_in
        self.token_status = token_status

    async def send(self, call: Call) -> Answer:
        if "id.test" in call.url:
            self.asked.append(call)
            given = {"access_token": f"token-{len(self.asked)}", "expires_in": self.expires_in}
            return Answer(self.token_status, {}, json.dumps(given).encode())
        self.calls.append(call)
        return Answer(self.statuses.pop(0) if self.statuses else 200, {}, b"")

    @property
    def last(self) -> dict[str, str]:
        return dict(self.calls[-1].headers)


def context(connection: Connection | None, tokens: Tokens | None = None) -> StepContext:
    used = Used({}, connection, Scrubber(), tokens or Tokens())
    return StepContext("acme", "r", "s", 1, 0, "", cast(GuardedTransport, None), used)


async def test_without_a_connection_a_call_is_as_it_is() -> None:
    world = World()
    await authorized(context(None), CALL, world.send)
    assert world.calls == [CALL]


async def test_basic_bearer_and_key() -> None:
    world = World()
    basic = Connection("http_basic", {"username": "ü"}, {"password": "p:w"}, "b")
    step = context(basic)
    await authorized(step, CALL, world.send)
    assert b64decode(world.last["authorization"].removeprefix("Basic ")).decode() == "ü:p:w"
    assert world.last["x-own"] == "1"
    assert step.used.scrubber.text(world.last["authorization"]) == "Basic ***"
    await authorized(context(Connection("bearer", {}, {"token": "t"}, "b")), CALL, world.send)
    assert world.last["authorization"] == "Bearer t"
    for config in ({"name": "X-Key"}, {"name": "X-Key", "in": "header"}):
        await authorized(
            context(Connection("api_key", config, {"key": "k"}, "b")), CALL, world.send
        )
        assert (world.last["x-key"], world.last["authorization"]) == ("k", "mine")
    query = Connection("api_key", {"name": "key", "in": "query"}, {"key": "k"}, "b")
    await authorized(context(query), CALL, world.send)
    assert world.calls[-1].query == (("key", "k"),)


async def test_other_kinds_and_other_hosts_are_refused_unsent() -> None:
    world = World()
    with pytest.raises(StepFault, match="signs no requests"):
        await authorized(context(Connection("smtp", {}, {}, "mail")), CALL, world.send)
    for hosts, is_sent in ((["api.TEST"], True), (["x.test"], False), (["test"], False)):
        bearer = Connection("bearer", {"hosts": hosts}, {"token": "t"}, "b")
        if is_sent:
            await authorized(context(bearer), CALL, world.send)
        else:
            with pytest.raises(StepFault, match="not for the host") as refused:
                await authorized(context(bearer), CALL, world.send)
            assert refused.value.code == "CONNECTION_REFUSED"
    assert len(world.calls) == 1


async def is_sent(connection: Connection, url: str) -> bool:
    """Whether a call there is signed and sent; the credential goes nowhere else."""
    world = World()
    try:
        await authorized(context(connection), replace(CALL, url=url), world.send)
    except (StepFault, CallInvalid, EgressRefused):
        assert world.calls == []
        return False
    return len(world.calls) == 1


@pytest.mark.parametrize(
    "url",
    [
        *("https://evil.test\\@api.test/", "https://evil.test/@api.test", "https://api.test.evil/"),
        *(
            "https://api.test@evil.test/",
            "https://evil.test#@api.test/",
            "https://evil.test?api.test",
        ),
        *(
            "https:evil.test\\@api.test",
            "https://\tevil.test\\@api.test/",
            "//api.test/",
            "api.test",
        ),
    ],
    ids=ascii,
)
async def test_no_spelling_of_a_url_takes_a_credential_to_another_host(url: str) -> None:
    """Readers of URLs see hosts in different places: the one that sends counts."""
    assert not await is_sent(
        Connection("bearer", {"hosts": ["api.test"]}, {"token": "t"}, "b"), url
    )


async def test_a_host_is_the_same_in_every_spelling() -> None:
    bearer = Connection("bearer", {"hosts": ["Api.Test."]}, {"token": "t"}, "b")
    for url in ("https://API.test/", "https://api.test:8443/", "https://%61pi.test./x"):
        assert await is_sent(bearer, url), url


async def test_an_openai_key_goes_below_its_base_url_only() -> None:
    world = World()
    config = {"baseUrl": "https://ai.test/v1/", "organization": "org"}
    ours = Connection("openai", config, {"apiKey": "sk-secret"}, "ai")
    call = replace(CALL, url="https://ai.test/v1/models")
    await authorized(context(ours), call, world.send)
    assert world.last["authorization"] == "Bearer sk-secret"
    assert world.last["openai-organization"] == "org"
    assert await is_sent(Connection("openai", {}, {"apiKey": "k"}), "https://api.openai.com/v1/x")
    for url in (
        *("http://ai.test/v1/models", "https://ai.test:8443/v1/models", "https://ai.test/v2"),
        *("https://ai.test/v1/../v2", "https://ai.test/v1/%2e%2e/v2", "https://ai.test/v10"),
        *("https://evil.test\\@ai.test/v1/", "https://api.openai.com/v1/models"),
        *(
            "https://ai.test/v1/..%2fadmin",
            "https://ai.test/v1/.%2e;/x",
            "https://ai.test/v1/..;/x",
        ),
        *("https://ai.test/v1/..%5Cadmin", "https://ai.test/v1/%252E%252e/x"),
        *("https://ai.test/v1/a/..;a=b", "https://ai.test/v1/..%25252fadmin"),
    ):
        assert not await is_sent(ours, url), url
    for url in (
        "https://ai.test/v1/..a",
        "https://ai.test/v1/gpt-4.1;x?q=..%2f",
        "https://ai.test/v1",
    ):
        assert await is_sent(ours, url), url


@pytest.mark.parametrize(
    ("connection", "inside", "outside"),
    [
        (
            Connection("openai", {"baseUrl": "https://h.test/v1"}, {"apiKey": "k"}, "ai"),
            ["/v1/models"],
            ["/v2", "/v1/..%2fadmin", "/v1/..;/x", "/"],
        ),
        (
            Connection(
                "s3",
                {"endpoint": "https://h.test", "bucket": "box", "accessKeyId": "me"},
                {"secretAccessKey": "k"},
                "s3",
            ),
            ["/box/b"],
            ["/boxes", "/other/a", "/", "/box/..%2fother"],
        ),
        (Connection("bearer", {"hosts": ["h.test"]}, {"token": "t"}, "b"), ["/x", "/"], []),
    ],
    ids=lambda one: one.type if isinstance(one, Connection) else None,
)
async def test_a_credential_follows_a_redirect_only_where_it_would_be_used(
    connection: Connection, inside: list[str], outside: list[str]
) -> None:
    world = World()
    start = f"https://h.test{inside[0]}"
    await authorized(context(connection), replace(CALL, url=start), world.send)
    sent = world.calls[-1]
    assert [sent.is_ours(parse_url(f"https://h.test{path}")) for path in inside] == [True] * len(
        inside
    )
    assert not any(sent.is_ours(parse_url(f"https://h.test{path}")) for path in outside)


async def test_a_bucket_s_key_goes_to_its_bucket_only() -> None:
    config = {"endpoint": "http://s3.test:9000", "bucket": "box", "accessKeyId": "me"}
    ours = Connection("s3", config, {"secretAccessKey": "a-secret-key"}, "s3")
    for url in (
        "http://s3.test:9000/box",
        "http://S3.test:9000/box/a/b",
        "http://box.s3.test:9000/a",
    ):
        assert await is_sent(ours, url), url
    for url in (
        *("http://s3.test:9000/", "http://s3.test:9000/boxes/a", "https://s3.test:9000/box/a"),
        *("http://s3.test/box/a", "http://box.test:9000/a", "http://other.s3.test:9000/a"),
        *("http://s3.test:9000/box/../other", "http://s3.test:9000/box/..%2fother"),
    ):
        assert not await is_sent(ours, url), url
    theirs = Connection("s3", config | {"endpoint": "ftp://x"}, ours.secrets, "s3")
    assert not await is_sent(theirs, "http://s3.test:9000/box")
    amazon = {"bucket": "box", "accessKeyId": "me", "region": "eu-central-1"}
    there = Connection("s3", amazon, ours.secrets, "s3")
    assert await is_sent(there, "https://box.s3.eu-central-1.amazonaws.com/a")
    assert not await is_sent(there, "https://box.s3.us-east-1.amazonaws.com/a")


async def test_what_is_signed_for_a_bucket_is_what_is_sent() -> None:
    world = World()
    config = {"endpoint": "http://s3.test", "bucket": "box", "accessKeyId": "me"}
    ours = Connection("s3", config, {"secretAccessKey": "a-secret-key"}, "s3")
    call = replace(
        CALL,
        url="http://s3.test/box/a b+(c)$é?z=1&list-type=2",
        query=(("prefix", "a b/ü"),),
        headers=(*CALL.headers, ("X-Amz-Acl", "private"), ("x-amz-date", "mine")),
    )
    await authorized(context(ours), call, world.send)
    sent = world.calls[-1]
    path = "/box/a%20b%2B%28c%29%24%C3%A9"
    assert sent.url == f"http://s3.test{path}?list-type=2&prefix=a%20b%2F%C3%BC&z=1"
    assert url_of(sent).text == sent.url
    assert sent.query == ()
    names = "host;x-amz-acl;x-amz-content-sha256;x-amz-date"
    assert (
        f"Credential=me/{world.last['x-amz-date'][:8]}/us-east-1/s3/aws4_request"
        in (world.last["authorization"])
    )
    assert f"SignedHeaders={names}," in world.last["authorization"]
    assert "mine" not in [text for _, text in sent.headers]


async def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    now = 0.0
    tokens, world = Tokens(clock=lambda: now), World()
    for moment, expected in ((0.0, "token-1"), (3600 - EARLY_S - 1, "token-1"), (3600, "token-2")):
        now = moment
        await authorized(context(OAUTH, tokens), CALL, world.send)
        assert world.last["authorization"] == f"Bearer {expected}"
    asked = world.asked[0]
    body = parse_qs((asked.body or b"").decode())
    assert body == {"grant_type": ["client_credentials"], "scope": ["a b"]}
    sent = dict(asked.headers)["authorization"].removeprefix("Basic ")
    assert b64decode(sent) == b"me%3Atoo:the-client-secret"
    assert asked.redirects_max == 0


async def test_a_token_is_its_tenants_and_its_connections() -> None:
    tokens, world = Tokens(), World()
    other = Connection(OAUTH.type, OAUTH.config, {"clientSecret": "another-secret"}, "shop")
    first, second = context(OAUTH, tokens), context(other, tokens)
    for step in (first, second, first):
        await authorized(step, CALL, world.send)
    await tokens.token("somebody", OAUTH, world.send)
    assert len(world.asked) == 3


async def test_a_refused_token_is_asked_for_anew_once() -> None:
    world = World(401, 200)
    step = context(OAUTH)
    answer = await authorized(step, CALL, world.send)
    assert (answer.status, len(world.calls), len(world.asked)) == (200, 2, 2)
    assert step.used.scrubber.text("token-1 token-2") == "*** ***"
    stubborn = World(401, 401, 401)
    answer = await authorized(context(OAUTH), CALL, stubborn.send)
    assert (answer.status, len(stubborn.calls)) == (401, 2)


@pytest.mark.parametrize(("status", "retryable"), [(400, False), (401, False), (503, True)])
async def test_a_refusing_token_server_is_told_without_its_words(
    status: int, retryable: bool
) -> None:
    world = World(token_status=status)
    with pytest.raises(StepFault, match=f"'shop' answered {status}") as fault:
        await authorized(context(OAUTH), CALL, world.send)
    assert (fault.value.code, fault.value.retryable) == ("OAUTH2_REFUSED", retryable)
    assert fault.value.details is None
    assert world.calls == []


@pytest.mark.parametrize("expires_in", [None, 0, 10, "10", "soon", 10**9])
async def test_whatever_a_token_says_of_its_end_its_life_is_bounded(expires_in: Any) -> None:
    now = 0.0
    tokens, world = Tokens(clock=lambda: now), World(expires_in=expires_in)
    await authorized(context(OAUTH, tokens), CALL, world.send)
    now = 24 * 3600.0
    await authorized(context(OAUTH, tokens), CALL, world.send)
    assert len(world.asked) == 2
