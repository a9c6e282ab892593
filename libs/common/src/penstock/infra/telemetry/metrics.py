"""Metrics: the name of every figure that any Penstock process shows, in one place.

Names are `penstock_<service>_<what>_<unit>`. Labels are bounded: types, outcomes, route templates,
never ids. Every process registers all of them; `exposition(service)` shows the service's own, the
shared ones and the process's.
"""

from collections.abc import Iterator

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST
SHARED = ("penstock_nats_", "penstock_process_", "process_", "python_")

disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

MILLI = (1e-3, 25e-4, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds that a request or a batch may take."""
LONG = (1e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
"""Seconds that a step may take."""
SIZES = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000)


def _counter(name: str, says: str, *labels: str) -> Counter:
    return Counter(f"penstock_{name}", says, labels, registry=REGISTRY)


def _gauge(name: str, says: str, *labels: str) -> Gauge:
    return Gauge(f"penstock_{name}", says, labels, registry=REGISTRY)


def _histogram(name: str, says: str, *labels: str, buckets: tuple[float, ...] = MILLI) -> Histogram:
    return Histogram(f"penstock_{name}", says, labels, buckets=buckets, registry=REGISTRY)


# --- every process -------------------------------------------------------------------------------

nats_connected = _gauge("nats_connected", "1 while the connection to NATS stands")
nats_reconnects = _counter("nats_reconnects_total", "Connections to NATS made anew")
nats_errors = _counter("nats_errors_total", "Errors that the NATS connection reported")
nats_handler_errors = _counter(
    "nats_handler_errors_total", "Messages whose handler failed by our fault", "handler"
)
nats_dead_letters = _counter("nats_dead_letters_total", "Messages given up on", "stream")
loop_lag_seconds = _gauge("process_loop_lag_seconds", "How late the event loop last woke")
ready = _gauge("process_ready", "1 while `/readyz` says yes")

# --- scheduler -----------------------------------------------------------------------------------

scheduler_append_seconds = _histogram(
    "scheduler_append_seconds", "From the decision until the log has it", buckets=MILLI
)
scheduler_decisions = _counter("scheduler_decisions_total", "Decisions appended")
scheduler_events = _counter("scheduler_events_total", "Events appended")
scheduler_refused = _counter("scheduler_refused_total", "Commands refused", "code")
scheduler_commands = _counter("scheduler_commands_total", "Commands decided", "type")
scheduler_tasks_dispatched = _counter("scheduler_tasks_dispatched_total", "Tasks put on WORK")
scheduler_runs_ended = _counter("scheduler_runs_ended_total", "Runs that ended", "status")
scheduler_live_runs = _gauge("scheduler_live_runs", "Runs of held partitions that have not ended")
scheduler_queued_runs = _gauge(
    "scheduler_queued_runs", "Live runs that wait at a gate for their start"
)
scheduler_gates_contended = _gauge(
    "scheduler_gates_contended", "Gates of held partitions with somebody who cannot pass"
)
scheduler_unowned_runs = _gauge(
    "scheduler_unowned_runs", "Live runs that nobody owes a next move; must be 0"
)
scheduler_partitions_held = _gauge("scheduler_partitions_held", "Partitions held by lease")
scheduler_takeovers = _counter("scheduler_takeovers_total", "Partitions taken over")
scheduler_timers_set = _counter("scheduler_timers_set_total", "Timers asked of the broker")
scheduler_timers_fired = _counter("scheduler_timers_fired_total", "Timers that came due")
scheduler_timers_waiting = _gauge("scheduler_timers_waiting", "Timers that runs wait for")
scheduler_mended_runs = _counter(
    "scheduler_mended_runs_total", "Runs that the reconciler gave an owner again", "cause"
)
scheduler_roll_call_seconds = _histogram("scheduler_roll_call_seconds", "One roll call")

scheduler_window_steps = _gauge(
    "scheduler_window_steps", "Steps that may be with the executors of a queue", "queue"
)
scheduler_waiting_steps = _gauge(
    "scheduler_waiting_steps", "Steps that are ready and wait for room at the executors", "queue"
)

# --- executor ------------------------------------------------------------------------------------

executor_steps = _counter("executor_steps_total", "Attempts reported", "type", "status")
executor_step_seconds = _histogram("executor_step_seconds", "One attempt", "type", buckets=LONG)
executor_in_flight = _gauge("executor_in_flight", "Attempts that run now")
executor_capacity = _gauge("executor_capacity", "Attempts that may run at the same time")
executor_lost = _counter("executor_lost_total", "Attempts reported lost", "reason")
executor_reports = _counter("executor_reports_total", "Messages of reports sent")
executor_report_errors = _counter(
    "executor_report_errors_total", "Messages of reports that had to be sent again"
)
executor_egress_refused = _counter(
    "executor_egress_refused_total", "Outgoing calls that the guard refused"
)
executor_blob_bytes = _counter("executor_blob_bytes_total", "Payload bytes", "direction")

# --- projector -----------------------------------------------------------------------------------

projector_lag_events = _gauge(
    "projector_lag_events", "Messages of the log not yet projected", "log"
)
projector_lag_seconds = _gauge(
    "projector_lag_seconds", "Age of the oldest message not yet projected", "log"
)
projector_batch_events = _histogram(
    "projector_batch_events", "Messages in one transaction", "log", buckets=SIZES
)
projector_batch_seconds = _histogram("projector_batch_seconds", "One transaction", "log")
projector_applied = _counter("projector_applied_total", "Messages projected", "log")
projector_undecodable = _counter(
    "projector_undecodable_total", "Messages archived as bytes, their run quarantined", "log"
)
projector_halted = _gauge("projector_halted", "1 after a gap or a hash mismatch; must be 0", "log")
projector_blobs_removed = _counter(
    "projector_blobs_removed_total", "Objects of runs that are no more, removed"
)
projector_runs_removed = _counter(
    "projector_runs_removed_total", "Runs removed that ended too long ago to be kept"
)
projector_tenants_erased = _counter(
    "projector_tenants_erased_total", "Deleted tenants of which nothing is left but their log"
)
projector_active = _gauge("projector_active", "1 on the replica that writes, 0 on a standby", "log")

# --- api -----------------------------------------------------------------------------------------

api_requests = _counter("api_requests_total", "Requests answered", "route", "method", "status")
api_request_seconds = _histogram("api_request_seconds", "One request", "route")
api_streams_open = _gauge("api_streams_open", "Open live streams")
api_unarchived_seconds = _gauge(
    "api_unarchived_seconds", "Age of the oldest event that only the log has"
)
api_sockets_open = _gauge("api_sockets_open", "Open WebSockets")
api_sockets_slow = _counter("api_sockets_slow_total", "WebSockets given up for not reading")
api_commands_waiting = _gauge("api_commands_waiting", "Commands that nobody has decided about")
api_limits_met = _counter("api_limits_met_total", "Requests refused by a limit", "limit")
api_acts_unrecorded = _counter(
    "api_acts_unrecorded_total", "Denials and the like that history does not tell one by one", "why"
)
api_commands = _counter("api_commands_total", "Commands sent", "type", "outcome")


class _Shown(Collector):
    """The families whose names begin with one of `prefixes`."""

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self.prefixes = prefixes

    def collect(self) -> Iterator[Metric]:
        """The families, each with all its series."""
        return (family for family in REGISTRY.collect() if family.name.startswith(self.prefixes))


def exposition(service: str) -> bytes:
    """What `/metrics` of one service answers, in Prometheus' text format (CONTENT_TYPE)."""
    return generate_latest(_Shown((f"penstock_{service}_", *SHARED)))
