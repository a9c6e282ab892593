"""Traces: which request led to this, followed through every hop.

On the hot path a trace is its W3C `traceparent`, a plain text: `parse`, `new_trace`, `child`.
Spans exist only where OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) is set when the process
starts; the SDK and its exporter are imported only then, for memory is budgeted.
"""

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from random import getrandbits
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
FLUSH_MS = 1_000
"""What a stop may spend on the last spans."""
SAMPLED = 1

_TRACEPARENT: Final = re.compile(
    # Version 00 is 55 characters long; a later one, but ff, may go on after a dash.
    r"(?!ff|00.{53}-)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)

Value = str | bool | int | float


class Trace(NamedTuple):
    """A parsed traceparent: 32 and 16 hex digits, and whether the sender records it."""

    trace_id: str
    span_id: str
    sampled: bool


def parse(header: str | None) -> Trace | None:
    """The trace that a `traceparent` header names; None where it is missing or malformed."""
    found = _TRACEPARENT.fullmatch(header) if header else None
    if found is None:
        return None
    return Trace(found[1], found[2], bool(int(found[3], 16) & SAMPLED))


def new_trace() -> str:
    """The traceparent of a trace that begins here."""
    return f"00-{getrandbits(128) or 1:032x}-{getrandbits(64) or 1:016x}-01"


def child(traceparent: str | None) -> str:
    """The traceparent of a hop within the same trace; of a new trace where there is none."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None:
        return new_trace()
    return f"00-{found[1]}-{getrandbits(64) or 1:016x}-{found[3]}"


def trace_id(traceparent: str | None) -> str:
    """The trace's id for a log line; empty where there is none."""
    found = parse(traceparent)
    return found.trace_id if found else ""


class _Unrecorded(AbstractContextManager[str]):
    """What `span` gives where nothing is exported: the next hop's traceparent, and no span."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def __enter__(self) -> str:
        return self.traceparent

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None


class Tracing:
    """The process's span exporter, once `configure` found an endpoint."""

    def __init__(self) -> None:
        self.provider: TracerProvider | None = None
        self.tracer: Tracer | None = None


_tracing = Tracing()


def configure(service: str, instance: str) -> bool:
    """Begins to export spans when the environment names an endpoint; whether it does."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return False
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    names = {"service.name": f"penstock-{service}", "service.instance.id": instance}
    provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracing.provider = provider
    _tracing.tracer = provider.get_tracer("penstock")
    return True


def shutdown() -> None:
    """Sends what spans are left, for at most FLUSH_MS, and exports no more. Blocks."""
    provider, _tracing.provider, _tracing.tracer = _tracing.provider, None, None
    if provider is not None:
        provider.force_flush(FLUSH_MS)
        provider.shutdown()


def span(name: str, traceparent: str | None, **attributes: Value) -> AbstractContextManager[str]:
    """A span below `traceparent` around a block; gives the traceparent to hand on.

    Of an error that leaves the block the span has its code, or else its type: what an error says
    may quote somebody, and nobody could take it back from where spans go. Attributes may be ids.
    """
    tracer = _tracing.tracer
    if tracer is None:
        return _Unrecorded(child(traceparent))
    return _recorded(tracer, name, traceparent, attributes)


@contextmanager
def _recorded(
    tracer: "Tracer", name: str, traceparent: str | None, attributes: dict[str, Value]
) -> Iterator[str]:
    from opentelemetry import trace as otel  # noqa: PLC0415

    parent, context = parse(traceparent), None
    if parent is not None:
        flags = otel.TraceFlags(SAMPLED if parent.sampled else 0)
        remote = otel.SpanContext(
            int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags
        )
        context = otel.set_span_in_context(otel.NonRecordingSpan(remote))
    with tracer.start_as_current_span(
        name,
        context=context,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        here = current.get_span_context()
        try:
            yield f"00-{here.trace_id:032x}-{here.span_id:016x}-{int(here.trace_flags):02x}"
        except Exception as error:
            current.set_attribute("error.type", getattr(error, "code", "") or type(error).__name__)
            current.set_status(otel.Status(otel.StatusCode.ERROR))
            raise
