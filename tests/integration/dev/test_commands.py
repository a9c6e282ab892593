"""`penstock up` refuses what cannot work: exit 2, and the reason names what to change."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from click import unstyle
from typer.testing import CliRunner

from penstock.dev.commands import add_commands


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()

    @made.callback()
    def _main() -> None:
        """A command of commands, as the real one."""

    add_commands(made)
    return made


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_wrong_use(app: typer.Typer, taken_port: int, tmp_path: Path) -> None:
    asked = ["up", "--port", str(taken_port), "--data-dir", str(tmp_path / "data")]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 2
    assert f"port {taken_port}" in result.stderr
    assert "--port" in result.stderr


def test_a_taken_port_of_the_settings_is_wrong_use_too(
    app: typer.Typer, taken_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_API_PORT", str(taken_port))
    result = CliRunner().invoke(app, ["up", "--data-dir", str(tmp_path / "data")])
    assert result.exit_code == 2
    assert "PENSTOCK_API_PORT" in result.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PENSTOCK_API_PORT", "http"),
        ("PENSTOCK_LOG_LEVEL", "loud"),
        ("PENSTOCK_NATS_SYNC_INTERVAL", "hourly"),
        ("PENSTOCK_DATABASE_URL", "mysql://somewhere"),
        ("PENSTOCK_EGRESS_ALLOW", "http://example.test"),
    ],
)
def test_a_wrong_setting_is_wrong_use(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    result = CliRunner().invoke(app, ["up", "--port", "0", "--data-dir", str(tmp_path / "data")])
    assert result.exit_code == 2
    assert variable in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--executors", "0"),
        ("--executors", "-1"),
        ("--schedulers", "17"),
        ("--api", "0"),
        ("--api", "many"),
        ("--port", "70000"),
        ("--sync-interval", "1s"),
    ],
)
def test_a_wrong_option_is_named(app: typer.Typer, tmp_path: Path, option: str, value: str) -> None:
    result = CliRunner().invoke(app, ["up", option, value, "--data-dir", str(tmp_path / "data")])
    assert result.exit_code == 2
    assert option in unstyle(result.stderr)
    assert not (tmp_path / "data").exists()


def test_an_unknown_option_is_wrong_use(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["up", "--nope"]).exit_code == 2


def test_every_option_is_explained(app: typer.Typer) -> None:
    told = CliRunner().invoke(app, ["up", "--help"], env={"COLUMNS": "200"}).stdout
    names = (
        "port",
        "data-dir",
        "executors",
        "schedulers",
        "api",
        "reload",
        "verbose",
        "json",
        "sync-interval",
    )
    assert all(f"--{name}" in told for name in names)
