"""`penstock runs pause` and the like: how they are called; what they do is in `commands.control`.

`penstock.client.cli` adds them to the commands of runs.
"""

from typing import Annotated

import typer

from penstock.client.options import Command

RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id.")]
StepId = Annotated[str, typer.Argument(metavar="STEP", help="The path of an approval.")]
Reason = Annotated[str | None, typer.Option(help="Why; kept in its history.")]
Comment = Annotated[str | None, typer.Option(help="What to say with it; kept in its history.")]


def pause_run(context: typer.Context, run_id: RunId, *, reason: Reason = None) -> None:
    """Let nothing new start in a run; what runs goes on to its end."""
    from penstock.client.commands import control  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(control.pause(context.obj, run_id, reason=reason))


def resume_run(context: typer.Context, run_id: RunId) -> None:
    """Let a paused run go on."""
    from penstock.client.commands import control  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(control.resume(context.obj, run_id))


def signal_run(
    context: typer.Context,
    run_id: RunId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the run waits for.")],
    *,
    payload: Annotated[
        str | None,
        typer.Option("--payload", metavar="JSON", help="What it says; @FILE, or - for stdin."),
    ] = None,
) -> None:
    """Signal a run: the step that waits for the name goes on, or the next one that will."""
    from penstock.client.commands import control  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(control.signal(context.obj, run_id, name, payload))


def approve_step(
    context: typer.Context, run_id: RunId, step_id: StepId, *, comment: Comment = None
) -> None:
    """Approve what a step of a run asks for."""
    from penstock.client.commands import control  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(control.approve(context.obj, run_id, step_id, comment=comment))


def reject_step(
    context: typer.Context, run_id: RunId, step_id: StepId, *, comment: Comment = None
) -> None:
    """Reject what a step of a run asks for."""
    from penstock.client.commands import control  # noqa: PLC0415 - help needs none of it

    raise typer.Exit(control.reject(context.obj, run_id, step_id, comment=comment))


def add_controls(runs: typer.Typer) -> None:
    """Add these commands to the runs' ones."""
    runs.command("pause", cls=Command)(pause_run)
    runs.command("resume", cls=Command)(resume_run)
    runs.command("signal", cls=Command)(signal_run)
    runs.command("approve", cls=Command)(approve_step)
    runs.command("reject", cls=Command)(reject_step)
