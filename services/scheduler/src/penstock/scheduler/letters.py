"""A letter: one command to one run, or one gate, and what its sender waits for."""

from typing import NamedTuple, Protocol

from penstock.domain.gate.commands import GateCommand
from penstock.domain.run.commands import RunCommand
from penstock.infra.eventlog.transact import Addressed

FAILURES_HEADER = "Penstock-Failures"
"""On a message that was published again: how often handling it has failed by a fault of ours."""

FAILURES_MAX = 5
"""After so many it is a dead letter."""


class Settled(Protocol):
    """Who is told what became of a letter."""

    def done(self) -> None:
        """It has taken effect, or needs none."""

    def failed(self, delay_s: float) -> None:
        """It must come again."""


class Letter(NamedTuple):
    """A command on its way to its run.

    receipt: of the message it came in; None for what the scheduler tells itself. reply_to: where
    its sender waits, empty for nobody. deliveries: how often the message has been delivered.
    failures: how often handling it has failed by a fault of ours. about: what is to be asked once
    more: by a step's id its child run, by any text the gate that a queued run waits for.
    """

    addressed: Addressed[RunCommand]
    receipt: Settled | None = None
    reply_to: str = ""
    deliveries: int = 1
    failures: int = 0
    about: str = ""

    def done(self) -> None:
        """It has taken effect, or needs none."""
        if self.receipt is not None:
            self.receipt.done()

    def failed(self, delay_s: float) -> None:
        """It must come again."""
        if self.receipt is not None:
            self.receipt.failed(delay_s)


class GateLetter(NamedTuple):
    """A command on its way to its gate; members as in `Letter`."""

    addressed: Addressed[GateCommand]
    receipt: Settled | None = None
    deliveries: int = 1
    failures: int = 0

    def done(self) -> None:
        """It has taken effect, or needs none."""
        if self.receipt is not None:
            self.receipt.done()

    def failed(self, delay_s: float) -> None:
        """It must come again."""
        if self.receipt is not None:
            self.receipt.failed(delay_s)
