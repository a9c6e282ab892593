"""What the projector adds to the `penstock` command: `migrate`, `audit verify` and `keys`.

The database is that of PENSTOCK_DATABASE_URL, else the one of a local stack: `--data-dir`, or
`.penstock` where the command is called. What a command needs is imported when it is called: the
`penstock` command reads this module to list its help.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn
from uuid import UUID

import msgspec
import typer

if TYPE_CHECKING:
    from penstock.infra.settings import MigrateSettings
    from penstock.projector.audit.report import Report

FAILED = 1
MISUSED = 2
FILE_BYTES_MAX = 64 * 1024
SHOWN_MAX = 20
"""Problems that are shown to a person; `--json` has more."""

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of a local stack, such as .penstock")
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON")]


class LocalStack(msgspec.Struct, rename="camel"):
    """What `penstock.json` of a local stack says about its servers."""

    database_url: str
    nats_url: str


def add_commands(app: typer.Typer) -> None:
    """Called by the `penstock` command through the entry point group `penstock.commands`."""
    from penstock.projector import keys_command

    app.command("migrate")(migrate_database)
    group_of(app, "audit").command("verify")(verify)
    keys_command.add_commands(app)


def group_of(app: typer.Typer, name: str) -> typer.Typer:
    """The commands that go by one name, which another package may have begun."""
    for group in app.registered_groups:
        if group.name == name and group.typer_instance is not None:
            return group.typer_instance
    made = typer.Typer(no_args_is_help=True)
    made.callback()(lambda: None)
    app.add_typer(made, name=name)
    return made


def migrate_database(
    passwords: Annotated[
        Path | None,
        typer.Option(help="JSON file with the passwords of the services' roles, by role"),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring the database to this release: roles, tables, policies."""
    from psycopg import Error as PostgresError
    from sqlalchemy.exc import SQLAlchemyError

    from penstock.projector.migrate import head_revision, migrate

    settings = located(data_dir)
    try:
        migrate(settings.database_url, _passwords(passwords))
    except ValueError as error:
        fail(str(error), MISUSED)
    except (SQLAlchemyError, PostgresError) as error:
        fail(str(getattr(error, "orig", error)), FAILED)
    done = {"revision": head_revision()}
    typer.echo(msgspec.json.encode(done) if as_json else f"migrated to {done['revision']}")


def verify(
    tenant: Annotated[UUID | None, typer.Option(help="Audit this tenant only")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check all hash chains, and every row against the fold of its history; 1 if any differs."""
    from psycopg import Error as PostgresError

    from penstock.projector.audit import command

    settings = located(data_dir)
    try:
        report = command.run(settings.database_url, settings.nats_url, tenant=tenant)
    except PostgresError as error:
        fail(str(error), FAILED)
    if as_json:
        typer.echo(msgspec.json.encode(report))
    else:
        _show(report)
    raise typer.Exit(0 if report.ok else FAILED)


def located(data_dir: Path | None) -> "MigrateSettings":
    """The settings of the environment, else of a local stack; wrong ones end the command."""
    from penstock.infra.settings import MigrateSettings, SettingsInvalid, load

    try:
        if data_dir is None and os.environ.get("PENSTOCK_DATABASE_URL"):
            return load(MigrateSettings)
        stack = (data_dir or Path(".penstock")) / "penstock.json"
        if data_dir is None and not stack.exists():
            return load(MigrateSettings)
        found = msgspec.json.decode(_read(stack), type=LocalStack)
        return MigrateSettings(database_url=found.database_url, nats_url=found.nats_url)
    except SettingsInvalid as invalid:
        fail(str(invalid), MISUSED)
    except (OSError, msgspec.MsgspecError) as error:
        fail(f"{data_dir}: {error}", MISUSED)


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong and end with a code."""
    typer.echo(f"penstock: {message}", err=True)
    raise typer.Exit(code)


def _show(report: "Report") -> None:
    for problem in report.problems[:SHOWN_MAX]:
        typer.echo(f"{problem.kind}  {problem.where}: {problem.detail}")
    if report.problem_count > SHOWN_MAX:
        typer.echo(f"… and {report.problem_count - SHOWN_MAX} more")
    compared = [n for n in report.stream.values() if n is not None]
    streams = f"{sum(compared)} of them in the stream, too" if compared else "NATS not reachable"
    typer.echo(
        f"{'ok' if report.ok else 'NOT OK'}: {report.decisions} decisions ({streams}), "
        f"{report.runs} runs, {report.steps} steps, {report.quarantined} quarantined, "
        f"{report.problem_count} problems"
    )


def _passwords(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        return msgspec.json.decode(_read(path), type=dict[str, str])
    except (OSError, msgspec.MsgspecError) as error:
        raise ValueError(f"{path}: {error}") from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(FILE_BYTES_MAX)
