"""`penstock secrets …`: how it is called; what it does is in `commands.secrets`."""

from typing import Annotated

import typer

from penstock.client.options import Command

secrets = typer.Typer(
    help="List, set and remove secrets, which some fields of steps read as secrets.NAME.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A secret's name.")]


@secrets.command("list", cls=Command)
def list_secrets(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 50,
) -> None:
    """List the names of secrets, newest first, and who set them when."""
    from penstock.client.commands import secrets as commands  # noqa: PLC0415 - help needs none

    raise typer.Exit(commands.list_secrets(context.obj, limit=limit))


@secrets.command("set", cls=Command)
def set_secret(context: typer.Context, name: Name) -> None:
    """Give a secret the value that is typed in, or else read from standard input."""
    from penstock.client.commands import secrets as commands  # noqa: PLC0415 - help needs none

    raise typer.Exit(commands.set_secret(context.obj, name))


@secrets.command("remove", cls=Command)
def remove_secret(context: typer.Context, name: Name) -> None:
    """Let no step read a secret any more."""
    from penstock.client.commands import secrets as commands  # noqa: PLC0415 - help needs none

    raise typer.Exit(commands.remove_secret(context.obj, name))
