"""Logs on the terminal: whole lines only, readable, once each."""

from pathlib import Path

from penstock.dev.errors import log_tail
from penstock.dev.logs import Tail, pretty


def test_a_json_line_is_made_readable() -> None:
    line = '{"event": "started", "level": "info", "run": "r-7", "timestamp": "now"}'
    assert pretty(line) == "info     started run=r-7"


def test_other_lines_stay_as_they_are() -> None:
    for line in ("[INF] Server is ready", "[1, 2]", '{"no": "event"}'):
        assert pretty(line) == line


def test_a_line_is_shown_once_it_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\ntw")
    tail = Tail(log, 0)
    assert list(tail.lines()) == ["one"]
    with log.open("a") as file:
        file.write("o\n")
    assert list(tail.lines()) == ["two"]
    assert list(tail.lines()) == []


def test_a_log_that_began_anew_is_shown_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("a long first line\n")
    tail = Tail(log, 0)
    list(tail.lines())
    log.write_text("new\n")
    assert list(tail.lines()) == ["new"]


def test_an_error_shows_the_last_lines_of_this_start_only(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("earlier\n")
    since = log.stat().st_size
    with log.open("a") as file:
        file.writelines(f"line {number}\n" for number in range(100))
    shown = log_tail(log, since).splitlines()
    assert shown[-1] == "line 99"
    assert "earlier" not in shown
    assert log_tail(tmp_path / "absent") == ""
