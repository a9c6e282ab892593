"""A run on the screen while it goes on: on a terminal with a bar, else line by line.

Which events get a line is for `penstock.client.telling` to say.
"""

from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from penstock.client.models import Event
from penstock.client.progress import RunProgress, Sentence, StepView, Tone, local_time
from penstock.client.telling import Telling

IN_FLIGHT_MAX: Final = 8
"""Lines below the bar; a screen has room for these."""
SUBJECT_WIDTH: Final = 20


class Display(Protocol):
    """Shows events as they come; a context, for a terminal is to be left as it was."""

    def show(self, event: Event) -> None:
        """Take one more event."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def display_for(console: Console, total: int | None = None) -> "Display":
    """The display that suits a console. total: how many steps the run has, if known."""
    return Screen(console, total) if console.is_terminal else Lines(console, total)


class Lines:
    """One line for each event worth one."""

    def __init__(self, console: Console, total: int | None = None) -> None:
        self._console = console
        self._telling = Telling(RunProgress(total), with_pace=True)

    def show(self, event: Event) -> None:
        """Take one more event."""
        for said in self._telling.take(event):
            self._console.print(line(event, said), soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class Screen:
    """What has settled scrolls by; below it a bar, and the steps on their way."""

    def __init__(self, console: Console, total: int | None = None) -> None:
        self._progress = RunProgress(total)
        self._telling = Telling(self._progress)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("starting", total=total)
        self._live = Live(
            self._picture(), console=console, transient=True, get_renderable=self._picture
        )

    def show(self, event: Event) -> None:
        """Take one more event."""
        told = self._telling.take(event)
        progress = self._progress
        self._bar.update(
            self._task,
            completed=progress.settled,
            total=progress.expected,
            description=progress.stage(),
        )
        if event.type not in {"StepStarted", "StepWaiting"}:
            for said in told:
                self._live.console.print(line(event, said))

    def _picture(self) -> RenderableType:
        flying = self._progress.in_flight()
        shown = [
            Text(f"  {step.id}  {step.status}  {step.note}{tries(step)}", style=Tone.QUIET)
            for step in flying[:IN_FLIGHT_MAX]
        ]
        if len(flying) > IN_FLIGHT_MAX:
            shown.append(Text(f"  and {len(flying) - IN_FLIGHT_MAX} more", style=Tone.QUIET))
        return Group(self._bar, *shown)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)


def tries(step: StepView) -> str:
    """Which attempt a step is at, where it is not the first."""
    return f"  attempt {step.attempt}" if step.attempt > 1 else ""


def line(event: Event, said: Sentence) -> Text:
    """One event as a line: time, step, what became of it."""
    return Text.assemble(
        (local_time(event.at), Tone.QUIET),
        f"  {said.subject:<{SUBJECT_WIDTH}}  ",
        (f"{said.verb:<9}", said.tone),
        f"  {said.rest}" if said.rest else "",
    )
