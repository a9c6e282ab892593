"""`penstock runs retry`, `fork`, `retry-all` and `explain`: how they are called.

What they do is in `commands.forking` and `commands.explaining`; `penstock.client.cli` adds them.
"""

from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperOption

from penstock.client.options import Command

DIFFERENCES: Final = "penstock.differences"
DIFFERENCE_NAMES: Final = ("from_step", "at", "pairs", "input_text", "file")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]
Wait = Annotated[bool, typer.Option("--wait", help="Watch the new run to its end.")]


def retry_run(
    context: typer.Context, run_id: RunId, *, dry_run: DryRun = False, wait: Wait = False
) -> None:
    """Begin a new run with what succeeded in one that did not; all else has its turn again."""
    from penstock.client.commands import forking  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(forking.retry(context.obj, run_id, dry_run=dry_run, wait=wait))


class ForkCommand(Command):
    """A command that takes how the new run is to differ, too: more options than a function has."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*differences(), *self.params]

    def invoke(self, ctx: Any) -> Any:
        """Call the command, which finds these options in its context's `meta`."""
        ctx.meta[DIFFERENCES] = {name: ctx.params.pop(name) for name in DIFFERENCE_NAMES}
        return super().invoke(ctx)


def differences() -> list[TyperOption]:
    """What may be different in a fork."""
    return [
        TyperOption(
            param_decls=["from_step", "--from-step"],
            metavar="STEP",
            help="A step's path; it and all behind it have their turn again.",
        ),
        TyperOption(
            param_decls=["at", "--at"],
            metavar="POSITION|TIME",
            help="Where in its history, such as 17.0, or when; that one included.",
        ),
        TyperOption(
            param_decls=["pairs", "-i"],
            metavar="NAME=VALUE",
            multiple=True,
            help="A member of another input; JSON, else text.",
        ),
        TyperOption(
            param_decls=["input_text", "--input"],
            metavar="JSON",
            help="Another input; @FILE, or - for stdin.",
        ),
        TyperOption(
            param_decls=["file", "--definition"],
            metavar="FILE",
            type=Path,
            help="Another definition, in which what is the same is kept.",
        ),
    ]


def fork_run(
    context: typer.Context, run_id: RunId, *, dry_run: DryRun = False, wait: Wait = False
) -> None:
    """Begin a new run that shares the history of another one up to a step or a place."""
    from penstock.client.commands import forking  # noqa: PLC0415 - help needs none of it

    asked = forking.asked_by(**context.meta[DIFFERENCES])
    raise typer.Exit(forking.fork(context.obj, run_id, asked, dry_run=dry_run, wait=wait))


def retry_runs(
    context: typer.Context,
    *,
    status: Annotated[
        str | None, typer.Option(help="failed, timed_out or cancelled; else the first two.")
    ] = None,
    workflow: Annotated[
        str | None, typer.Option(help="Only this workflow's, by key or id.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
) -> None:
    """Retry every run that matches and ended without success, unless it was retried before."""
    from penstock.client.commands import forking  # noqa: PLC0415 - help needs none of it

    filters = {"status": status, "workflow": workflow, "tag": tag}
    raise typer.Exit(forking.retry_all(context.obj, **filters))


def explain_run(context: typer.Context, run_id: RunId) -> None:
    """Tell what each part of a run waits for, and where its time went."""
    from penstock.client.commands import explaining  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(explaining.explain(context.obj, run_id))


def add_forks(app: typer.Typer, runs: typer.Typer) -> None:
    """Add these commands to the runs' ones; what is asked most often stands alone too."""
    runs.command("retry", cls=Command)(retry_run)
    runs.command("fork", cls=ForkCommand)(fork_run)
    runs.command("retry-all", cls=Command)(retry_runs)
    runs.command("explain", cls=Command)(explain_run)
    app.command("explain", cls=Command)(explain_run)
