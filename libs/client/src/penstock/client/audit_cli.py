"""`penstock audit …`: how it is called; what it does is in `commands.audit`.

`verify`, which needs the owner's database, is added by the projector's package.
"""

from typing import Annotated

import typer

from penstock.client.options import Command

audit = typer.Typer(
    help="Who did what, and the proof that nothing of it changed.", no_args_is_help=True
)

After = Annotated[str | None, typer.Option(metavar="POSITION", help="Only what came later.")]


@audit.command("events", cls=Command)
def list_events(
    context: typer.Context,
    *,
    after: After = None,
    type_: Annotated[
        str | None, typer.Option("--type", help="Only events of this type, such as RunStarted.")
    ] = None,
    actor: Annotated[
        str | None, typer.Option(help="Only what this actor did, such as user:ID.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
) -> None:
    """List what happened in the tenant, in order."""
    from penstock.client.commands import audit as commands  # noqa: PLC0415 - help needs none

    code = commands.list_events(context.obj, after=after, type_=type_, actor=actor, limit=limit)
    raise typer.Exit(code)


@audit.command("export", cls=Command)
def export(context: typer.Context, *, after: After = None) -> None:
    """Write all events with their hashes and bytes to standard output, one JSON object a line."""
    from penstock.client.commands import audit as commands  # noqa: PLC0415 - help needs none

    raise typer.Exit(commands.export(context.obj, after=after))


@audit.command("prove", cls=Command)
def prove(context: typer.Context) -> None:
    """Let the server follow all hash chains of the tenant; 1 if one is broken."""
    from penstock.client.commands import audit as commands  # noqa: PLC0415 - help needs none

    raise typer.Exit(commands.prove(context.obj))
