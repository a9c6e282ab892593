"""What the projector adds to the `penstock` command: `migrate`."""

from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer
from psycopg import Error as PostgresError
from sqlalchemy.exc import SQLAlchemyError

from penstock.infra.settings import MigrateSettings, SettingsInvalid, load
from penstock.projector.migrate import head_revision, migrate

FAILED = 1
MISUSED = 2
PASSWORDS_MAX_BYTES = 64 * 1024


def add_commands(app: typer.Typer) -> None:
    """Called by the `penstock` command through the entry point group `penstock.commands`."""
    app.command("migrate")(migrate_database)


def migrate_database(
    passwords: Annotated[
        Path | None,
        typer.Option(help="JSON file with the passwords of the services' roles, by role"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON")] = False,
) -> None:
    """Bring the database of PENSTOCK_DATABASE_URL to this release: roles, tables, policies."""
    url = settings().database_url
    try:
        migrate(url, _passwords(passwords))
    except ValueError as error:
        fail(str(error), MISUSED)
    except (SQLAlchemyError, PostgresError) as error:
        fail(str(getattr(error, "orig", error)), FAILED)
    done = {"revision": head_revision()}
    typer.echo(msgspec.json.encode(done) if as_json else f"migrated to {done['revision']}")


def settings() -> MigrateSettings:
    """From the environment; a wrong one ends the command with its name."""
    try:
        return load(MigrateSettings)
    except SettingsInvalid as invalid:
        fail(str(invalid), MISUSED)


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong and end with a code."""
    typer.echo(f"penstock: {message}", err=True)
    raise typer.Exit(code)


def _passwords(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(PASSWORDS_MAX_BYTES), type=dict[str, str])
    except (OSError, msgspec.MsgspecError) as error:
        raise ValueError(f"{path}: {error}") from error
