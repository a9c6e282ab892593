"""Models are asked by the protocol that all of them speak; broken answers are told, keys never."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import pytest

from penstock.executor.connections import Connection
from penstock.executor.nodes import ai_completion
from penstock.executor.outcome import StepFault
from tests.integration.executor.bench import Request, Web, response
from tests.integration.executor.connected import given, said, step, transport

KEY = "sk-the-key-of-the-model"
PATH = "/v1/chat/completions"


def completion(text: str | None, **more: Any) -> bytes:
    """What such a server answers, and more of it than anybody reads."""
    message = {"role": "assistant", "content": text, "refusal": None}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "a-model-2026",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "more": {}},
    }
    return json.dumps(body | more).encode()


def model(web: Web, **config: Any) -> Connection:
    return Connection("openai", {"baseUrl": web.url("/v1"), **config}, {"apiKey": KEY}, "ai")


async def asked(connection: Connection | None, config: Any, value: Any = None, **more: Any) -> Any:
    way = transport("127.0.0.1")
    try:
        context = step(connection, way, **more)
        return said(await ai_completion.run(context, config, given(value)))
    finally:
        await way.close()


async def fault(asking: Awaitable[Any]) -> StepFault:
    with pytest.raises(StepFault) as raised:
        await asking
    return raised.value


async def test_a_model_is_asked_and_its_answer_told(web: Web) -> None:
    web.answer(PATH, completion("Four."), content_type="application/json")
    config = {
        "prompt": "2 + 2?",
        "system": "Be short.",
        "model": "a-model",
        "temperature": 0,
        "maxTokens": 5,
    }
    assert await asked(model(web, organization="org-1"), config) == {
        "text": "Four.",
        "model": "a-model-2026",
        "usage": {"promptTokens": 9, "completionTokens": 3, "totalTokens": 12},
        "finishReason": "stop",
    }
    sent = web.requests[0]
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["openai-organization"] == "org-1"
    assert len(sent.headers["idempotency-key"]) == 64
    assert json.loads(sent.body) == {
        "model": "a-model",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "2 + 2?"},
        ],
        "temperature": 0,
        "max_tokens": 5,
    }


async def test_without_a_prompt_the_input_is_asked(web: Web) -> None:
    web.answer(PATH, completion(None))
    for value, content in (("Hi", "Hi"), ({"a": 1}, '{"a":1}')):
        assert (await asked(model(web), {}, value))["text"] == ""
        assert json.loads(web.requests[-1].body)["messages"][-1]["content"] == content
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    await asked(model(web), {"messages": messages})
    assert json.loads(web.requests[-1].body)["messages"] == messages


async def test_a_server_may_leave_out_what_nobody_needs(web: Web) -> None:
    sparse = {"choices": [{"message": {"content": "Hi"}}], "model": None, "usage": {"x": None}}
    web.answer(PATH, json.dumps(sparse).encode())
    counts = dict.fromkeys(("promptTokens", "completionTokens", "totalTokens"))
    assert await asked(model(web), {"prompt": "?", "model": "mine"}) == {
        "text": "Hi",
        "model": "mine",
        "usage": counts,
        "finishReason": None,
    }


async def test_json_is_read_where_it_was_asked_for(web: Web) -> None:
    web.answer(PATH, completion('{"total": 4}'))
    config = {"prompt": "?", "responseFormat": "json"}
    assert (await asked(model(web), config))["json"] == {"total": 4}
    assert json.loads(web.requests[0].body)["response_format"] == {"type": "json_object"}
    web.answer(PATH, completion("Sure! {"))
    broken = await fault(asked(model(web), config))
    assert (broken.code, broken.retryable) == ("ANSWER_INVALID", True)


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (401, False), (404, False), (429, True), (500, True)]
)
async def test_a_refusal_says_its_status_and_when_to_come_again(
    web: Web, status: int, retryable: bool
) -> None:
    body = json.dumps({"error": {"message": f"slow down, {KEY}"}}).encode()
    web.answer(PATH, body, status=status, retry_after="7", content_type="application/json")
    refused = await fault(asked(model(web), {"prompt": "?"}))
    assert (refused.code, refused.retryable) == ("HTTP_STATUS", retryable)
    assert refused.retry_after_ms == 7000


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>", b"{}", b"[]", b'{"choices": []}', b'{"choices": [{"message": 1}]}'),
        *(completion("x")[:40], completion("x", choices=[{}]), b"\xff", b"[" * 100_000),
        completion("x", usage="much"),
    ],
    ids=range(11),
)
async def test_a_broken_answer_is_told_and_asked_for_anew(web: Web, body: bytes) -> None:
    web.answer(PATH, body, content_type="application/json")
    broken = await fault(asked(model(web), {"prompt": "?"}))
    assert (broken.code, broken.retryable) == ("ANSWER_INVALID", True)


async def test_what_breaks_off_or_takes_too_long_is_asked_again(web: Web) -> None:
    async def half(_: Request) -> bytes:
        return response(200, completion("x"), {})[:80]

    async def never(_: Request) -> bytes:
        await asyncio.sleep(60)
        return b""

    web.answers[PATH] = never
    late = await fault(asked(model(web), {"prompt": "?", "timeoutMs": 100}))
    assert (late.code, late.retryable) == ("TIMEOUT", True)
    web.answers[PATH] = half
    late = await fault(asked(model(web), {"prompt": "?", "timeoutMs": 300}))
    assert late.retryable


@pytest.mark.parametrize(
    "config",
    [
        {"prompt": 7},
        {"prompt": "?", "messages": [{"role": "user", "content": "?"}]},
        {"messages": []},
        {"messages": [{"role": "nobody", "content": "?"}]},
        {"prompt": "?", "temperature": 3},
        {"prompt": "?", "maxTokens": 0},
        {"prompt": "?", "responseFormat": "xml"},
    ],
)
async def test_what_is_no_question_is_not_asked(web: Web, config: Any) -> None:
    wrong = await fault(asked(model(web), config))
    assert (wrong.code, wrong.retryable) == ("CONFIG_INVALID", False)
    assert web.requests == []


async def test_a_mock_says_that_it_is_one_and_always_the_same() -> None:
    first = await asked(None, {"prompt": "What is it?"})
    assert first == await asked(None, {"prompt": "What is it?"}, run="another")
    assert first["text"].startswith("Mock answer ")
    assert first["text"].endswith("What is it?")
    assert (first["mock"], first["model"], first["finishReason"]) == (True, "mock", "stop")
    other = await asked(None, {"prompt": "What is it?", "model": "other"})
    assert other["text"] != first["text"]
    shaped = await asked(None, {"prompt": "?", "responseFormat": "json"})
    assert shaped["json"]["mock"] is True


async def test_the_installations_key_is_used_and_never_said(web: Web) -> None:
    web.answer(PATH, completion(f"Your key is {KEY}."))
    output = await asked(None, {"prompt": "?"}, openai=model(web))
    assert output["text"] == "Your key is ***."
    assert web.requests[0].headers["authorization"] == f"Bearer {KEY}"
    own = Connection("openai", {"baseUrl": web.url("/own")}, {"apiKey": "sk-of-the-tenant"}, "own")
    web.answer("/own/chat/completions", completion("Hello"))
    await asked(own, {"prompt": "?"}, openai=model(web))
    assert web.requests[1].headers["authorization"] == "Bearer sk-of-the-tenant"
    web.answer(PATH, KEY.encode(), status=400)
    refused = await fault(asked(None, {"prompt": "?"}, openai=model(web)))
    assert KEY not in str(refused.details)
    assert "***" in str(refused.details)
