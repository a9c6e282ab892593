"""Loops and events, in whole stacks."""

from base64 import urlsafe_b64decode
from typing import Any

import httpx
import msgspec
import nats
import pytest

from penstock.dev.stack import Stack
from penstock.domain.payload import Payload
from penstock.infra.keyring.data_keys import DataKeys
from penstock.infra.keyring.keks import Keks
from penstock.infra.keyring.payloads import Seals
from penstock.infra.nats import subjects
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.streams import EVENTS
from penstock.infra.postgres.engine import Engine
from tests.e2e.histories import history, of_type
from tests.e2e.runs import Document, drawn, edge, executed, node, step, told_of

COUNT = 12


def body(*nodes: Document, edges: tuple[Document, ...] = ()) -> Document:
    """The body of a loop."""
    return {"nodes": list(nodes), "edges": list(edges)}


def loop(**config: Any) -> Document:
    """A loop called `each`."""
    return node("each", "loop", config=config)


SQUARED = node("inner", "transform", config={"output": "{{ item * item }}"})


@pytest.mark.parametrize("mode", ["parallel", "sequential"])
async def test_a_loop_over_items_has_its_outputs_in_their_order(
    api: httpx.AsyncClient, mode: str
) -> None:
    each = loop(items="{{ input.numbers }}", mode=mode, body=body(SQUARED))
    run = await executed(
        api,
        drawn(mode, [each, node("after")], edge("each", "after")),
        {"numbers": list(range(COUNT))},
    )
    assert run["status"] == "succeeded", run["error"]
    assert run["output"] == [number * number for number in range(COUNT)]
    events = await history(api, run["id"])
    assert told_of(events, "each.3.inner")[-1] == "StepSucceeded"
    order = [e["data"]["stepId"] for e in of_type(events, "StepSucceeded")]
    inner = [step_id for step_id in order if step_id.endswith(".inner")]
    assert len(inner) == COUNT
    if mode == "sequential":
        assert inner == [f"each.{number}.inner" for number in range(COUNT)]


async def test_a_loop_goes_on_while_its_expression_holds(api: httpx.AsyncClient) -> None:
    counted = node("inner", "transform", config={"output": {"n": "{{ index + 1 }}"}})
    config = {"while": "index < 3", "body": body(counted), "maxIterations": 10}
    run = await executed(api, drawn("while", [loop(**config)]))
    assert run["status"] == "succeeded", run["error"]
    assert run["output"] == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_a_loop_over_nothing_says_an_empty_list(api: httpx.AsyncClient) -> None:
    run = await executed(api, drawn("empty", [loop(items=[], body=body(SQUARED))]))
    assert run["output"] == []


@pytest.mark.parametrize("on_error", ["fail", "continue"])
async def test_a_failing_item_fails_the_loop_or_leaves_a_gap(
    api: httpx.AsyncClient, on_error: str
) -> None:
    risky = node("inner", "transform", config={"output": "{{ 10 / item }}"})
    each = loop(items=[1, "no number", 5], onItemError=on_error, body=body(risky))
    run = await executed(api, drawn(on_error, [each]))
    if on_error == "fail":
        assert run["status"] == "failed"
        assert run["error"]["stepId"] == "each"
    else:
        assert run["status"] == "succeeded", run["error"]
        assert run["output"] == [10, None, 2]


async def test_an_event_that_a_step_emits_is_once_in_the_log(
    api: httpx.AsyncClient, stack: Stack
) -> None:
    config = {"type": "order.paid", "source": "shop", "data": {"order": "{{ input.id }}"}}
    run = await executed(
        api, drawn("emits", [node("tell", "emit_event", config=config)]), {"id": 7}
    )
    assert run["status"] == "succeeded", run["error"]
    output = step(run, "tell")["output"]
    assert (output["type"], output["data"]) == ("order.paid", {"order": 7})
    events = await emitted(stack, output["id"])
    assert [event["type"] for event in events] == ["EventEmitted"]
    assert events[0]["eventType"] == "order.paid"
    assert await opened(stack, events[0]["data"]) == {"order": 7}
    assert events[0]["runId"] == run["id"]


async def opened(stack: Stack, said: Document) -> Any:
    """What a sealed payload says; the keys are where the stack keeps them."""
    payload = msgspec.json.decode(msgspec.json.encode(said), type=Payload)
    key = (stack.data_dir / "keys" / "encryption.key").read_text().strip()
    engine = Engine(stack.database_url, connections_max=1)
    await engine.open()
    try:
        seals = Seals(DataKeys(engine, Keks(urlsafe_b64decode(key))))
        text = await seals.text(stack.tenant_id, payload, bytes(payload.inline))
        return msgspec.json.decode(text)
    finally:
        await engine.close()


async def emitted(stack: Stack, event_id: str) -> list[Document]:
    """The history of a tenant's event."""
    nc = await nats.connect(stack.nats_url)
    direct = Direct(nc)
    await direct.start()
    try:
        subject = subjects.events(stack.tenant_id, "event", event_id)
        stored = await direct.read_subject(EVENTS, subject)
        return [event for each in stored for event in msgspec.json.decode(each.body)["events"]]
    finally:
        await nc.close()
