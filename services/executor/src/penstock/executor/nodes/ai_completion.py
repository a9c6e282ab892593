"""`ai_completion`: one answer of a model, by the protocol of OpenAI's chat completions.

Asked is the step's connection, else the installation's own key, else nobody: then a mock answers,
the same to the same, and says that it is one. Output `{text, model, usage, finishReason}`, with
`json` where that was asked for and `mock: true` where no model was asked.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.structs import replace

from penstock.domain.workflow.config_schemas import (
    COMPLETION_TIMEOUT_MS,
    MESSAGES_MAX,
    REQUEST_TIMEOUT_MAX_MS,
)
from penstock.executor.authorization import OPENAI_URL
from penstock.executor.connections import Connection
from penstock.executor.context import StepContext
from penstock.executor.credentials import Used
from penstock.executor.dialling import connection_of
from penstock.executor.inputs import StepInput, encode
from penstock.executor.nodes.http_request import (
    JSON_TYPE,
    answered,
    is_shallow,
    output_of,
    typed,
)
from penstock.executor.outbound import Answer, Call
from penstock.executor.outcome import Done, Outcome, StepFault
from penstock.executor.scrub import Scrubber

MODEL = "gpt-4o-mini"
"""Where a step names none."""
MOCK = "mock"
ECHO_MAX = 200
"""Characters of a question that the mock repeats."""
OK = 200

Role = Literal["system", "developer", "user", "assistant"]


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that was said."""

    role: Role
    content: str


class CompletionConfig(Struct, frozen=True, rename="camel", kw_only=True):
    """The config of `ai_completion`, its templates filled in."""

    prompt: str | UnsetType = UNSET
    system: str | UnsetType = UNSET
    messages: Annotated[list[Message], Meta(min_length=1, max_length=MESSAGES_MAX)] | None = None
    model: Annotated[str, Meta(min_length=1, max_length=200)] = MODEL
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    response_format: Literal["text", "json"] = "text"
    timeout_ms: Annotated[int, Meta(ge=1, le=REQUEST_TIMEOUT_MAX_MS)] = COMPLETION_TIMEOUT_MS
    connection: str = ""


class Said(Struct, frozen=True):
    """A model's message; without content where it did anything else than speak."""

    content: str | None = None


class Choice(Struct, frozen=True):
    """One answer."""

    message: Said
    finish_reason: str | None = None


class Usage(Struct, frozen=True):
    """What an answer cost, in tokens; None where a server does not count them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class Completion(Struct, frozen=True):
    """What a server answers, as far as it is read."""

    choices: Annotated[list[Choice], Meta(min_length=1)]
    model: str | None = None
    usage: Usage | None = None


async def run(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Outcome:
    """Ask. Raises StepFault, retryable for what another answer may mend."""
    wanted: CompletionConfig = typed(config, CompletionConfig)
    messages = messages_of(wanted, given)
    if context.used.connection is not None:
        return await completed(context, connection_of(context, "openai"), wanted, messages)
    if context.openai is None:
        return mocked(wanted, messages)
    # The installation's key is no secret of the step, so nobody else hides it.
    scrubber = Scrubber(context.openai.secrets.values())
    ours = replace(context, used=Used({}, context.openai, scrubber))
    return await scrubber.guarding(completed(ours, context.openai, wanted, messages))


def messages_of(config: CompletionConfig, given: StepInput) -> list[Message]:
    """What is said to the model: the messages, the prompt, or else the input as text."""
    if config.messages is not None and config.prompt is not UNSET:
        raise StepFault("CONFIG_INVALID", "a step has messages or a prompt, not both")
    said = [] if config.system is UNSET else [Message("system", config.system)]
    if config.messages is not None:
        return said + config.messages
    if config.prompt is not UNSET:
        return [*said, Message("user", config.prompt)]
    value = given.value
    text = value if isinstance(value, str) else bytes(given.raw).decode()
    return [*said, Message("user", text)]


async def completed(
    context: StepContext, connection: Connection, config: CompletionConfig, said: list[Message]
) -> Done:
    """A model's answer."""
    base = str(connection.config.get("baseUrl", OPENAI_URL)).rstrip("/")
    body: dict[str, Any] = {"model": config.model, "messages": said}
    if config.temperature is not None:
        body["temperature"] = config.temperature
    if config.max_tokens is not None:
        # OpenAI has renamed it and refuses the old name for its newer models; others know no other.
        name = "max_completion_tokens" if base == OPENAI_URL else "max_tokens"
        body[name] = config.max_tokens
    if config.response_format == "json":
        body["response_format"] = {"type": "json_object"}
    call = Call(
        tenant=context.tenant,
        method="POST",
        url=f"{base}/chat/completions",
        headers=(
            ("content-type", JSON_TYPE),
            ("accept", JSON_TYPE),
            ("idempotency-key", context.step_key),
            ("traceparent", context.traceparent),
        ),
        body=encode(body),
        timeout_ms=config.timeout_ms,
        redirects_max=0,
    )
    answer = await answered(context, call)
    found = completion_of(answer, context.used.scrubber)
    choice, model = found.choices[0], found.model or config.model
    text, reason = choice.message.content or "", choice.finish_reason
    return done(output(config, text, model=model, usage=found.usage, reason=reason))


def completion_of(answer: Answer, scrubber: Scrubber) -> Completion:
    """What a server said. Raises StepFault where it is no completion."""
    output_of(answer, [], scrubber)
    if answer.status != OK:
        raise StepFault("ANSWER_INVALID", f"the answer was {answer.status}")
    try:
        return msgspec.json.decode(answer.body, type=Completion)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        said = f"the answer is no completion: {error}"
        raise StepFault("ANSWER_INVALID", said, retryable=True) from error


def usage_of(usage: Usage) -> dict[str, int | None]:
    """Tokens as the output has them."""
    return {
        "promptTokens": usage.prompt_tokens,
        "completionTokens": usage.completion_tokens,
        "totalTokens": usage.total_tokens,
    }


def output(
    config: CompletionConfig, text: str, *, model: str, usage: Usage | None, reason: str | None
) -> dict[str, Any]:
    """The output of the step."""
    members = {
        "text": text,
        "model": model,
        "usage": None if usage is None else usage_of(usage),
        "finishReason": reason,
    }
    return members | ({"json": value_of(text)} if config.response_format == "json" else {})


def value_of(text: str) -> Any:
    """The value that a model was asked for; another try may give one where this one does not."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        said = f"the model's text is no JSON: {error}"
        raise StepFault("ANSWER_INVALID", said, retryable=True) from error
    if not is_shallow(value):
        raise StepFault("ANSWER_INVALID", "the model's JSON nests too deep")
    return value


def mocked(config: CompletionConfig, said: list[Message]) -> Done:
    """An answer that no model gave: the same to the same question."""
    digest = hashlib.sha256(encode([config.model, said])).hexdigest()[:8]
    asked = said[-1].content[:ECHO_MAX]
    text = f"Mock answer {digest}: no model was asked. The question was: {asked}"
    if config.response_format == "json":
        text = encode({"mock": True, "answer": text}).decode()
    words = sum(len(one.content.split()) for one in said)
    usage = Usage(words, len(text.split()), words + len(text.split()))
    members = output(config, text, model=MOCK, usage=usage, reason="stop")
    return done(members | {"mock": True})


def done(members: dict[str, Any]) -> Done:
    """What the step came to."""
    return Done(Raw(encode(members)))
