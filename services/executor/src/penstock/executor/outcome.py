"""What comes of running a node: an output, something to wait for, or a fault."""

from msgspec import Raw, Struct

from penstock.domain.payload import Payload
from penstock.domain.run.events import WaitKind

Carried = Payload | Raw | None
"""What a report is to carry: a payload that exists, bytes that need one, or nothing."""


class Done(Struct, frozen=True):
    """The node is done. output: JSON text, or None to pass the step's input on as it is.

    branch: the branch it chose, where its type has branches. edges: those of another step's
    EXPRESSION edges that hold, of an evaluation that was asked for them.
    """

    output: Raw | None = None
    branch: str | None = None
    edges: tuple[int, ...] | None = None


class Rest(Struct, frozen=True):
    """The step needs no executor until what it waits for comes, or the moment `until`, ms.

    until is 0 for never. All else is told in `penstock.domain.run.events.StepWaiting`. output: of
    the step when its time ends the wait, None for its input in a delay and for nothing in others.
    """

    until: int = 0
    kind: WaitKind = WaitKind.DELAY
    exceeds: bool = False
    on_timeout: str | None = None
    output: Raw | None = None
    name: str = ""
    count: int | None = None
    items: Raw | None = None
    width: int = 1
    most: int = 0
    tolerant: bool = False
    workflow_id: str = ""
    version: int | None = None


Outcome = Done | Rest


class StepFault(Exception):
    """The attempt failed, for a reason that the step's owner can read.

    details: a JSON-able value. retry_after_ms: how long the far side asks to be left alone.
    timed_out: the step went over its time limit.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        details: object = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.details = details
        self.retry_after_ms = retry_after_ms


class TimedOut(StepFault):
    """The step went over its time limit."""

    def __init__(self, limit_ms: int) -> None:
        super().__init__("TIMEOUT", f"the step took longer than {limit_ms} ms", retryable=True)
