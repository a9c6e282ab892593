"""The command `penstock up`, found by the entry-point group `penstock.commands`."""

import asyncio
import inspect
import json
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from penstock.dev.errors import PortTaken, SettingWrong, StackError
from penstock.dev.foreground import serve
from penstock.dev.options import DATA_DIRECTORY, StackOptions
from penstock.dev.stack import Stack
from penstock.infra.settings import SyncInterval

EXIT_FAILED = 1
EXIT_WRONG_USE = 2


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of `penstock up`, as Typer reads them."""

    port: Annotated[
        int | None,
        typer.Option(help="The API's port (PENSTOCK_API_PORT, else 8000); 0: any free one."),
    ] = None
    data_dir: Annotated[
        Path, typer.Option(help="Where data, logs, keys and penstock.json are.")
    ] = DATA_DIRECTORY
    executors: Annotated[int, typer.Option(help="How many executors.")] = 1
    schedulers: Annotated[int, typer.Option(help="How many schedulers.")] = 1
    api: Annotated[
        int, typer.Option(help="How many API processes: on the port and those after it.")
    ] = 1
    sync_interval: Annotated[
        SyncInterval | None,
        typer.Option(
            help="How often NATS syncs to the disk (PENSTOCK_NATS_SYNC_INTERVAL, else 2m); always: "
            "before each acknowledgement, so that a power cut loses nothing."
        ),
    ] = None
    queues: Annotated[
        str | None,
        typer.Option(
            help="Queues of work, separated by commas (PENSTOCK_QUEUES, else default); every "
            "executor serves all of them."
        ),
    ] = None
    reload: Annotated[
        bool, typer.Option("--reload", help="Start the services anew when their source changes.")
    ] = False
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the logs of all processes.")] = (
        False
    )
    json: Annotated[bool, typer.Option("--json", help="Say as JSON when it is ready.")] = False

    def options(self) -> StackOptions:
        """The same as the stack takes them."""
        return StackOptions(
            **{
                field.name: getattr(self, field.name)
                for field in fields(self)
                if field.name != "json"
            }
        )


def add_commands(app: typer.Typer) -> None:
    """Add `up` to the `penstock` command."""
    app.command("up")(_up)


def _up(**asked: Any) -> None:
    """Start NATS, Postgres and all services on this machine, until Ctrl-C.

    PENSTOCK_NATS_URL and PENSTOCK_DATABASE_URL (the owner's) name servers that run already;
    PENSTOCK_ADMIN_KEY sets the platform admin's API key. Every PENSTOCK_ setting goes on to the
    services. A second Ctrl-C ends everything at once.
    """
    up(Asked(**asked))


# Typer reads a command's options from its signature: here they are the fields of `Asked`.
_up.__annotations__ = get_type_hints(Asked, include_extras=True)
_up.__signature__ = inspect.signature(Asked)  # type: ignore[attr-defined]


def up(asked: Asked) -> None:
    """Serve until a signal; exits 2 for wrong use, 1 when something does not come up."""
    begun = time.monotonic()

    def ready(stack: Stack) -> None:
        typer.echo(_as_json(stack) if asked.json else _as_text(stack, time.monotonic() - begun))

    try:
        asyncio.run(serve(Stack(asked.options(), _say), _say, ready))
    except (SettingWrong, PortTaken) as wrong:
        typer.echo(f"penstock up: {wrong}", err=True)
        raise typer.Exit(EXIT_WRONG_USE) from None
    except StackError as failed:
        typer.echo(f"penstock up: {failed}", err=True)
        raise typer.Exit(EXIT_FAILED) from None


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _as_text(stack: Stack, seconds: float) -> str:
    return (
        f"Penstock is ready after {seconds:.1f} s\n"
        f"  API   {stack.api_url}/api\n"
        f"  Docs  {stack.api_url}/docs\n"
        f"  Data  {stack.data_dir} (keys in penstock.json, logs in log/)\n"
        "Ctrl-C stops it."
    )


def _as_json(stack: Stack) -> str:
    told = {"status": "ready", "apiUrl": stack.api_url, "dataDir": str(stack.data_dir)}
    return json.dumps(told)
