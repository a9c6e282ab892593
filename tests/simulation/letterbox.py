"""What messages hold: the commands to runs in them, and what was ever said or asked in a world."""

from collections import defaultdict

import msgspec
from msgspec import Struct

from penstock.domain.payload import Payload
from penstock.domain.run.commands import EndChild, RunCommand
from penstock.infra.nats import subjects
from penstock.infra.nats.streams import COMMANDS, REPORTS, TIMERS
from penstock.messages.catalogue import RUN
from penstock.messages.envelope import CommandMessage, Reports
from penstock.scheduler.intake import report_id, timer_fired
from penstock.scheduler.timers import GATE_TIMER
from tests.simulation.broker import Message

SET = "penstock.timer.set."

read_command = msgspec.json.Decoder(CommandMessage).decode
read_reports = msgspec.json.Decoder(Reports).decode


class Letter(Struct, frozen=True):
    """A command to a run in a message."""

    run_id: str
    id: str
    command: RunCommand


class Said:
    """Everything that was published. asked: commands to runs by kind. timers: those that were set.

    outputs: digests of what attempts said, by run and step. open: copies of letters that nobody
    has acknowledged.
    """

    def __init__(self) -> None:
        self.asked: set[tuple[str, str]] = set()
        self.timers: set[str] = set()
        self.outputs: dict[tuple[str, str, int], set[str]] = defaultdict(set)
        self.ended: dict[str, EndChild] = {}
        self.open: dict[tuple[str, str], int] = defaultdict(int)

    def hear(self, stream: str, message: Message) -> list[Letter]:
        """Take in a message that was stored; the letters in it."""
        if stream == TIMERS and message.subject.startswith(SET):
            self.timers.add(message.subject.rpartition(".")[2])
        found = letters(stream, message)
        for letter in found:
            self.open[letter.run_id, letter.id] += 1
            self._keep(letter)
        return found

    def lose(self, stream: str, message: Message) -> None:
        """A message is no more."""
        for letter in letters(stream, message):
            self.open[letter.run_id, letter.id] -= 1

    def _keep(self, letter: Letter) -> None:
        command = letter.command
        self.asked.add((letter.run_id, type(command).__name__))
        output: Payload | None = getattr(command, "output", None)
        if output is not None:
            attempt = getattr(command, "attempt", 0)
            self.outputs[letter.run_id, command.step_id, attempt].add(output.sha256)  # type: ignore[union-attr]
        if isinstance(command, EndChild):
            self.ended[command.child_id] = command


def letters(stream: str, message: Message) -> list[Letter]:
    """The commands to runs in a message."""
    if stream == COMMANDS:
        about = subjects.parse_command(message.subject)
        if about.kind != RUN:
            return []
        read = read_command(message.body)
        return [Letter(about.id, read.id, read.command)]
    if stream == REPORTS:
        reports = read_reports(message.body).reports
        return [Letter(item.run_id, report_id(item), item.report) for item in reports]
    if stream == TIMERS and not message.subject.startswith(SET):
        due = subjects.parse_timer(message.subject)
        if due.timer_id == GATE_TIMER:
            return []
        fired = timer_fired(due.timer_id)
        return [Letter(due.run_id, fired.id, fired.command)]
    return []
