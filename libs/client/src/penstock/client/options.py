"""The options that every command takes, and the exit code that each error means.

They are added to a command's own, so that none has to name them: `--json`, `--data-dir`,
`--tenant`. A command finds a `Session` made of them as its context's `obj`.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from typer import Exit
from typer.core import TyperCommand, TyperOption

FAILED: Final = 1
WRONG_USE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a command was called, whatever it does."""

    as_json: bool = False
    data_dir: Path | None = None
    tenant: str | None = None


NAMES: Final = tuple(field.name for field in fields(Options))


class Command(TyperCommand):
    """A command that takes these options, and ends in an exit code instead of a trace."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *shared()]

    def invoke(self, ctx: Any) -> Any:
        """Call the command with its own options; what Penstock refuses goes to standard error."""
        from penstock.client.commands.failure import exit_code  # noqa: PLC0415 - help needs none
        from penstock.client.commands.session import Session  # noqa: PLC0415 - as above

        options = Options(**{name: ctx.params.pop(name) for name in NAMES})
        ctx.obj = Session(options)
        try:
            return super().invoke(ctx)
        except Exception as error:
            code = exit_code(error, as_json=options.as_json)
            if code is None:
                raise
            raise Exit(code) from None


def shared() -> list[TyperOption]:
    """The options, anew for each command."""
    return [
        TyperOption(
            param_decls=["as_json", "--json"],
            is_flag=True,
            default=False,
            help="Answer as JSON: one document, or one a line.",
            rich_help_panel="Which Penstock",
        ),
        TyperOption(
            param_decls=["data_dir", "--data-dir"],
            type=Path,
            metavar="DIR",
            help="Folder of a local stack; else PENSTOCK_URL and PENSTOCK_API_KEY, else .penstock.",
            rich_help_panel="Which Penstock",
        ),
        TyperOption(
            param_decls=["tenant", "--tenant"],
            metavar="ID",
            help="Tenant to speak for, with the admin's key.",
            rich_help_panel="Which Penstock",
        ),
    ]
