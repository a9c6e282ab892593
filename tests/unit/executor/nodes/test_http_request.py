"""`http_request`, as far as it goes without a network: what is sent, what an answer means."""

import datetime as dt
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest

from penstock.domain.workflow.config_schemas import REDIRECTS_MAX, REQUEST_TIMEOUT_MAX_MS
from penstock.executor.inputs import StepInput
from penstock.executor.nodes.http_request import (
    BODY_DEPTH_MAX,
    HttpConfig,
    Scalar,
    body_of,
    body_value,
    is_accepted,
    is_retryable,
    output_of,
    query_of,
    retry_after_ms,
    typed,
)
from penstock.executor.outbound import Answer
from penstock.executor.outcome import StepFault


def config(**values: Any) -> HttpConfig:
    made: HttpConfig = typed({"url": "http://example.com", **values}, HttpConfig)
    return made


def answer(body: bytes, kind: str = "", status: int = 200) -> Answer:
    return Answer(status, {"content-type": kind} if kind else {}, body)


GIVEN = StepInput.of_value({"a": 1})


def test_the_input_is_the_body_where_the_method_takes_one() -> None:
    assert body_of(config(), "POST", GIVEN) == (b'{"a":1}', "application/json")
    assert body_of(config(), "GET", GIVEN) == (None, "")
    assert body_of(config(), "DELETE", GIVEN) == (None, "")


def test_a_body_of_ones_own_goes_before_the_input() -> None:
    assert body_of(config(body={"b": [1]}), "POST", GIVEN) == (b'{"b":[1]}', "application/json")
    assert body_of(config(body=None), "POST", GIVEN) == (b"null", "application/json")
    assert body_of(config(body="text"), "PUT", GIVEN)[0] == b"text"
    assert body_of(config(body={"q": 1}), "GET", GIVEN)[0] == b'{"q":1}'


@pytest.mark.parametrize(
    "values",
    [
        {"url": 5},
        {"headers": {"a": [1]}},
        {"timeoutMs": "soon"},
        {"timeoutMs": 0},
        {"timeoutMs": -5},
        {"timeoutMs": REQUEST_TIMEOUT_MAX_MS + 1},
        {"maxRedirects": REDIRECTS_MAX + 1},
        {"maxRedirects": -1},
        {"maxResponseBytes": -1},
        {"acceptStatus": "404"},
    ],
)
def test_templates_that_gave_something_else_are_a_final_fault(values: dict[str, Any]) -> None:
    with pytest.raises(StepFault) as caught:
        config(**values)
    assert (caught.value.code, caught.value.retryable) == ("CONFIG_INVALID", False)
    assert all(f"$.{member}" in caught.value.message for member in values)


def test_query_parameters_repeat_and_vanish() -> None:
    query: dict[str, Scalar | list[Scalar]] = {"a": [1, "x", None], "b": None, "c": True, "d": 1.5}
    assert query_of(query) == [("a", "1"), ("a", "x"), ("c", "true"), ("d", "1.5")]


@pytest.mark.parametrize("inner", ["1", '{"a": [2], "b": []}'])
def test_a_body_that_nests_deeply_stays_text(inner: str) -> None:
    for depth, parsed in ((BODY_DEPTH_MAX - 2, True), (BODY_DEPTH_MAX + 1, False)):
        text = "[" * depth + inner + "]" * depth
        value = body_value(answer(text.encode(), "application/json"), len(text))
        assert isinstance(value, list) is parsed
        assert parsed or value == text


@pytest.mark.parametrize(
    ("kind", "body", "value"),
    [
        ("application/json", b' {"a": 1.0} ', {"a": 1.0}),
        ("application/problem+json; charset=utf-8", b"[]", []),
        ("application/json", b"not json", "not json"),
        ("application/json", b"[" * 100_000, "[" * 100_000),
        ("text/plain", b"caf\xc3\xa9", "café"),
        ("text/plain; charset=latin-1", b"caf\xe9", "café"),
        ("", b"plain", "plain"),
        ("image/png", b"\x89PNG\xff", "iVBOR/8="),
        ("text/plain; charset=unheard-of", b"a", "YQ=="),
        ("text/plain; charset=punycode", b"a", "YQ=="),
        ("text/plain; charset=unicode_escape", b"a", "YQ=="),
        ("text/plain; charset=rot13", b"a", "YQ=="),
        ("text/html; charset=Shift_JIS", b"\x83e", "テ"),
        ('text/html; charset="UTF-16"', b"\xff\xfea\x00", "a"),
        ("text/html;charset=windows-1252;x=y", b"\x80", "€"),
        ("application/json", b"", None),
    ],
)
def test_a_body_is_json_or_text_or_base64(kind: str, body: bytes, value: Any) -> None:
    assert body_value(answer(body, kind), len(body)) == value


def test_a_binary_body_says_that_it_is_encoded() -> None:
    done = output_of(answer(b"\xff\xfe\xfd", "image/png"), [])
    assert done.output is not None
    output = msgspec.json.decode(done.output)
    assert (output["body"], output["encoding"]) == ("//79", "base64")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 451])
def test_other_client_errors_are_final(status: int) -> None:
    assert not is_retryable(status)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_busy_and_broken_servers_are_worth_another_try(status: int) -> None:
    assert is_retryable(status)


def test_a_status_is_accepted_by_number_or_class() -> None:
    assert is_accepted(404, [404])
    assert is_accepted(404, ["404"])
    assert is_accepted(404, ["4XX"])
    assert not is_accepted(404, ["5xx", 405])


def test_a_refusal_keeps_some_of_what_came_back() -> None:
    with pytest.raises(StepFault) as caught:
        output_of(answer(b"x" * 100_000, "text/plain", 500), [])
    assert caught.value.details == {"status": 500, "body": "x" * 65_536}


def test_retry_after_is_seconds_or_a_date() -> None:
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90)
    assert retry_after_ms("7") == 7000
    assert 60_000 < (retry_after_ms(format_datetime(later, usegmt=True)) or 0) <= 90_000
    for nothing in (None, "", "soon", "-5", "nan", "inf"):
        assert retry_after_ms(nothing) is None
