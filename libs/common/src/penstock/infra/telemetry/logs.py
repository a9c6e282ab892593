"""Logs: one line an event on standard output, JSON unless a terminal reads it.

`configure` is called once, when a process starts. `logger(__name__).info("run started", run_id=…)`
writes a line; `with bound(tenant=…, run_id=…)` adds to every line within, in this task and those
it starts. Lines of the standard library's logging take the same way. Secrets are hidden twice: by
the name of a key, and by their look anywhere in the finished line, tracebacks included.
"""

import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO, Protocol

import msgspec
import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, reset_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "***"
DEPTH_MAX = 4
"""Values nested deeper are shown as they are only after the look of secrets was searched."""
QUIETED = {
    # They speak of every request below WARNING.
    **dict.fromkeys(("asyncio", "httpcore", "httpx", "opentelemetry", "urllib3"), logging.WARNING),
    # It repeats each error of the connection, which `penstock.infra.broker` tells once.
    "faststream": logging.ERROR,
}
"""Libraries, and the least severe line of theirs that is written."""

bound = bound_contextvars
bind = bind_contextvars
unbind = reset_contextvars

_SECRET_NAME = re.compile(
    r"(authorization|cookie|credentials?|passw(or)?d|secret|token|.*[_-]key"
    r"|.*[_-](password|secret|token)|(api|admin|private)key|(database|nats)_url)",
    re.IGNORECASE,
)
_SECRET_LOOK = re.compile(
    rb"""(psk_[A-Za-z0-9]+_)[A-Za-z0-9_-]+|(://[^\s/:@"']*:)[^\s/@"']+(?=@)|(\bBearer\s+)[\w.~+/=-]+"""
)


class Logger(Protocol):
    """What callers may say; keywords become keys of the line."""

    def debug(self, event: str, **values: object) -> None:
        """For whoever follows one case."""

    def info(self, event: str, **values: object) -> None:
        """A milestone of the process or of a request."""

    def warning(self, event: str, **values: object) -> None:
        """Mends itself, but an operator may want to know."""

    def error(self, event: str, **values: object) -> None:
        """Something was not done."""

    def exception(self, event: str, **values: object) -> None:
        """Something was not done, with the traceback of the error being handled."""

    def critical(self, event: str, **values: object) -> None:
        """The process ends."""


def logger(name: str) -> Logger:
    """The logger of a module. Below the configured level a call costs about a microsecond."""
    found: Logger = structlog.get_logger(module=name)
    return found


def configure(
    service: str, instance: str, level: str = "info", *, stream: BinaryIO | None = None
) -> None:
    """Sends all lines of this process to `stream`, standard output unless given.

    level: `debug`, `info`, `warning` or `error`. Lines carry `service` and `instance`.
    """
    out = stream or sys.stdout.buffer
    pretty = out.isatty()
    threshold = logging.getLevelNamesMapping()[level.upper()]
    render: list[Processor] = [
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if pretty
        else _as_json,
        _without_secrets,
    ]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _naming(service, instance),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([] if pretty else [structlog.processors.format_exc_info]),
        hide_secrets,
    ]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Lines(out),
        cache_logger_on_first_use=stream is None,
    )
    _route_standard_logging(threshold)


class _Lines:
    """Writes lines; a full disk or a reader that left never breaks the code that logs."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def msg(self, line: bytes) -> None:
        """One line, in one write so that lines of threads do not mix."""
        with suppress(OSError, ValueError):
            self._out.write(line + b"\n")
            self._out.flush()

    debug = info = warning = error = critical = exception = fatal = msg


def _route_standard_logging(threshold: int) -> None:
    """Every record of the standard library's logging becomes a line of ours."""
    root = logging.getLogger()
    root.handlers[:] = [_Route()]
    root.setLevel(threshold)
    for name, least in QUIETED.items():
        logging.getLogger(name).setLevel(max(threshold, least))
    for name in list(logging.root.manager.loggerDict):
        found = logging.getLogger(name)
        found.handlers[:] = []
        found.propagate = True


class _Route(logging.Handler):
    """Hands records of the standard library's logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line; a record that cannot be written goes to logging's own last resort."""
        try:
            line = structlog.get_logger(module=record.name)
            line.log(record.levelno, record.getMessage(), exc_info=record.exc_info or None)
        except Exception:  # noqa: BLE001  a log line never breaks the code that wrote it
            self.handleError(record)


def _naming(service: str, instance: str) -> Processor:
    def name(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        line["service"] = service
        line["instance"] = instance
        return line

    return name


def hide_secrets(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Replaces the values of keys that name a secret, nested ones too."""
    for key, value in line.items():
        if _SECRET_NAME.fullmatch(key):
            line[key] = HIDDEN
        elif isinstance(value, (Mapping, list, tuple)):
            line[key] = _hidden(value, DEPTH_MAX)
    return line


def _hidden(value: Any, depth: int) -> Any:
    """`value` with the secrets in it replaced, down to `depth` levels."""
    if depth == 0:
        return value
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if _SECRET_NAME.fullmatch(str(key)) else _hidden(inner, depth - 1)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_hidden(inner, depth - 1) for inner in value]
    return value


def _as_json(_logger: WrappedLogger, _method: str, line: EventDict) -> bytes:
    return msgspec.json.encode(line, enc_hook=repr)


def _without_secrets(_logger: WrappedLogger, _method: str, line: Any) -> bytes:
    raw: bytes = line if isinstance(line, bytes) else str(line).encode()
    return _SECRET_LOOK.sub(_masked, raw)


def _masked(found: re.Match[bytes]) -> bytes:
    return (found[1] or found[2] or found[3]) + HIDDEN.encode()
