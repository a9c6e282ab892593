"""No secret that a step uses is found anywhere afterwards: not in what is stored, said or measured.

The servers that the steps call repeat every secret in every form, in answers that succeed and in
answers that fail.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import httpx
import nats
import psycopg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from tests.e2e.canaries import canary, dumped, echoed, files, found
from tests.e2e.canary_servers import Post, database, posting
from tests.e2e.conftest import client
from tests.e2e.runs import QUICK_RETRY, Document, drawn, edge, executed, node

CANARIES = {
    what: canary(what)
    for what in (
        *("header", "query", "replaced", "password", "bearer"),
        *("key", "client", "access", "mail", "database", "model", "bucket", "former"),
    )
}
HIDDEN = "***"
SETTLED_S = 2.0
"""For the last spans and log lines to be written, and the archive to have the end."""
KNOWN = tuple(CANARIES.values())
NEVER_SENT = {CANARIES[name] for name in ("former", "client", "bucket", "mail", "database")}
"""By HTTP: two of them are told to servers of other kinds, and one signs what is sent."""


class World:
    """Servers outside: of HTTP, one that repeats what it is sent, one that gives tokens, a
    collector and a model; one that takes mail, and a database.
    """

    def __init__(self, server: HTTPServer, post: Post, database: Document) -> None:
        self.server = server
        self.post = post
        self.database = database
        self.calls: list[str] = []
        self.seen: set[str] = set()
        self.tokens = 0
        self.spans: list[bytes] = []
        self.metrics_urls: dict[str, str] = {}
        server.expect_request("/v1/traces", method="POST").respond_with_handler(self.collect)
        server.expect_request("/token", method="POST").respond_with_handler(self.give_token)
        server.expect_request("/v1/chat/completions").respond_with_handler(self.complete)
        for path in ("/echo", "/flaky", "/refuse", "/box/an-object"):
            server.expect_request(path).respond_with_handler(self.echo)

    def url(self, path: str) -> str:
        """Where a step calls."""
        return self.server.url_for(path)

    def collect(self, request: Request) -> Response:
        """Spans."""
        body = request.get_data()
        for spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.spans.append(str(spans).encode() + spans.SerializeToString())
        return Response()

    def give_token(self, request: Request) -> Response:
        """A token, once: it is kept by who got it."""
        assert request.authorization is not None
        assert request.form["grant_type"] == "client_credentials"
        self.tokens += 1
        given = {"access_token": CANARIES["access"], "token_type": "Bearer", "expires_in": 3600}
        return Response(json.dumps(given), content_type="application/json")

    def echo(self, request: Request) -> Response:
        """All that came, and in every form every canary in it; `/flaky` fails twice, then not."""
        self.calls.append(request.path)
        came = " ".join([*request.headers.values(), *request.args.values(), decoded(request)])
        here = [value for value in KNOWN if value in came]
        self.seen |= set(here)
        said = [dict(request.headers), request.args, request.url, *map(echoed, here)]
        status = 403 if request.path == "/refuse" else 200
        if request.path == "/flaky" and self.calls.count("/flaky") < 3:
            status = 500
        return Response(json.dumps(said), status=status, content_type="application/json")

    def complete(self, request: Request) -> Response:
        """A model's answer, that repeats what it was sent, or a refusal that does."""
        echo = self.echo(request).get_data(as_text=True)
        if b"refuse" in request.get_data():
            return Response(echo, status=401, content_type="application/json")
        said = {"choices": [{"message": {"role": "assistant", "content": echo}}], "model": echo}
        return Response(json.dumps(said), content_type="application/json")


def decoded(request: Request) -> str:
    """What is in the header of HTTP's basic authentication."""
    given = request.authorization
    return str(given.password) if given is not None and given.type == "basic" else ""


@pytest.fixture(scope="module")
def world(postgres_server: str) -> Iterator[World]:
    others = posting(CANARIES["mail"]), database(postgres_server, CANARIES["database"])
    with HTTPServer() as server, others[0] as post, others[1] as shop:
        yield World(server, post, shop)


@pytest.fixture(scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory, world: World) -> AsyncIterator[Stack]:
    """A stack whose every byte may be looked at; its spans go to the world's collector."""
    env = {
        "PENSTOCK_EGRESS_ALLOW": "127.0.0.0/8",
        "OTEL_EXPORTER_OTLP_ENDPOINT": world.url("/").rstrip("/"),
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "PENSTOCK_LOG_LEVEL": "debug",
    }
    folder = tmp_path_factory.mktemp("canaries")
    async with Stack(StackOptions(data_dir=folder, port=0, keep=False, env=env)) as running:
        yield running


@pytest.fixture(scope="module")
async def admin(own: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with client(own.api_url, own.api_key) as connected:
        yield connected


def connections(world: World) -> dict[str, Document]:
    """One of each kind."""
    box = {"endpoint": world.url("/"), "bucket": "box", "accessKeyId": "me"}
    token = {"tokenUrl": world.url("/token"), "clientId": "me", "clientSecret": CANARIES["client"]}
    return {
        "basic": {
            "type": "http_basic",
            "config": {"username": "me", "password": CANARIES["password"]},
        },
        "bearer": {"type": "bearer", "config": {"token": CANARIES["bearer"]}},
        "key": {
            "type": "api_key",
            "config": {"in": "query", "name": "key", "key": CANARIES["key"]},
        },
        "oauth": {"type": "oauth2_client_credentials", "config": token},
        "mail": {"type": "smtp", "config": world.post.config},
        "shop": {"type": "postgres", "config": world.database},
        "box": {"type": "s3", "config": {**box, "secretAccessKey": CANARIES["bucket"]}},
        "model": {
            "type": "openai",
            "config": {"baseUrl": world.url("/v1"), "apiKey": CANARIES["model"]},
        },
    }


async def everything_set(admin: httpx.AsyncClient, world: World) -> None:
    """Secrets, one of them replaced, and connections."""
    for name in ("header", "query", "replaced"):
        body = {"name": name, "value": CANARIES["former" if name == "replaced" else name]}
        assert (await admin.post("/secrets", json=body)).status_code == 201
    body = {"value": CANARIES["replaced"]}
    assert (await admin.put("/secrets/replaced", json=body)).status_code == 200
    for name, said in connections(world).items():
        made = await admin.post("/connections", json={"name": name, **said})
        assert made.status_code == 201, made.text


def calling(step_id: str, url: str, **config: object) -> Document:
    """A node that sends secrets of all kinds and is quickly tried again."""
    members: Document = {
        "url": url,
        "headers": {"X-Secret": "{{ secrets.header }}", "X-Old": "{{ secrets.replaced }}"},
        "query": {"q": "{{ secrets.query }}"},
        **config,
    }
    return node(step_id, "http_request", config=members, retry=QUICK_RETRY, continueOnError=True)


def others(world: World) -> list[Document]:
    """Nodes that use what is no HTTP, or asks models, each to succeed and to fail."""
    mail = {"connection": "mail", "subject": "Hello", "text": "Hi"}
    shop = {"connection": "shop"}
    model = {"connection": "model"}
    box = {"url": world.url("/box/an-object"), "connection": "box"}
    configs: list[tuple[str, str, Document]] = [
        ("letter", "email", {**mail, "to": ["ada@example.org", "unknown@example.org"]}),
        ("returned", "email", {**mail, "to": "never@example.org"}),
        ("rows", "database_query", {**shop, "sql": "select words, words::json as value from said"}),
        ("raised", "database_query", {**shop, "sql": "select words::int from said"}),
        ("answer", "ai_completion", {**model, "prompt": "Hello"}),
        ("no_answer", "ai_completion", {**model, "prompt": "refuse"}),
        ("object", "http_request", box),
    ]
    return [node(name, kind, config=c, continueOnError=True) for name, kind, c in configs]


async def lived(admin: httpx.AsyncClient, world: World) -> Document:
    """A run whose steps use every secret, succeed, fail and are tried again."""
    nodes = [
        calling("plain", world.url("/echo")),
        calling("basic", world.url("/flaky"), connection="basic"),
        calling("bearer", world.url("/refuse"), connection="bearer"),
        calling("key", world.url("/echo"), connection="key"),
        calling("oauth", world.url("/echo"), connection="oauth"),
        calling("again", world.url("/refuse"), connection="oauth"),
        node(
            "bad",
            "http_request",
            config={"url": world.url("/echo"), "headers": {"host": "{{ secrets.header }}"}},
            continueOnError=True,
        ),
        *others(world),
        node("tell", "transform", config={"output": "{{ nodes.plain.output.body }}"}),
    ]
    named = [each["id"] for each in nodes]
    edges = [edge(a, b, "ALWAYS") for a, b in pairwise(named[:-1])]
    edges.append(edge("plain", "tell"))
    return await executed(admin, drawn("canaries", nodes, *edges))


async def test_no_secret_is_found_anywhere(
    own: Stack, admin: httpx.AsyncClient, world: World
) -> None:
    await everything_set(admin, world)
    run = await lived(admin, world)
    assert run["status"] == "succeeded", run
    steps = {each["id"]: each for each in run["steps"]}
    assert {name: each["status"] for name, each in steps.items()} == {
        "plain": "succeeded",
        "basic": "succeeded",
        "bearer": "failed",
        "key": "succeeded",
        "oauth": "succeeded",
        "again": "failed",
        "bad": "failed",
        "letter": "succeeded",
        "returned": "failed",
        "rows": "succeeded",
        "raised": "failed",
        "answer": "succeeded",
        "no_answer": "failed",
        "object": "succeeded",
        "tell": "succeeded",
    }
    assert len(world.post.logins) == 2
    assert [steps[name]["error"]["code"] for name in ("returned", "raised", "no_answer")] == [
        *("EMAIL_REFUSED", "SQL_ERROR", "HTTP_STATUS")
    ]
    assert world.calls.count("/flaky") == 3
    assert world.tokens == 1
    assert world.seen == set(KNOWN) - NEVER_SENT
    for name in ("plain", "letter", "returned", "rows", "raised", "answer", "no_answer"):
        assert HIDDEN in json.dumps(steps[name]), name
    await asyncio.sleep(SETTLED_S)
    assert found(CANARIES, everywhere(own, world)) == []
    assert found(names_in(run), exposed(own.metrics_urls)) == [], "labels are of ours alone"
    assert found(CANARIES, [("api", said) async for said in answers(admin, run["id"])]) == []


def names_in(run: Document) -> dict[str, str]:
    """What a run and its tenant are called."""
    names = ("id", "tenantId", "workflowId", "workflowName")
    return {name: run[name] for name in names}


async def test_what_is_planted_is_found(own: Stack, admin: httpx.AsyncClient, world: World) -> None:
    """The search can fail: a value that is no secret stands in every place that it looks at."""
    planted = {"planted": "a-value.that-is-nobodys-secret/+"}
    text = planted["planted"]
    connection = await nats.connect(own.nats_url)
    stream = connection.jetstream()
    await stream.add_stream(name="PLANTED", subjects=["planted"])
    await stream.publish("planted", text.encode())
    await connection.close()
    with psycopg.connect(own.database_url) as owner:
        owner.execute("create table penstock.planted as select %s::bytea as b", [text.encode()])
    (own.data_dir / "log" / "planted.log").write_text(f"said {text.encode().hex()}")
    world.spans.append(b64encode(text.encode()))
    measured(world, text)
    where = {
        line.rpartition(" in ")[2].split("/")[0] for line in found(planted, everywhere(own, world))
    }
    with psycopg.connect(own.database_url) as owner:
        owner.execute("drop table penstock.planted")
    assert where == {"nats", "penstock.planted", "log", "spans", "metrics"}


def measured(world: World, text: str) -> None:
    """Something says a tenant's text in a label: no process of ours does, so the world plays it."""
    registry = CollectorRegistry()
    counter = Counter("planted", "what nobody counts by", ["said"], registry=registry)
    counter.labels(text).inc()
    world.server.expect_request("/metrics").respond_with_data(generate_latest(registry))
    world.metrics_urls["planted"] = world.url("/metrics")


def everywhere(stack: Stack, world: World) -> Iterator[tuple[str, bytes]]:
    """Every place where something is kept or told."""
    for folder in ("nats", "log"):
        yield from ((f"{folder}/{name}", said) for name, said in files(stack.data_dir / folder))
    yield from dumped(stack.database_url)
    yield from exposed(stack.metrics_urls | world.metrics_urls)
    yield "spans", b"\n".join(world.spans)
    assert world.spans, "spans come while the steps run"


def exposed(urls: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """What processes have measured."""
    for name, url in urls.items():
        yield f"metrics/{name}", httpx.get(url, trust_env=False).raise_for_status().content


async def answers(admin: httpx.AsyncClient, run_id: str) -> AsyncIterator[bytes]:
    """What clients are shown."""
    paths = (f"/runs/{run_id}", f"/runs/{run_id}/steps", f"/runs/{run_id}/events")
    for path in (*paths, "/secrets", "/connections"):
        answered = await admin.get(path)
        assert answered.status_code == 200, path
        yield answered.content
