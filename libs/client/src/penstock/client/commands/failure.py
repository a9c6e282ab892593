"""What is said on standard error when a command fails, and the exit code it fails with."""

import sys
from typing import Any, Final

import msgspec
from rich.console import Console

from penstock.client.definition_file import FileInvalid, FileUnreadable
from penstock.client.errors import NotConfigured, PenstockError, Refused
from penstock.client.models import ProblemDetail
from penstock.client.options import FAILED, WRONG_USE


class WrongUse(Exception):
    """The command was called in a way that makes no sense."""


class DefinitionRefused(PenstockError):
    """A definition has faults; `problems` says which, `places` where in the file."""

    def __init__(
        self, refusal: Refused, problems: tuple[ProblemDetail, ...], places: tuple[str, ...]
    ) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.problems = problems
        self.places = places


USE: Final = (WrongUse, NotConfigured, FileUnreadable)


def exit_code(error: Exception, *, as_json: bool) -> int | None:
    """The code of an error that is for people, told on standard error; None for any other."""
    if not isinstance(error, PenstockError | FileInvalid | WrongUse | FileUnreadable):
        return None
    if as_json:
        sys.stderr.write(msgspec.json.encode({"error": document(error)}).decode() + "\n")
    else:
        tell(error)
    return WRONG_USE if isinstance(error, USE) else FAILED


def tell(error: Exception) -> None:
    """One line for the error, one for each fault in it."""
    console = Console(stderr=True, highlight=False)
    console.print("[bold red]error[/]:", end=" ")
    console.print(str(error), markup=False, soft_wrap=True)
    for place, problem in faults(error):
        said = f"  {place}  {problem.code}  {problem.message}"
        console.print(said, markup=False, soft_wrap=True)


def faults(error: Exception) -> list[tuple[str, ProblemDetail]]:
    """Each fault of the request: its place, which is `file:line:column pointer` in a file."""
    if isinstance(error, DefinitionRefused):
        places = zip(error.places, error.problems, strict=True)
        return [(f"{place} {problem.pointer or '/'}", problem) for place, problem in places]
    if isinstance(error, Refused):
        return [(problem.pointer or "/", problem) for problem in error.problems]
    return []


def document(error: Exception) -> dict[str, Any]:
    """The error as JSON."""
    refusal = error.refusal if isinstance(error, DefinitionRefused) else error
    said: dict[str, Any] = {"code": "FAILED", "message": str(error), "problems": []}
    if isinstance(refusal, Refused):
        said |= {
            "code": refusal.code,
            "message": refusal.message,
            "status": refusal.status,
            "problems": refusal.problems,
            "traceId": refusal.trace_id,
        }
    elif isinstance(error, USE):
        said["code"] = "WRONG_USE"
    if isinstance(error, DefinitionRefused):
        said |= {"problems": error.problems, "places": error.places}
    return said
