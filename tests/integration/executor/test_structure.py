"""Loops, children, waits, edges and evaluations, from a work message to the report about them."""

import asyncio
from typing import Any

import msgspec
from msgspec.structs import replace

from penstock.domain.payload import Payload, inline, of_value
from penstock.domain.run.commands import CompleteStep, ConfirmCancel, FailStep, SuspendStep
from penstock.domain.run.events import StepSucceeded, WaitKind
from penstock.infra.nats import subjects
from penstock.messages.envelope import NO_HASH, Cause, Decision, Gathered, encode
from tests.integration.executor.bench import TENANT, Bench, Web, response, task, value_of

LARGE = "x" * 100_000
RUN = "r-1"


async def stored(bench: Bench, value: Any) -> Payload:
    """A value as an object of the run."""
    made = of_value(value)
    name = await bench.blobs.put(bytes(made.inline), tenant=TENANT, run_id=RUN)
    return Payload(size=made.size, sha256=made.sha256, blob=name)


async def logged(bench: Bench, *values: Any) -> list[Payload]:
    """Values as outputs in one decision of the log."""
    made = [of_value(value) for value in values]
    events = tuple(StepSucceeded(step_id="a", attempt=1, output=each) for each in made)
    cause = Cause(id="c", actor="executor:e", events=len(events))
    decision = Decision(id="d", at=1, previous_hash=NO_HASH, causes=(cause,), events=events)
    sent = await bench.js.publish(subjects.run_events(TENANT, "r-log"), encode(decision))
    return [
        Payload(size=each.size, sha256=each.sha256, at=f"{sent.seq}.{n}/output")
        for n, each in enumerate(made)
    ]


def looping(*body: dict[str, Any], **config: Any) -> dict[str, Any]:
    """A loop over its input."""
    drawn = {"nodes": list(body), "edges": []}
    return {"id": "l", "type": "loop", "config": {"items": "{{ input }}", "body": drawn, **config}}


async def test_a_loop_hands_its_items_over_and_waits(bench: Bench) -> None:
    said = await bench.run(looping(), input=[1, 2, 3])
    assert isinstance(said, SuspendStep)
    assert (said.kind, said.count, said.width) == (WaitKind.LOOP, 3, 512)
    assert value_of(said.items) == [1, 2, 3]
    assert (said.until, said.output, said.input) == (0, None, None)


async def test_large_items_are_kept_as_an_object(bench: Bench) -> None:
    definition = await bench.define(looping())
    given = await stored(bench, [LARGE, "b"])
    await bench.send(task(definition, "l", payloads={"run.input": given}))
    said = await bench.word()
    assert isinstance(said, SuspendStep)
    assert said.items is not None
    assert said.items.blob is not None
    assert msgspec.json.decode(await bench.stored(said.items)) == [LARGE, "b"]


async def test_iterations_get_their_items_of_an_object_that_is_read_for_all(bench: Bench) -> None:
    definition = await bench.define(looping({"id": "x", "type": "noop"}))
    items = await stored(bench, [{"n": n, "pad": "y" * 500} for n in range(600)])
    tasks = [task(definition, f"l.{n}.x", payloads={"items": items}) for n in range(600)]
    for at in range(0, 600, 50):
        await bench.send(*tasks[at : at + 50])
    heard = {}
    for _ in tasks:
        report = await bench.word()
        assert isinstance(report, CompleteStep)
        heard[report.step_id] = value_of(report.output)["n"]
    assert heard == {f"l.{n}.x": n for n in range(600)}


async def test_a_large_item_is_passed_on_as_an_object(bench: Bench) -> None:
    definition = await bench.define(looping({"id": "x", "type": "noop"}))
    items = await stored(bench, ["a", LARGE])
    for _ in range(2):
        await bench.send(task(definition, "l.1.x", payloads={"items": items}))
        said = await bench.word()
        assert isinstance(said, CompleteStep)
        assert said.output.blob is not None
        assert msgspec.json.decode(await bench.stored(said.output)) == LARGE


async def test_items_that_are_no_list_fail_the_step_and_not_the_executor(bench: Bench) -> None:
    definition = await bench.define(looping({"id": "x", "type": "noop"}))
    for items, path in ((of_value({"a": 1}), "l.0.x"), (of_value([1]), "l.1.x")):
        await bench.send(task(definition, path, payloads={"items": items}))
        said = await bench.word()
        assert isinstance(said, FailStep)
        assert said.error.code == "INPUT_MISSING"


async def test_results_are_gathered_from_wherever_they_are(bench: Bench) -> None:
    definition = await bench.define(looping({"id": "x", "type": "noop"}))
    there = await logged(bench, *({"n": n} for n in range(100)))
    payloads = {f"results.{n}.x": payload for n, payload in enumerate(there)}
    payloads["results.100.x"] = await stored(bench, LARGE)
    payloads["results.101.x"] = inline(b"1.0")
    collect = task(definition, "l@collect", payloads=payloads)
    await bench.send(replace(collect, gathered=Gathered(count=103)))
    said = await bench.word()
    assert isinstance(said, CompleteStep)
    assert said.output.blob is not None
    output = msgspec.json.decode(await bench.stored(said.output))
    assert output == [*({"n": n} for n in range(100)), LARGE, 1.0, None]


async def test_more_than_a_payload_may_hold_is_not_gathered(bench: Bench) -> None:
    definition = await bench.define(looping({"id": "x", "type": "noop"}))
    huge = Payload(size=60 * 1024 * 1024, sha256="0" * 64, blob=f"{TENANT}/{'0' * 64}")
    payloads = {f"results.{n}.x": huge for n in range(2)}
    collect = task(definition, "l@collect", payloads=payloads)
    await bench.send(replace(collect, gathered=Gathered(count=2)))
    said = await bench.word()
    assert isinstance(said, FailStep)
    assert (said.error.code, said.error.retryable) == ("PAYLOAD_TOO_LARGE", False)


async def test_a_child_gets_the_steps_input_as_it_is(bench: Bench) -> None:
    node = {"id": "c", "type": "sub_workflow", "config": {"workflowId": "w", "version": 2}}
    definition = await bench.define({**node, "timeoutMs": 5000})
    given = await stored(bench, LARGE)
    await bench.send(task(definition, "c", payloads={"run.input": given}))
    said = await bench.word()
    assert isinstance(said, SuspendStep)
    assert (said.kind, said.workflow_id, said.version) == (WaitKind.CHILD, "w", 2)
    assert (said.input, said.until) == (given, said.started_at + 5000)


async def test_a_wait_tells_its_input_to_those_that_handle_its_failure(bench: Bench) -> None:
    definition = await bench.define(
        {"id": "s", "type": "wait_for_signal", "config": {"name": "paid"}},
        {"id": "h", "type": "error_handler"},
        edges=[{"from": "s", "to": "h", "condition": {"type": "ON_FAILURE"}}],
    )
    await bench.send(task(definition, "s", payloads={"run.input": of_value(7)}))
    said = await bench.word()
    assert isinstance(said, SuspendStep)
    assert (said.kind, said.name, said.until) == (WaitKind.SIGNAL, "paid", 0)
    assert (value_of(said.input), said.output) == (7, None)


async def test_a_branch_over_an_object_refers_to_it_again(bench: Bench) -> None:
    definition = await bench.define(
        {"id": "b", "type": "condition", "config": {"expression": "size(input) > 1"}}
    )
    given = await stored(bench, LARGE)
    await bench.send(task(definition, "b", payloads={"run.input": given}))
    said = await bench.word()
    assert isinstance(said, CompleteStep)
    assert said.branch == "true"
    assert said.output == given


async def test_edges_are_told_with_outputs_and_with_failures(bench: Bench, web: Web) -> None:
    url = web.answer("/busy", b"no", status=404)
    call = {"id": "a", "type": "http_request", "config": {"url": url}}
    told = {
        "b": "error != null && error.details.status == 404",
        "c": "error == null && output.status == 200",
    }
    edges = [
        {"from": "a", "to": target, "condition": {"type": "EXPRESSION", "expression": text}}
        for target, text in told.items()
    ]
    nodes = [{"id": name, "type": "noop"} for name in "bc"]
    definition = await bench.define(call, *nodes, edges=edges)
    payloads = {"run.input": of_value(None)}
    await bench.send(task(definition, "a", payloads=payloads))
    failed = await bench.word()
    assert isinstance(failed, FailStep)
    assert failed.edges == (0,)
    web.answer("/busy", b"{}", status=200)
    await bench.send(task(definition, "a", attempt=2, payloads=payloads))
    said = await bench.word()
    assert isinstance(said, CompleteStep)
    assert said.edges == (1,)


async def test_evaluations_are_reported_like_steps(bench: Bench) -> None:
    body = {"nodes": [{"id": "x", "type": "noop"}], "edges": []}
    loop = {"id": "l", "type": "loop", "config": {"while": "item == null", "body": body}}
    definition = await bench.define(loop)
    for payloads, branch in (({}, "true"), ({"item": of_value(1)}, "false")):
        await bench.send(task(definition, "l.0@while", payloads=payloads))
        said = await bench.word()
        assert isinstance(said, CompleteStep)
        assert (said.step_id, said.branch, value_of(said.output)) == ("l.0@while", branch, None)


async def test_a_cancel_of_single_steps_leaves_the_others_alone(bench: Bench, web: Web) -> None:
    gates = {name: asyncio.Event() for name in "abc"}
    asked = asyncio.Semaphore(0)

    def answering(name: str) -> None:
        async def answer(_: object) -> bytes:
            asked.release()
            await gates[name].wait()
            return response(200, b"1", {"content_type": "application/json"})

        web.answers[f"/{name}"] = answer

    nodes = []
    for name in gates:
        answering(name)
        config = {"url": web.url(f"/{name}")}
        nodes.append({"id": name, "type": "http_request", "config": config})
    definition = await bench.define(*nodes)
    await bench.send(*(task(definition, name) for name in gates))
    for _ in gates:
        await asked.acquire()
    subject = subjects.cancel(TENANT, RUN)
    await bench.nc.publish(subject, b'{"steps": [["a", 1], ["b", 2]]}')
    await bench.nc.publish(subject, b'{"steps": "all"}')
    stopped = await bench.word()
    assert (type(stopped), stopped.step_id) == (ConfirmCancel, "a")
    for gate in gates.values():
        gate.set()
    ended = [await bench.word() for _ in range(2)]
    assert all(isinstance(report, CompleteStep) for report in ended)
    assert {report.step_id for report in ended} == {"b", "c"}
