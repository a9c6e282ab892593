"""The topology: every stream and durable consumer with its limits, as values.

`bootstrap` makes them, `verify` compares; no service makes one on its own. Where an operator may
want another figure, the figure is a constant here with its reason.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    PersistMode,
    RePublish,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from penstock.domain.workflow.model import QUEUE_DEFAULT
from penstock.infra.nats.subjects import PARTITIONS, token

COMMANDS = "COMMANDS"
REPORTS = "REPORTS"
EVENTS = "EVENTS"
REGISTRY = "REGISTRY"
WORK = "WORK"
TIMERS = "TIMERS"
LOGS = "LOGS"
LEASES = "LEASES"
DEAD_LETTERS = "DEAD_LETTERS"
BLOBS_BUCKET = "payloads"
BLOBS = f"OBJ_{BLOBS_BUCKET}"

OF_RECORD = (EVENTS, REGISTRY)
"""What cannot be made anew once it is lost."""

COMMANDS_OF = "penstock.cmd.*.{}.*.*"
REPORTS_OF = "penstock.rep.*.{}"
TIMERS_SET_OF = "penstock.timer.set.{}.*.*.*"
TIMERS_DUE_OF = "penstock.timer.due.{}.*.*.*"
"""Of a partition. Streams take in exactly what their consumers read, so that whoever publishes
anything else hears at once that nobody is there, and nothing piles up that no one looks at."""

SHARED = "shared"
DEFAULT_QUEUE = QUEUE_DEFAULT

DAY_S = 86_400.0
EVENTS_WINDOW_S = 3 * DAY_S
"""Older events are in the archive only."""
QUEUE_MESSAGES_MAX = 1_000_000
"""A work queue refuses more than this instead of forgetting the oldest."""
DECISION_MAX_BYTES = 768 * 1024
"""A decision is cut at 512 KiB; the rest is room for its envelope and headers."""
LOGS_AGE_S = 7 * DAY_S
LOGS_MAX_BYTES = 512 * 1024 * 1024
DEAD_LETTERS_AGE_S = 90 * DAY_S
DEAD_LETTERS_MAX = 100_000
LEASE_HISTORY = 1

SCHEDULER_ACK_WAIT_S = 5.0
WORK_ACK_WAIT_S = 15.0
"""Executors say every third of it that they are still at work."""
REDELIVER_FOR_EVER = -1
SCHEDULER_ACK_PENDING_MAX = 20_000
"""Per partition; far above what a scheduler holds, so that it never stalls the stream."""
WORK_ACK_PENDING_MAX = 100_000
"""Over all executors of a queue: the scheduler's own window is the real bound."""


class Consumer(NamedTuple):
    """A durable consumer and the stream it reads."""

    stream: str
    config: ConsumerConfig

    @property
    def name(self) -> str:
        """The durable's name."""
        return str(self.config.durable_name)


def scheduler_consumer(stream: str, partition: int) -> str:
    """The durable through which a scheduler reads one partition of COMMANDS, REPORTS or TIMERS."""
    return f"scheduler-{stream}-{partition}"


def work_consumer(scope: str, queue: str) -> str:
    """The durable that all executors of a queue share."""
    return f"work-{token(scope)}-{token(queue)}"


def stream_of(subject: str) -> str:
    """The log, EVENTS or REGISTRY, that holds a history."""
    return EVENTS if subject.startswith("penstock.evt.") else REGISTRY


def streams(replicas: int, queues: Iterable[str] = ()) -> tuple[StreamConfig, ...]:
    """Every stream, to be kept on `replicas` servers; queues: of work, beyond `default`."""
    return (
        _queue(COMMANDS, _partitioned(COMMANDS_OF), replicas),
        _hasty(_queue(REPORTS, _partitioned(REPORTS_OF), replicas)),
        _log(EVENTS, "evt", replicas).evolve(max_age=EVENTS_WINDOW_S),
        _log(REGISTRY, "reg", replicas),
        _hasty(_queue(WORK, [work_of(queue) for queue in all_queues(queues)], replicas)),
        _hasty(
            _stream(TIMERS, [*_partitioned(TIMERS_SET_OF), *_partitioned(TIMERS_DUE_OF)], replicas)
        ).evolve(allow_msg_schedules=True, allow_msg_ttl=True, allow_direct=True),
        _hasty(_stream(LOGS, ["penstock.log.*.*"], replicas)).evolve(
            max_age=LOGS_AGE_S,
            max_bytes=LOGS_MAX_BYTES,
            republish=_republish("log"),
            allow_direct=True,
        ),
        _stream(LEASES, ["penstock.lease.*"], replicas).evolve(
            max_msgs_per_subject=LEASE_HISTORY, allow_direct=True
        ),
        _stream(DEAD_LETTERS, ["penstock.dead.*"], replicas).evolve(
            max_age=DEAD_LETTERS_AGE_S, max_msgs=DEAD_LETTERS_MAX, allow_direct=True
        ),
        _bucket(replicas),
    )


def consumers(queues: Iterable[str] = ()) -> Iterator[Consumer]:
    """Every durable consumer; queues: of work, beyond `default`."""
    for partition in range(PARTITIONS):
        yield _scheduler(COMMANDS, partition, COMMANDS_OF.format(partition))
        yield _scheduler(REPORTS, partition, REPORTS_OF.format(partition))
        yield _scheduler(TIMERS, partition, TIMERS_DUE_OF.format(partition))
    for queue in all_queues(queues):
        yield _consumer(
            WORK,
            work_consumer(SHARED, queue),
            filter_subject=work_of(queue),
            ack_wait_s=WORK_ACK_WAIT_S,
            ack_pending_max=WORK_ACK_PENDING_MAX,
        )


def all_queues(queues: Iterable[str]) -> list[str]:
    """The queues of an installation, `default` first; each needs a consumer of its own."""
    return [DEFAULT_QUEUE, *sorted({*queues} - {DEFAULT_QUEUE})]


def work_of(queue: str) -> str:
    """The subjects of a queue's work, of every tenant."""
    return f"penstock.work.{SHARED}.{token(queue)}.*"


def _partitioned(subject: str) -> list[str]:
    return [subject.format(partition) for partition in range(PARTITIONS)]


def _stream(name: str, subjects: list[str], replicas: int) -> StreamConfig:
    return StreamConfig(
        name=name,
        subjects=subjects,
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        num_replicas=replicas,
    )


def _queue(name: str, subjects: list[str], replicas: int) -> StreamConfig:
    return _stream(name, subjects, replicas).evolve(
        retention=RetentionPolicy.WORK_QUEUE,
        max_msgs=QUEUE_MESSAGES_MAX,
        discard=DiscardPolicy.NEW,
    )


def _log(name: str, family: str, replicas: int) -> StreamConfig:
    """A log of record. Nobody can delete or purge, not even by mistake."""
    return _stream(name, [f"penstock.{family}.>"], replicas).evolve(
        deny_delete=True,
        deny_purge=True,
        allow_direct=True,
        max_msg_size=DECISION_MAX_BYTES,
        republish=_republish(family),
    )


def _hasty(config: StreamConfig) -> StreamConfig:
    """Acknowledged before it is written: what a power cut takes, the roll call finds.

    Only a stream on a single server knows this mode.
    """
    return config.evolve(persist_mode=PersistMode.ASYNC) if config.num_replicas == 1 else config


def _bucket(replicas: int) -> StreamConfig:
    """An object store bucket is a stream of this very shape (NATS ADR-20)."""
    subjects = [f"$O.{BLOBS_BUCKET}.C.>", f"$O.{BLOBS_BUCKET}.M.>"]
    return _stream(BLOBS, subjects, replicas).evolve(
        discard=DiscardPolicy.NEW,
        allow_rollup_hdrs=True,
        allow_direct=True,
    )


def _republish(family: str) -> RePublish:
    return RePublish(src=f"penstock.{family}.>", dest=f"penstock.live.{family}.>")


def _scheduler(stream: str, partition: int, filter_subject: str) -> Consumer:
    return _consumer(
        stream,
        scheduler_consumer(stream, partition),
        filter_subject=filter_subject,
        ack_wait_s=SCHEDULER_ACK_WAIT_S,
        ack_pending_max=SCHEDULER_ACK_PENDING_MAX,
    )


def _consumer(
    stream: str, name: str, *, filter_subject: str, ack_wait_s: float, ack_pending_max: int
) -> Consumer:
    config = ConsumerConfig(
        name=name,
        durable_name=name,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait_s,
        max_deliver=REDELIVER_FOR_EVER,
        max_ack_pending=ack_pending_max,
        filter_subject=filter_subject,
    )
    return Consumer(stream, config)
