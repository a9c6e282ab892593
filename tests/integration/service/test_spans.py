"""Spans reach a collector over HTTP, below the trace they were given."""

from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Status
from pytest_httpserver import HTTPServer

from penstock.infra.telemetry import tracing

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    with HTTPServer() as server:
        server.expect_request("/v1/traces", method="POST").respond_with_data(b"")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url_for("/").rstrip("/"))
        assert tracing.configure("executor", "executor-7")
        yield server
        tracing.shutdown()


def received(server: HTTPServer) -> list[ResourceSpans]:
    """Everything the collector was sent."""
    tracing.shutdown()
    bodies = (ExportTraceServiceRequest.FromString(request.data) for request, _ in server.log)
    return [spans for body in bodies for spans in body.resource_spans]


def test_a_span_continues_the_trace_and_hands_it_on(collector: HTTPServer) -> None:
    with (
        tracing.span("step", f"00-{TRACE}-{SPAN}-01", step_id="fetch", attempt=2) as outer,
        tracing.span("call", outer),
    ):
        pass
    (sent,) = received(collector)
    names = {pair.key: pair.value.string_value for pair in sent.resource.attributes}
    assert names["service.name"] == "penstock-executor"
    assert names["service.instance.id"] == "executor-7"
    spans = {span.name: span for scope in sent.scope_spans for span in scope.spans}
    step, call = spans["step"], spans["call"]
    assert step.trace_id.hex() == call.trace_id.hex() == TRACE
    assert step.parent_span_id.hex() == SPAN
    assert call.parent_span_id == step.span_id
    assert outer == f"00-{TRACE}-{step.span_id.hex()}-01"
    assert {pair.key for pair in step.attributes} == {"step_id", "attempt"}


def test_an_error_is_on_the_span_and_goes_on(collector: HTTPServer) -> None:
    with pytest.raises(KeyError), tracing.span("step", None):
        raise KeyError("gone")
    (sent,) = received(collector)
    (span,) = (span for scope in sent.scope_spans for span in scope.spans)
    assert {pair.key: pair.value.string_value for pair in span.attributes} == {
        "error.type": "KeyError"
    }
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert b"gone" not in sent.SerializeToString(), "what it says may quote somebody"


def test_what_the_sender_does_not_record_is_not_sent(collector: HTTPServer) -> None:
    with tracing.span("step", f"00-{TRACE}-{SPAN}-00") as handed_on:
        assert handed_on.endswith("-00")
    assert received(collector) == []
