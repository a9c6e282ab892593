"""Logs: one line an event, its context on it, secrets never."""

import errno
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from penstock.infra.telemetry import logs

log = logs.logger("tests")


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


class FullDisk(io.BytesIO):
    def write(self, _line: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


class Written:
    """What was written, line by line."""

    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue().decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def line(self) -> dict[str, Any]:
        (line,) = self.lines
        return line


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def written() -> Written:
    stream = io.BytesIO()
    logs.configure("executor", "executor-0", "info", stream=stream)
    return Written(stream)


def test_a_line_says_what_where_and_when(written: Written) -> None:
    log.info("step done", step_id="fetch", attempt=2)
    assert written.line.pop("timestamp").endswith("Z")
    assert written.line | {"timestamp": ""} == {
        "event": "step done",
        "level": "info",
        "module": "tests",
        "service": "executor",
        "instance": "executor-0",
        "step_id": "fetch",
        "attempt": 2,
        "timestamp": "",
    }


def test_context_is_on_every_line_within(written: Written) -> None:
    with logs.bound(tenant="acme", run_id="r-1"):
        log.info("inside")
        logging.getLogger("some.library").warning("also %s", "inside")
    log.info("outside")
    first, second, third = written.lines
    assert (first["tenant"], first["run_id"]) == ("acme", "r-1")
    assert (second["tenant"], second["event"]) == ("acme", "also inside")
    assert "tenant" not in third


def test_a_level_below_the_configured_writes_nothing(written: Written) -> None:
    log.debug("unseen")
    logging.getLogger("some.library").debug("unseen")
    assert not written.text


def test_libraries_that_talk_are_quieted(written: Written) -> None:
    logging.getLogger("httpx").info("a request")
    logging.getLogger("faststream").warning("said by us already")
    assert not written.text


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "password",
        "api_key",
        "X-Api-Key",
        "client_secret",
        "token",
    ],
)
def test_what_a_key_names_as_secret_is_hidden(written: Written, name: str) -> None:
    log.info("request", **{name: "hunter2"}, headers={name: "hunter2"}, all=[{name: "hunter2"}])
    assert "hunter2" not in written.text
    assert written.line[name] == logs.HIDDEN


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("psk_0190abcd_s3cr3t-and_more", "s3cr3t-and_more"),
        ("postgresql://penstock:s3cr3t@db/penstock", "s3cr3t"),
        ("nats://:s3cr3t@n1:4222", "s3cr3t"),
        ("Authorization: Bearer s3cr3t.abc", "s3cr3t"),
    ],
)
def test_what_looks_secret_is_hidden_even_in_a_traceback(
    written: Written, text: str, secret: str
) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed", note=text)
    assert secret not in written.text
    assert "ValueError" in written.line["exception"]


def test_a_url_without_a_password_stays(written: Written) -> None:
    log.info("calling", url="http://example.test:8080/a?b=c@d")
    assert written.line["url"] == "http://example.test:8080/a?b=c@d"


def test_a_value_json_does_not_know_is_shown_as_python_does(written: Written) -> None:
    log.info("odd", value=ValueError("x"))
    assert written.line["value"] == "ValueError('x')"


def test_a_terminal_gets_lines_for_people() -> None:
    terminal = Terminal()
    logs.configure("api", "api-0", "debug", stream=terminal)
    try:
        raise ValueError("psk_ab_s3cr3t")
    except ValueError:
        log.exception("failed", password="hunter2")
    shown = Written(terminal).text
    assert not shown.startswith("{")
    assert "failed" in shown
    assert "Traceback" in shown
    assert "s3cr3t" not in shown
    assert "hunter2" not in shown


def test_a_full_disk_does_not_break_who_logs() -> None:
    logs.configure("api", "api-0", "info", stream=FullDisk())
    log.info("lost")
    logging.getLogger("some.library").error("lost too")
