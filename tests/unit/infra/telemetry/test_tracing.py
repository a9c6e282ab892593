"""Traces as plain values: W3C traceparent in, W3C traceparent out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from penstock.domain.errors import Conflict
from penstock.infra.telemetry import tracing
from penstock.infra.telemetry.tracing import Trace, child, new_trace, parse, span, trace_id

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
KNOWN = f"00-{TRACE}-{SPAN}-01"


def test_a_header_is_read() -> None:
    assert parse(KNOWN) == Trace(TRACE, SPAN, sampled=True)
    assert parse(f"00-{TRACE}-{SPAN}-00") == Trace(TRACE, SPAN, sampled=False)


def test_a_later_version_may_say_more() -> None:
    assert parse(f"01-{TRACE}-{SPAN}-01-more") == Trace(TRACE, SPAN, sampled=True)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f" {KNOWN}",
        f"{KNOWN}\n",
    ],
)
def test_a_malformed_header_begins_a_new_trace(header: str | None) -> None:
    assert parse(header) is None
    assert trace_id(header) == ""
    begun = parse(child(header))
    assert begun is not None
    assert begun.trace_id != TRACE


@given(st.text())
def test_any_text_leads_to_a_valid_child(header: str) -> None:
    assert parse(child(header)) is not None


def test_a_child_keeps_the_trace_and_the_decision_to_record() -> None:
    for header in (KNOWN, f"00-{TRACE}-{SPAN}-00"):
        parent, below = parse(header), parse(child(header))
        assert parent is not None
        assert below is not None
        assert (below.trace_id, below.sampled) == (parent.trace_id, parent.sampled)
        assert below.span_id != parent.span_id


def test_new_traces_differ() -> None:
    assert len({new_trace() for _ in range(1000)}) == 1000


def test_without_an_endpoint_a_span_only_hands_the_trace_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in tracing.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert not tracing.configure("executor", "executor-0")
    with span("step", KNOWN, step_id="fetch") as handed_on:
        assert trace_id(handed_on) == TRACE
    tracing.shutdown()


def test_an_error_passes_through_a_span() -> None:
    with pytest.raises(KeyError), span("step", KNOWN):
        raise KeyError


@pytest.mark.parametrize(
    ("error", "told"),
    [(KeyError("somebody@example.org"), "KeyError"), (Conflict("somebody@…"), "CONFLICT")],
)
def test_a_span_tells_an_error_by_its_code_or_type_and_repeats_no_word_of_it(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(tracing._tracing, "tracer", provider.get_tracer("test"))
    with pytest.raises(type(error)), span("step", KNOWN):
        raise error
    (ended,) = spans.get_finished_spans()
    assert ended.attributes is not None
    assert ended.attributes["error.type"] == told
    assert not ended.status.is_ok
    assert "somebody" not in ended.to_json()
