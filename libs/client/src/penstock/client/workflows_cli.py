"""`penstock workflows …`: how it is called; what it does is in `commands.versions`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from penstock.client.options import Command

workflows = typer.Typer(
    help="List, show, compare, pin, export and import workflows and their versions.",
    no_args_is_help=True,
)

Key = Annotated[str, typer.Argument(metavar="WORKFLOW", help="A workflow's key or id.")]
Ref = Annotated[str, typer.Argument(metavar="VERSION", help="A version's number or id.")]
Limit = Annotated[int, typer.Option(min=1, max=200, help="How many.")]


@workflows.command("list", cls=Command)
def list_workflows(context: typer.Context, *, limit: Limit = 50) -> None:
    """List workflows, newest first."""
    from penstock.client.commands import versions  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(versions.list_workflows(context.obj, limit=limit))


@workflows.command("get", cls=Command)
def get_workflow(context: typer.Context, workflow: Key) -> None:
    """Show a workflow with its newest published definition."""
    from penstock.client.commands import versions  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(versions.get_workflow(context.obj, workflow))


@workflows.command("delete", cls=Command)
def delete_workflow(context: typer.Context, workflow: Key) -> None:
    """Let nobody run a workflow any more; its runs stay readable, live ones go on."""
    from penstock.client.commands import versions  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(versions.delete_workflow(context.obj, workflow))


@workflows.command("versions", cls=Command)
def list_versions(context: typer.Context, workflow: Key, *, limit: Limit = 50) -> None:
    """List a workflow's versions, newest first."""
    from penstock.client.commands import versions  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(versions.list_versions(context.obj, workflow, limit=limit))


@workflows.command("publish", cls=Command)
def publish(context: typer.Context, workflow: Key, version: Ref) -> None:
    """Let a draft be run."""
    from penstock.client.commands import versions  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(versions.publish(context.obj, workflow, version))


@workflows.command("pin", cls=Command)
def pin(context: typer.Context, workflow: Key, version: Ref) -> None:
    """Run a version by default, whatever is published later."""
    from penstock.client.commands import versions  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(versions.pin(context.obj, workflow, version))


@workflows.command("unpin", cls=Command)
def unpin(context: typer.Context, workflow: Key) -> None:
    """Run the newest published version by default again."""
    from penstock.client.commands import versions  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(versions.unpin(context.obj, workflow))


@workflows.command("diff", cls=Command)
def diff(
    context: typer.Context,
    workflow: Key,
    older: Annotated[str, typer.Argument(metavar="FROM", help="A version's number or id.")],
    newer: Annotated[
        str | None, typer.Argument(metavar="TO", help="A version's number or id; else the newest.")
    ] = None,
) -> None:
    """Show how a version differs from another; 1 if it does."""
    from penstock.client.commands import versions  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(versions.diff(context.obj, workflow, older, newer))


@workflows.command("export", cls=Command)
def export(
    context: typer.Context,
    workflow: Key,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Else standard output.")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="Else the newest published.")
    ] = None,
) -> None:
    """Write a definition as YAML; as JSON into a file named so, and with --json."""
    from penstock.client.commands import versions  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(versions.export(context.obj, workflow, output=output, version=version))


@workflows.command("import", cls=Command)
def import_(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A definition; or a public workflow's id."),
    ],
) -> None:
    """Make the workflow that a file names, or publish the file as its new version."""
    from penstock.client.commands import versions  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(versions.import_(context.obj, file))


@workflows.command("visibility", cls=Command)
def set_visibility(
    context: typer.Context,
    workflow: Key,
    visibility: Annotated[
        Literal["tenant", "public-read"],
        typer.Argument(metavar="VISIBILITY", help="tenant, or public-read."),
    ],
) -> None:
    """Show a workflow's published versions to every tenant that knows its id, or to none."""
    from penstock.client.commands import versions  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(versions.set_visibility(context.obj, workflow, visibility))
