"""`penstock variables …`: how it is called; what it does is in `commands.variables`."""

from typing import Annotated

import typer

from penstock.client.options import Command

variables = typer.Typer(
    help="List, show, set and delete variables, which templates read as vars.NAME.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A variable's name.")]


@variables.command("list", cls=Command)
def list_variables(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 50,
) -> None:
    """List variables, newest first."""
    from penstock.client.commands import variables as commands  # noqa: PLC0415 - help needs none

    raise typer.Exit(commands.list_variables(context.obj, limit=limit))


@variables.command("get", cls=Command)
def get_variable(context: typer.Context, name: Name) -> None:
    """Show a variable's value as JSON."""
    from penstock.client.commands import variables as commands  # noqa: PLC0415 - help needs none

    raise typer.Exit(commands.get_variable(context.obj, name))


@variables.command("set", cls=Command)
def set_variable(
    context: typer.Context,
    name: Name,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="JSON, else taken as a text.")],
    *,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Give a variable a value; it is made if there is none."""
    from penstock.client.commands import variables as commands  # noqa: PLC0415 - help needs none

    raise typer.Exit(commands.set_variable(context.obj, name, value, description=description))


@variables.command("delete", cls=Command)
def delete_variable(context: typer.Context, name: Name) -> None:
    """Let no run that begins from now on read a variable."""
    from penstock.client.commands import variables as commands  # noqa: PLC0415 - help needs none

    raise typer.Exit(commands.delete_variable(context.obj, name))
