"""The `penstock` command: how it is called; what it does is in `penstock.client.commands`.

Further commands come from the entry-point group `penstock.commands`: each entry is a function that
takes the typer app and adds to it. They are loaded when help is asked for, or when the command is
none of ours, so that `penstock run` does not wait for them. An entry named like its one command
(`up`) is loaded alone.

Exit codes: 0, 1 when the thing failed or a difference was found, 2 for wrong use.
"""

import sys
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Annotated, Final

import typer

from penstock.client.audit_cli import audit
from penstock.client.control_cli import add_controls
from penstock.client.forks_cli import add_forks
from penstock.client.options import Command
from penstock.client.people_cli import add_people
from penstock.client.secrets_cli import secrets
from penstock.client.variables_cli import variables
from penstock.client.workflows_cli import workflows

GROUP: Final = "penstock.commands"

app = typer.Typer(
    name="penstock",
    help="Workflows that survive anything, and tell everything.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
runs = typer.Typer(
    help="List, show, explain, watch, control, retry, fork and cancel runs.", no_args_is_help=True
)
app.add_typer(runs, name="runs")
app.add_typer(workflows, name="workflows")
app.add_typer(variables, name="variables")
app.add_typer(secrets, name="secrets")
app.add_typer(audit, name="audit")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A definition, JSON or YAML.")]


@app.callback(invoke_without_command=True)
def penstock(
    *,
    show_version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Workflows that survive anything, and tell everything."""
    if show_version:
        typer.echo(f"penstock {version('penstock-client')}")
        raise typer.Exit


@app.command(cls=Command)
def run(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A definition, or the key of a workflow.")
    ],
    *,
    pairs: Annotated[
        list[str] | None,
        typer.Option("-i", metavar="NAME=VALUE", help="A member of the input; JSON, else text."),
    ] = None,
    input_text: Annotated[
        str | None,
        typer.Option("--input", metavar="JSON", help="The input; @FILE, or - for stdin."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Watch the run to its end.")] = False,
) -> None:
    """Start a run of a definition or of a workflow that exists."""
    from penstock.client.commands import running  # noqa: PLC0415 - help needs none of it

    value = running.input_of(pairs or [], input_text)
    raise typer.Exit(running.run(context.obj, file, value, wait=wait))


@app.command(cls=Command)
def apply(
    context: typer.Context,
    file: File,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show the difference; 1 if there is one.")
    ] = False,
) -> None:
    """Create a definition's workflow, or give it a new version, and show the difference."""
    from penstock.client.commands import applying  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(applying.apply(context.obj, file, dry_run=dry_run))


@app.command(cls=Command)
def validate(context: typer.Context, file: File) -> None:
    """Show what is wrong with a definition, all of it, or in which order it would run."""
    from penstock.client.commands import applying  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(applying.validate(context.obj, file))


@app.command(cls=Command)
def events(
    context: typer.Context,
    run_id: RunId,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False,
) -> None:
    """Show a run's history, event by event."""
    from penstock.client.commands import reports  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(reports.list_events(context.obj, run_id, follow=follow))


@app.command(cls=Command)
def usage(context: typer.Context) -> None:
    """Show each limit of the tenant with what is used of it."""
    from penstock.client.commands import usage as commands  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(commands.show_usage(context.obj))


@runs.command("list", cls=Command)
def list_runs(
    context: typer.Context,
    *,
    status: Annotated[str | None, typer.Option(help="Only those with this status.")] = None,
    workflow: Annotated[
        str | None, typer.Option(help="Only this workflow's, by key or id.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
) -> None:
    """List runs, newest first."""
    from penstock.client.commands import reports  # noqa: PLC0415 - help needs none of it

    filters = {"status": status, "workflow": workflow, "tag": tag}
    raise typer.Exit(reports.list_runs(context.obj, limit=limit, **filters))


@runs.command("get", cls=Command)
def get_run(context: typer.Context, run_id: RunId) -> None:
    """Show a run with its steps."""
    from penstock.client.commands import reports  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(reports.get_run(context.obj, run_id))


@runs.command("watch", cls=Command)
def watch_run(context: typer.Context, run_id: RunId) -> None:
    """Watch a run to its end; 1 unless it succeeds. With --json: its events, one a line."""
    from penstock.client.commands import running  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(running.watch(context.obj, run_id, events_as_json=True))


@runs.command("state", cls=Command)
def get_state(
    context: typer.Context,
    run_id: RunId,
    *,
    at: Annotated[
        str | None, typer.Option(help="A position such as 17.0, or a time; else as it stands.")
    ] = None,
) -> None:
    """Show a run as it once stood."""
    from penstock.client.commands import reports  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(reports.get_state(context.obj, run_id, at=at))


@runs.command("cancel", cls=Command)
def cancel_run(
    context: typer.Context,
    run_id: RunId,
    *,
    reason: Annotated[str | None, typer.Option(help="Why; kept in its history.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Watch it until it has ended.")] = False,
) -> None:
    """Ask a run to stop."""
    from penstock.client.commands import stopping  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(stopping.cancel_one(context.obj, run_id, reason=reason, wait=wait))


@runs.command("cancel-all", cls=Command)
def cancel_runs(
    context: typer.Context,
    *,
    status: Annotated[str | None, typer.Option(help="Only those with this status.")] = None,
    workflow: Annotated[
        str | None, typer.Option(help="Only this workflow's, by key or id.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why; kept in their histories.")] = None,
) -> None:
    """Ask every run to stop that has not ended and that matches; all of them without an option."""
    from penstock.client.commands import stopping  # noqa: PLC0415 - help needs none of it

    filters = {"status": status, "workflow": workflow, "tag": tag}
    raise typer.Exit(stopping.cancel_all(context.obj, reason=reason, **filters))


add_controls(runs)
add_forks(app, runs)
add_people(app)

OURS: Final = frozenset(
    {"run", "apply", "validate", "events", "explain", "runs", "usage", "workflows", "variables"}
    | {"secrets", "login", "logout", "seed"}
)


def add_found_commands(to: typer.Typer, named: str | None) -> None:
    """Add the commands of other packages; one that cannot be loaded hides no other.

    An entry with the name of the command is the only one that is loaded.
    """
    found = entry_points(group=GROUP)
    wanted = [entry for entry in found if entry.name == named] or list(found)
    for entry in sorted(wanted, key=lambda entry: entry.name):
        try:
            entry.load()(to)
        except ImportError as error:
            typer.echo(f"warning: the commands of {entry.name} are missing: {error}", err=True)


def main() -> None:
    """Run the command that the arguments name."""
    named = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    if named not in OURS:
        add_found_commands(app, named)
    app(prog_name="penstock")
