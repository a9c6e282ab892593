"""Every subject is built and parsed here, nowhere else.

`penstock.<family>.…`, coarse to fine. A token that comes from outside is checked before it becomes
part of a subject (`BadToken`), so that no id can widen a subscription or reach another tenant.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

PARTITIONS = 16
"""Everything about one run goes through one partition; also how far schedulers can spread."""

ROOT = "penstock"
ROLL_CALL = "penstock.ctl.rollcall"
"""Executors answer it with the attempts that they hold."""
ANY_CANCEL = "penstock.ctl.cancel.*.*"
"""What executors listen to: every cancel."""
CHECKPOINT = "penstock.live.checkpoint"
"""The projector announces here how far the read models are."""
LOAD = "penstock.live.load"
"""Schedulers tell here how many steps are out, and how many wait."""
ANY_EVENTS = "penstock.evt.>"
"""Every history of the log of events."""
ANY_REGISTRY = "penstock.reg.>"
"""Every history of the registry."""
ANY_TENANT = "penstock.reg.*.tenant.*"
"""The history of every tenant as such."""
ANY_LEASE = "penstock.lease.*"
"""Every lease there is."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EVENTS_TOKENS = 5
_COMMAND_TOKENS = 6
_TIMER_TOKENS = 7
_CANCEL_TOKENS = 5


RECENT = 8_192
"""Subjects that are asked for many times over: so many are kept."""


class BadToken(ValueError):
    """A text that must not become part of a subject."""


class BadSubject(ValueError):
    """A subject that is not of the family it was taken for."""


class EventsSubject(NamedTuple):
    """`log` is `evt` or `reg`."""

    log: str
    tenant: str
    kind: str
    id: str


class CommandSubject(NamedTuple):
    """What a command is about, and the partition it came through."""

    tenant: str
    partition: int
    kind: str
    id: str


class TimerSubject(NamedTuple):
    """The run that waits for a timer, and the timer."""

    partition: int
    tenant: str
    run_id: str
    timer_id: str


class CancelSubject(NamedTuple):
    """The run whose steps are to stop."""

    tenant: str
    run_id: str


def token(text: str) -> str:
    """`text` itself when it may stand in a subject, else `BadToken`."""
    if _TOKEN.fullmatch(text) is None:
        raise BadToken(f"not 1 to 64 of [A-Za-z0-9_-]: {text[:80]!r}")
    return text


def partition_of(id: str) -> int:  # noqa: A002 - the domain's word
    """The partition that everything about `id` goes through: 0 to PARTITIONS - 1."""
    return crc32(id.encode()) % PARTITIONS


def command(tenant: str, kind: str, id: str) -> str:  # noqa: A002
    """Where commands to one aggregate go."""
    return f"penstock.cmd.{token(tenant)}.{partition_of(id)}.{token(kind)}.{token(id)}"


def reports(scope: str, partition: int) -> str:
    """Where executors of `scope` report about the runs of a partition."""
    return f"penstock.rep.{token(scope)}.{_partition(partition)}"


@lru_cache(maxsize=RECENT)
def run_events(tenant: str, run_id: str) -> str:
    """The history of one run."""
    return events(tenant, "run", run_id)


def any_run_events(tenant: str) -> str:
    """The histories of all runs of a tenant."""
    return f"penstock.evt.{token(tenant)}.run.*"


def events(tenant: str, kind: str, id: str) -> str:  # noqa: A002
    """The history of one short-lived aggregate: a run, a gate."""
    return f"penstock.evt.{token(tenant)}.{token(kind)}.{token(id)}"


def registry(tenant: str, kind: str, id: str) -> str:  # noqa: A002
    """The history of one long-lived aggregate: a tenant, a key, a workflow."""
    return f"penstock.reg.{token(tenant)}.{token(kind)}.{token(id)}"


@lru_cache(maxsize=RECENT)
def work(scope: str, queue: str, tenant: str) -> str:
    """Where tasks of a tenant wait for the executors of a queue."""
    return f"penstock.work.{token(scope)}.{token(queue)}.{token(tenant)}"


def timer_set(tenant: str, run_id: str, timer_id: str) -> str:
    """Where a timer is set, and set anew or cancelled."""
    return f"penstock.timer.set.{_timer(tenant, run_id, timer_id)}"


def timer_due(tenant: str, run_id: str, timer_id: str) -> str:
    """Where the broker says that a timer came due."""
    return f"penstock.timer.due.{_timer(tenant, run_id, timer_id)}"


def step_log(tenant: str, run_id: str) -> str:
    """Where the lines go that a run's steps write."""
    return f"penstock.log.{token(tenant)}.{token(run_id)}"


def live(subject: str) -> str:
    """Where the messages of a stored subject are heard at once, without being stored again."""
    family = subject.removeprefix("penstock.")
    if family == subject:
        raise BadSubject(subject)
    return f"penstock.live.{family}"


def lease(name: str | int) -> str:
    """The lease of a partition, or of another thing that one replica holds at a time."""
    return f"penstock.lease.{token(str(name))}"


def dead(stream: str) -> str:
    """Where messages of `stream` go that nobody can handle."""
    return f"penstock.dead.{token(stream)}"


def cancel(tenant: str, run_id: str) -> str:
    """Tells executors at once to stop what they do for a run (core NATS, not stored)."""
    return f"penstock.ctl.cancel.{token(tenant)}.{token(run_id)}"


def parse_events(subject: str) -> EventsSubject:
    """What a subject of EVENTS or REGISTRY is about, else `BadSubject`."""
    tokens = subject.split(".")
    if len(tokens) != _EVENTS_TOKENS or tokens[0] != ROOT or tokens[1] not in {"evt", "reg"}:
        raise BadSubject(subject)
    return EventsSubject(tokens[1], tokens[2], tokens[3], tokens[4])


def parse_command(subject: str) -> CommandSubject:
    """What a subject of COMMANDS is about, else `BadSubject`."""
    tokens = subject.split(".")
    if len(tokens) != _COMMAND_TOKENS or tokens[:2] != [ROOT, "cmd"]:
        raise BadSubject(subject)
    return CommandSubject(tokens[2], _number(tokens[3], subject), tokens[4], tokens[5])


def parse_cancel(subject: str) -> CancelSubject:
    """The run that a cancel is about, else `BadSubject`."""
    tokens = subject.split(".")
    if len(tokens) != _CANCEL_TOKENS or tokens[:3] != [ROOT, "ctl", "cancel"]:
        raise BadSubject(subject)
    return CancelSubject(tokens[3], tokens[4])


def parse_timer(subject: str) -> TimerSubject:
    """What a subject of TIMERS, set or due, is about, else `BadSubject`."""
    tokens = subject.split(".")
    if len(tokens) != _TIMER_TOKENS or tokens[:2] != [ROOT, "timer"]:
        raise BadSubject(subject)
    return TimerSubject(_number(tokens[3], subject), tokens[4], tokens[5], tokens[6])


def _timer(tenant: str, run_id: str, timer_id: str) -> str:
    return f"{partition_of(run_id)}.{token(tenant)}.{token(run_id)}.{token(timer_id)}"


def _partition(partition: int) -> int:
    if not 0 <= partition < PARTITIONS:
        raise BadToken(f"no such partition: {partition}")
    return partition


def _number(text: str, subject: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise BadSubject(subject)
    return int(text)
