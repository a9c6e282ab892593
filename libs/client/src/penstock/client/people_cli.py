"""`penstock login`, `logout`, `password` and `seed`: how they are called."""

from pathlib import Path
from typing import Annotated

import typer

from penstock.client.options import Command


def add_people(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command(cls=Command)
    def login(
        context: typer.Context,
        *,
        email: Annotated[
            str | None, typer.Option(help="Whose session; asked for if left out.")
        ] = None,
        url: Annotated[
            str | None, typer.Option(help="The server, if it is no local stack.")
        ] = None,
        password_stdin: Annotated[
            bool, typer.Option("--password-stdin", help="Read the password from standard input.")
        ] = False,
    ) -> None:
        """Log in with a password; other commands then act as this user."""
        from penstock.client.commands import people  # noqa: PLC0415 - help needs none of it

        code = people.log_in(context.obj, email, url=url, from_stdin=password_stdin)
        raise typer.Exit(code)

    @app.command(cls=Command)
    def logout(context: typer.Context) -> None:
        """End the session that `login` began."""
        from penstock.client.commands import people  # noqa: PLC0415 - help needs none of it

        raise typer.Exit(people.log_out(context.obj))

    @app.command(cls=Command)
    def password(
        context: typer.Context,
        *,
        stdin: Annotated[
            bool, typer.Option("--stdin", help="Read the old and the new one, a line each.")
        ] = False,
    ) -> None:
        """Choose another password; your other sessions end."""
        from penstock.client.commands import people  # noqa: PLC0415 - help needs none of it

        raise typer.Exit(people.change_password(context.obj, from_stdin=stdin))

    @app.command(cls=Command)
    def seed(
        context: typer.Context,
        *,
        examples: Annotated[
            Path, typer.Option(metavar="DIR", help="Definitions to be made workflows of.")
        ] = Path("examples"),
    ) -> None:
        """Make a demo tenant with users of every role and example workflows, once."""
        from penstock.client.commands import people  # noqa: PLC0415 - help needs none of it

        raise typer.Exit(people.seed(context.obj, examples))
