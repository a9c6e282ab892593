"""What comes of running a node: an output, a moment to wait for, or a fault."""

from msgspec import Raw, Struct


class Done(Struct, frozen=True):
    """The node is done. output: JSON text, or None to pass the step's input on as it is.

    branch: the branch it chose, where its type has branches.
    """

    output: Raw | None = None
    branch: str | None = None


class Rest(Struct, frozen=True):
    """The step needs no executor until the moment `until`, ms; then its output is its input."""

    until: int


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
    """The step went over its time limit, or certainly would; `how` is what it does with it."""

    def __init__(self, limit_ms: int, how: str = "took longer than") -> None:
        super().__init__("TIMEOUT", f"the step {how} {limit_ms} ms", retryable=True)
