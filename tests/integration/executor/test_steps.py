"""Steps of every type, from a work message to the report about them."""

import asyncio
import hashlib
import json

import pytest

from penstock.domain.payload import Payload, inline, of_value
from penstock.domain.run.commands import CompleteStep, FailStep, SuspendStep
from penstock.domain.run.events import StepReady, StepSucceeded
from penstock.infra.nats import subjects
from penstock.messages.envelope import NO_HASH, Cause, Decision, encode
from tests.integration.executor.bench import TENANT, TRACE, Bench, Web, task, value_of


async def test_a_noop_passes_its_input_on_as_the_bytes_that_it_was(bench: Bench) -> None:
    definition = await bench.define({"id": "a", "type": "noop"})
    given = inline(b'{"b": 1.0,  "a":[ ]}')
    await bench.send(task(definition, "a", payloads={"run.input": given}))
    said = await bench.next()
    assert (said.tenant, said.run_id, said.traceparent) == (TENANT, "r-1", TRACE)
    assert isinstance(said.report, CompleteStep)
    assert said.report.output == given
    assert (said.report.attempt, said.report.executor_id) == (1, "executor-0")
    assert 0 < said.report.started_at <= said.report.finished_at
    assert said.report.input is None


async def test_work_is_acknowledged_once_all_its_reports_are(bench: Bench) -> None:
    definition = await bench.define({"id": "a", "type": "noop"})
    payloads = {"run.input": of_value(None)}
    tasks = [task(definition, "a", run=f"r-{n}", payloads=payloads) for n in range(50)]
    await bench.send(*tasks)
    heard = {(await bench.next()).run_id for _ in range(50)}
    assert heard == {f"r-{n}" for n in range(50)}
    assert bench.packs <= 16
    await bench.until_left(0)
    assert len(bench.executor.holdings) == 0


async def test_a_condition_takes_the_branch_that_its_expression_says(bench: Bench) -> None:
    node = {"id": "big", "type": "condition", "config": {"expression": "input.total > 100"}}
    high = await bench.run(node, input={"total": 101})
    low = await bench.run(node, input={"total": 99})
    assert isinstance(high, CompleteStep)
    assert isinstance(low, CompleteStep)
    assert (high.branch, low.branch) == ("true", "false")
    assert value_of(high.output) == {"total": 101}


async def test_a_condition_that_is_no_boolean_fails_for_good(bench: Bench) -> None:
    node = {"id": "big", "type": "condition", "config": {"expression": "input.total"}}
    said = await bench.run(node, input={"total": 101})
    assert isinstance(said, FailStep)
    assert (said.error.code, said.error.retryable) == ("EXPRESSION_ERROR", False)


async def test_a_transform_is_filled_in_from_its_input(bench: Bench) -> None:
    output = {"total": "{{ input.price * input.count }}", "name": "{{ name }} & Co", "fix": [1]}
    said = await bench.run(
        {"id": "t", "type": "transform", "config": {"output": output}},
        input={"price": 2.5, "count": 4, "name": "Ada"},
    )
    assert isinstance(said, CompleteStep)
    assert value_of(said.output) == {"total": 10, "name": "Ada & Co", "fix": [1]}


async def test_a_missing_path_names_itself(bench: Bench) -> None:
    node = {"id": "t", "type": "transform", "config": {"output": "{{ input.a.b }}"}}
    said = await bench.run(node, input={"a": {}})
    assert isinstance(said, FailStep)
    assert said.error.code == "TEMPLATE_ERROR"
    assert "input.a.b" in said.error.message
    assert not said.error.retryable


async def test_an_input_template_overrides_the_rule_and_is_reported(bench: Bench) -> None:
    node = {"id": "n", "type": "noop", "input": {"order": "{{ input.id }}", "run": "{{ run.id }}"}}
    said = await bench.run(node, input={"id": 7})
    assert isinstance(said, CompleteStep)
    assert value_of(said.input) == {"order": 7, "run": "r-1"}
    assert said.output == said.input


async def test_a_delay_asks_to_be_woken_and_gives_its_input(bench: Bench) -> None:
    node = {"id": "d", "type": "delay", "config": {"durationMs": 60_000}}
    said = await bench.run(node, input={"x": 1})
    assert isinstance(said, SuspendStep)
    assert said.until == said.started_at + 60_000
    assert value_of(said.output) == {"x": 1}


async def test_a_delay_over_its_steps_limit_rests_until_that_is_over(bench: Bench) -> None:
    node = {"id": "rest", "type": "delay", "timeoutMs": 500}
    said = await bench.run(node | {"config": {"durationMs": 501}})
    assert isinstance(said, SuspendStep)
    assert (said.until - said.started_at, said.exceeds) == (500, True)
    within = await bench.run(node | {"config": {"durationMs": 500}})
    assert isinstance(within, SuspendStep)
    assert not within.exceeds


async def test_a_template_that_gives_a_negative_duration_fails_for_good(bench: Bench) -> None:
    node = {"id": "rest", "type": "delay", "config": {"durationMs": "{{ input.ms }}"}}
    said = await bench.run(node, input={"ms": -5000})
    assert isinstance(said, FailStep)
    assert (said.error.code, said.error.retryable) == ("CONFIG_INVALID", False)
    assert "durationMs" in said.error.message


async def test_outputs_of_several_predecessors_come_by_name(bench: Bench) -> None:
    definition = await bench.define(
        *({"id": name, "type": "noop"} for name in ("a", "b", "c", "end")),
        edges=[
            {"from": "a", "to": "end"},
            {"from": "b", "to": "end", "condition": {"type": "ALWAYS"}},
            {"from": "c", "to": "end", "condition": {"type": "ON_FAILURE"}},
        ],
    )
    error = {"code": "HTTP_STATUS", "message": "the answer was 500", "retryable": True}
    payloads = {
        "nodes.a.output": of_value({"n": 1}),
        "nodes.b.error": of_value(error),
        "nodes.b.error.details": of_value({"status": 500}),
        "nodes.b.input": of_value("given"),
    }
    await bench.send(task(definition, "end", payloads=payloads, taken=("a", "b")))
    said = (await bench.next()).report
    assert isinstance(said, CompleteStep)
    assert value_of(said.output) == {
        "a": {"n": 1},
        "b": {
            "error": {**error, "details": {"status": 500}},
            "failedNode": "b",
            "input": "given",
        },
    }


async def test_a_large_output_is_kept_as_an_object_and_a_large_input_is_read_from_one(
    bench: Bench,
) -> None:
    text = "x" * 100_000
    given = await bench.blobs.put(json.dumps({"text": text}).encode(), tenant=TENANT)
    definition = await bench.define(
        {"id": "up", "type": "transform", "config": {"transform": "uppercase"}}
    )
    stored = inline(json.dumps({"text": text}).encode())
    payload = Payload(size=stored.size, sha256=stored.sha256, blob=given)
    await bench.send(task(definition, "up", payloads={"run.input": payload}))
    said = (await bench.next()).report
    assert isinstance(said, CompleteStep)
    assert said.output.blob is not None
    assert json.loads(await bench.stored(said.output)) == text.upper()


async def test_a_payload_is_read_from_its_place_in_the_log(bench: Bench) -> None:
    stored = of_value({"n": 5})
    event = StepSucceeded(step_id="a", attempt=1, output=stored)
    first = StepReady(step_id="a", attempt=1)
    cause = Cause(id="c", actor="executor:e", events=2)
    decision = Decision(id="d", at=1, previous_hash=NO_HASH, causes=(cause,), events=(first, event))
    sent = await bench.js.publish(subjects.run_events(TENANT, "r-place"), encode(decision))
    definition = await bench.define(
        {"id": "a", "type": "noop"},
        {"id": "b", "type": "transform", "config": {"output": "{{ input.n }}"}},
        {"id": "c", "type": "noop"},
        edges=[{"from": "a", "to": "b"}, {"from": "a", "to": "c"}],
    )
    there = Payload(size=stored.size, sha256=stored.sha256, at=f"{sent.seq}.1/output")
    payloads = {"nodes.a.output": there}
    await bench.send(task(definition, "b", payloads=payloads, taken=("a",)))
    read = (await bench.next()).report
    assert isinstance(read, CompleteStep)
    assert value_of(read.output) == 5
    await bench.send(task(definition, "c", payloads=payloads, taken=("a",)))
    passed = (await bench.next()).report
    assert isinstance(passed, CompleteStep)
    assert passed.output == stored


@pytest.mark.parametrize("place", ["999999.0/output", "1.0/nothing"])
async def test_a_payload_that_is_not_there_is_worth_another_try(bench: Bench, place: str) -> None:
    definition = await bench.define({"id": "a", "type": "noop"})
    absent = Payload(size=5, sha256="0" * 64, at=place)
    await bench.send(task(definition, "a", payloads={"run.input": absent}))
    heard = [(await bench.next()).report]
    while not isinstance(heard[-1], FailStep):
        heard.append((await bench.next()).report)
    assert (heard[-1].error.code, heard[-1].error.retryable) == ("PAYLOAD_UNAVAILABLE", True)


async def test_another_tenants_object_is_not_read(bench: Bench) -> None:
    name = await bench.blobs.put(b'"secret"', tenant="other")
    definition = await bench.define(
        {"id": "up", "type": "transform", "config": {"transform": "uppercase"}}
    )
    stored = of_value("secret")
    theirs = Payload(size=stored.size, sha256=stored.sha256, blob=name)
    await bench.send(task(definition, "up", payloads={"run.input": theirs}))
    said = (await bench.next()).report
    assert isinstance(said, FailStep)
    assert said.error.code == "PAYLOAD_UNAVAILABLE"


async def test_a_passed_on_object_is_not_even_read(bench: Bench) -> None:
    definition = await bench.define({"id": "a", "type": "noop"})
    absent = Payload(size=70_000, sha256="0" * 64, blob=f"{TENANT}/{'0' * 64}")
    await bench.send(task(definition, "a", payloads={"run.input": absent}))
    said = (await bench.next()).report
    assert isinstance(said, CompleteStep)
    assert said.output == absent


async def test_a_call_carries_the_steps_key_and_the_trace(bench: Bench, web: Web) -> None:
    url = web.answer("/orders", b'{"ok": true}', content_type="application/json")
    config = {"method": "POST", "url": url + "?a={{ input.a }}", "headers": {"X-One": 1}}
    said = await bench.run({"id": "call", "type": "http_request", "config": config}, input={"a": 5})
    assert isinstance(said, CompleteStep)
    output = value_of(said.output)
    assert (output["status"], output["body"]) == (200, {"ok": True})
    (request,) = web.requests
    assert (request.method, request.path, request.body) == ("POST", "/orders?a=5", b'{"a":5}')
    assert request.headers["idempotency-key"] == sha("r-1:call")
    assert request.headers["traceparent"].split("-")[1] == TRACE.split("-")[1]
    assert request.headers["x-one"] == "1"
    assert "cookie" not in request.headers


async def test_a_refusing_status_fails_with_what_came_back(bench: Bench, web: Web) -> None:
    url = web.answer("/busy", b"later", status=503, retry_after="7", content_type="text/plain")
    said = await bench.run({"id": "call", "type": "http_request", "config": {"url": url}})
    assert isinstance(said, FailStep)
    assert (said.error.code, said.error.retryable) == ("HTTP_STATUS", True)
    assert said.retry_after_ms == 7000
    assert value_of(said.error.details) == {"status": 503, "body": "later"}
    accepted = await bench.run(
        {"id": "call", "type": "http_request", "config": {"url": url, "acceptStatus": ["5xx"]}}
    )
    assert isinstance(accepted, CompleteStep)
    assert value_of(accepted.output)["status"] == 503


async def test_nobody_listening_is_worth_another_try(bench: Bench, web: Web) -> None:
    url = web.url("/")
    await web.close()
    said = await bench.run({"id": "call", "type": "http_request", "config": {"url": url}})
    assert isinstance(said, FailStep)
    assert (said.error.code, said.error.retryable) == ("CONNECTION_ERROR", True)


async def test_a_private_address_is_refused_for_good(bench: Bench, web: Web) -> None:
    url = web.url("/", host="127.0.0.2")
    said = await bench.run({"id": "call", "type": "http_request", "config": {"url": url}})
    assert isinstance(said, FailStep)
    assert (said.error.code, said.error.retryable) == ("EGRESS_REFUSED", False)
    assert web.requests == []


async def test_a_webhook_sends_its_input_by_the_standard_rules(bench: Bench, web: Web) -> None:
    url = web.answer("/in", b"")
    config = {"url": url, "secret": "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    said = await bench.run({"id": "hook", "type": "webhook", "config": config}, input={"n": 1})
    assert isinstance(said, CompleteStep)
    (request,) = web.requests
    assert request.headers["webhook-id"] == sha("r-1:hook")
    assert request.headers["webhook-signature"].startswith("v1,")
    assert int(request.headers["webhook-timestamp"]) > 0
    assert request.body == b'{"n":1}'


async def test_a_step_over_its_limit_times_out(bench: Bench, web: Web) -> None:
    url = silent(web)
    node = {"id": "call", "type": "http_request", "config": {"url": url}, "timeoutMs": 50}
    said = await bench.run(node)
    assert isinstance(said, FailStep)
    assert said.timed_out
    assert (said.error.code, said.error.retryable) == ("TIMEOUT", True)


def silent(web: Web) -> str:
    """A URL that never answers."""

    async def never(_: object) -> bytes:
        await asyncio.sleep(60)
        return b""

    web.answers["/never"] = never
    return web.url("/never")


def sha(text: str) -> str:
    """The idempotency key made of `text`."""
    return hashlib.sha256(text.encode()).hexdigest()
