"""`http_request`: one HTTP call; what came back is the output.

Output `{status, headers, body}`: header names in lower case; the body parsed when it is JSON, as
text when it is text, else as base64 with `encoding: "base64"` beside it; null when there is none.
"""

import base64
import codecs
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from penstock.domain.workflow.config_schemas import (
    REDIRECTS_MAX,
    REQUEST_TIMEOUT_MAX_MS,
    REQUEST_TIMEOUT_MS,
    RESPONSE_BYTES_MAX,
)
from penstock.executor.authorization import authorized
from penstock.executor.context import StepContext
from penstock.executor.dialling import refused
from penstock.executor.inputs import StepInput, encode
from penstock.executor.outbound import (
    BODY_BYTES_MAX,
    Answer,
    AnswerTooLarge,
    Call,
    CallInvalid,
    CallTimedOut,
    RedirectsExceeded,
    Unreachable,
    send,
)
from penstock.executor.outcome import Done, StepFault, TimedOut
from penstock.executor.scrub import NOTHING_HIDDEN, Scrubber
from penstock.infra.egress.urls import EgressRefused

DETAILS_BODY_MAX = 64 * 1024
"""Bytes of a refused answer's body that the error keeps."""
BODY_DEPTH_MAX = 64
"""A body that nests deeper is kept as the text that it came as."""
RETRYABLE_STATUSES = frozenset({408, 425, 429})
INPUT_METHODS = frozenset({"POST", "PUT", "PATCH"})
RETRY_AFTER_MAX_MS = 24 * 3600 * 1000

CHARSETS = re.compile(
    r"utf-(8|16|32)(-sig|-le|-be)?|ascii|iso8859-\d+|cp\d+|koi8-\w|mac-\w+"
    r"|gb\w+|big5\w*|euc_\w+|shift_jis\w*|iso2022_\w+"
)
"""Python's names of encodings that pages are written in; some of its others take for ever."""

Scalar = str | int | float | bool | None
TimeoutMs = Annotated[int, Meta(ge=1, le=REQUEST_TIMEOUT_MAX_MS)]


class Tls(Struct, frozen=True):
    """verify: whether the far side has to prove who it is."""

    verify: bool = True


class HttpConfig(Struct, frozen=True, rename="camel", kw_only=True):
    """The config of `http_request`, its templates filled in."""

    url: str
    method: str = "GET"
    headers: dict[str, Scalar] = {}
    query: dict[str, Scalar | list[Scalar]] = {}
    body: Any | UnsetType = UNSET
    timeout_ms: TimeoutMs = REQUEST_TIMEOUT_MS
    accept_status: list[int | str] = []
    follow_redirects: bool = True
    max_redirects: Annotated[int, Meta(ge=0, le=REDIRECTS_MAX)] = REDIRECTS_MAX
    max_response_bytes: Annotated[int, Meta(ge=0, le=RESPONSE_BYTES_MAX)] = BODY_BYTES_MAX
    tls: Tls = Tls()


async def run(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Done:
    """Make the call. Raises StepFault for anything but an accepted answer."""
    wanted = typed(config, HttpConfig)
    method = wanted.method.upper()
    body, content_type = body_of(wanted, method, given)
    headers = {"idempotency-key": context.step_key}
    if content_type:
        headers["content-type"] = content_type
    headers |= {name.lower(): text for name, text in texts(wanted.headers)}
    headers["traceparent"] = context.traceparent
    call = Call(
        tenant=context.tenant,
        method=method,
        url=wanted.url,
        headers=tuple(headers.items()),
        query=tuple(query_of(wanted.query)),
        body=body,
        timeout_ms=wanted.timeout_ms,
        redirects_max=wanted.max_redirects if wanted.follow_redirects else 0,
        body_max=wanted.max_response_bytes,
        verify=wanted.tls.verify,
    )
    return output_of(await answered(context, call), wanted.accept_status, context.used.scrubber)


C = Any


def typed(config: Mapping[str, Any], shape: type[C]) -> C:
    """The config as `shape`. Raises StepFault, final, where the templates gave something else."""
    try:
        return msgspec.convert(config, shape)
    except msgspec.ValidationError as error:
        raise StepFault("CONFIG_INVALID", str(error)) from error


def body_of(config: HttpConfig, method: str, given: StepInput) -> tuple[bytes | None, str]:
    """The bytes to send and their type; without `body` the input, where the method takes one."""
    if config.body is UNSET:
        return (bytes(given.raw), JSON_TYPE) if method in INPUT_METHODS else (None, "")
    if isinstance(config.body, str):
        return config.body.encode(), "text/plain; charset=utf-8"
    return encode(config.body), JSON_TYPE


JSON_TYPE = "application/json"


def texts(values: Mapping[str, Scalar]) -> list[tuple[str, str]]:
    """Names with their values as text; those that are null are left out."""
    return [(name, text_of(value)) for name, value in values.items() if value is not None]


def query_of(query: Mapping[str, Scalar | list[Scalar]]) -> list[tuple[str, str]]:
    """Query parameters; a list repeats its name."""
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        several = value if isinstance(value, list) else [value]
        pairs.extend((name, text_of(one)) for one in several if one is not None)
    return pairs


def text_of(value: Scalar) -> str:
    """A value in a header or query, as JSON writes it; a string as it is."""
    return value if isinstance(value, str) else encode(value).decode()


async def answered(context: StepContext, call: Call) -> Answer:
    """The answer to `call`; what prevents one becomes a fault."""
    try:
        return await authorized(context, call, lambda one: send(context.transport, one))
    except CallInvalid as error:
        raise StepFault("CONFIG_INVALID", str(error)) from error
    except EgressRefused as error:
        raise refused(context, error) from error
    except Unreachable as error:
        raise StepFault("CONNECTION_ERROR", str(error), retryable=True) from error
    except CallTimedOut as error:
        raise TimedOut(call.timeout_ms) from error
    except AnswerTooLarge as error:
        raise StepFault("PAYLOAD_TOO_LARGE", str(error)) from error
    except RedirectsExceeded as error:
        raise StepFault("TOO_MANY_REDIRECTS", str(error)) from error


def output_of(
    answer: Answer, accepted: list[int | str], scrubber: Scrubber = NOTHING_HIDDEN
) -> Done:
    """The answer as output. Raises StepFault when its status fails the step.

    scrubber: of what must not be cut in two by a limit, for then nobody would find it any more.
    """
    if is_failure(answer.status) and not is_accepted(answer.status, accepted):
        raise StepFault(
            "HTTP_STATUS",
            f"the answer was {answer.status}",
            retryable=is_retryable(answer.status),
            details={
                "status": answer.status,
                "body": body_value(answer, DETAILS_BODY_MAX, scrubber),
            },
            retry_after_ms=retry_after_ms(answer.headers.get("retry-after")),
        )
    output: dict[str, Any] = {"status": answer.status, "headers": answer.headers}
    output["body"] = body_value(answer, len(answer.body))
    if answer.body and text_of_body(answer) is None:
        output["encoding"] = "base64"
    return Done(Raw(encode(output)))


def is_failure(status: int) -> bool:
    """Whether the status fails a step that does not accept it."""
    return status >= 400


def is_accepted(status: int, accepted: list[int | str]) -> bool:
    """Whether `accepted` names the status: 404, "404", or its class as "4xx"."""
    return any(str(one).lower() in {str(status), f"{status // 100}xx"} for one in accepted)


def is_retryable(status: int) -> bool:
    """Whether the same request may be answered otherwise later."""
    return status in RETRYABLE_STATUSES or status >= 500


def retry_after_ms(header: str | None) -> int | None:
    """What `Retry-After` asks for, seconds or a date, in ms; None when it asks for nothing."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return None
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return min(round(seconds * 1000), RETRY_AFTER_MAX_MS)


def body_value(answer: Answer, limit: int, scrubber: Scrubber = NOTHING_HIDDEN) -> Any:
    """The body as a value; one over `limit` bytes is cut and then no longer parsed."""
    if not answer.body:
        return None
    text = text_of_body(answer)
    if len(answer.body) > limit:
        if text is None:
            return base64.b64encode(answer.body[:limit]).decode()
        return scrubber.text(text).encode()[:limit].decode(errors="ignore")
    if text is None:
        return base64.b64encode(answer.body).decode()
    if is_json(answer.headers.get("content-type", "")):
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return text
        return value if is_shallow(value) else text
    return text


def is_shallow(value: Any) -> bool:
    """Whether a value may travel as JSON: what nests deeper, nobody on the way could read."""
    level = [value]
    for _ in range(BODY_DEPTH_MAX):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False


def is_json(content_type: str) -> bool:
    """Whether a media type is JSON: `application/json`, or any with the suffix `+json`."""
    media = content_type.partition(";")[0].strip().lower()
    return media in {JSON_TYPE, "text/json"} or media.endswith("+json")


def text_of_body(answer: Answer) -> str | None:
    """The body as text under its charset, UTF-8 unless told; None when it is none."""
    parameters = answer.headers.get("content-type", "").lower().partition("charset=")[2]
    charset = parameters.partition(";")[0].strip().strip("\"'") or "utf-8"
    try:
        if CHARSETS.fullmatch(codecs.lookup(charset).name) is None:
            return None
        return answer.body.decode(charset)
    except (LookupError, UnicodeDecodeError):
        return None
