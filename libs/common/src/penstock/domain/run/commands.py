"""What may be asked of a run, or reported about its steps.

Clients ask (`StartRun`, `CancelRun`), the scheduler asks itself (`ContinueRun`, `FireTimer`),
executors report (all others). Every command may come twice, late, or never.
"""

from penstock.domain.gate.events import GateUse
from penstock.domain.message import Message
from penstock.domain.payload import Payload
from penstock.domain.run.events import Origin, Parent, StepError, Verdict, WaitKind


class Command(Message, frozen=True, kw_only=True):
    """The shape that all commands to a run share."""


class StartRun(Command, frozen=True, kw_only=True):
    """Begin a run of one version of a workflow.

    definition: content hash of the version. created_at: when the caller asked, ms.
    request_hash: digest of the canonical request; a second start under the same run id with
    another hash is a conflict. traceparent: of the request, empty for none. parent: the attempt
    that waits for it. forked_from, state: the run that this one goes on from, and a snapshot of it.
    vars: an object of the variables that the definition reads; None where it reads none. gates:
    what it passes before it starts, in this order.
    """

    workflow_id: str
    workflow_name: str
    version: int
    definition: str
    input: Payload
    created_at: int
    vars: Payload | None = None
    trigger: str = "api"
    tags: tuple[str, ...] = ()
    priority: int = 0
    request_hash: str = ""
    traceparent: str = ""
    parent: Parent | None = None
    forked_from: Origin | None = None
    state: Payload | None = None
    gates: tuple[GateUse, ...] = ()


class AdmitRun(Command, frozen=True, kw_only=True):
    """A gate lets the run through."""

    gate_id: str


class TurnAway(Command, frozen=True, kw_only=True):
    """A gate does not let the run through, or no longer, because of the run `holder`.

    holder: empty where it is nobody's. code: why, where it is not what the gate's rule says.
    """

    gate_id: str
    holder: str = ""
    code: str = ""


class CancelRun(Command, frozen=True, kw_only=True):
    """Bring the run to an end; what runs is told to stop."""

    reason: str = ""


class PauseRun(Command, frozen=True, kw_only=True):
    """Let nothing new start."""

    reason: str = ""


class ResumeRun(Command, frozen=True, kw_only=True):
    """Let a paused run go on."""


class SignalRun(Command, frozen=True, kw_only=True):
    """Say something to a step that waits for the signal `name`, or to the next one that will.

    signal_id: what makes it the same signal again.
    """

    name: str
    signal_id: str
    payload: Payload


class DecideApproval(Command, frozen=True, kw_only=True):
    """Approve or reject. output: what the step says then, `{decision, comment, decidedBy}`."""

    step_id: str
    decision: Verdict
    output: Payload


class EndChild(Command, frozen=True, kw_only=True):
    """A child run has come to its end. error: None if it succeeded."""

    step_id: str
    attempt: int
    child_id: str
    output: Payload | None = None
    error: StepError | None = None


class ContinueRun(Command, frozen=True, kw_only=True):
    """Go on with the consequences that did not fit into the last decision."""


class FireTimer(Command, frozen=True, kw_only=True):
    """A timer came due; obeyed if and only if the run waits for this very timer."""

    timer_id: str


class StartStep(Command, frozen=True, kw_only=True):
    """The attempt has been running for a while."""

    step_id: str
    attempt: int
    started_at: int
    executor_id: str


class CompleteStep(Command, frozen=True, kw_only=True):
    """The attempt succeeded. `branch` is the branch it chose, where its type has branches.

    edges: the EXPRESSION edges that came to true, as in `StepSucceeded`. used: as in `SecretUsed`.
    """

    step_id: str
    attempt: int
    output: Payload
    started_at: int
    finished_at: int
    executor_id: str
    branch: str | None = None
    input: Payload | None = None
    edges: tuple[int, ...] | None = None
    used: tuple[str, ...] = ()


class FailStep(Command, frozen=True, kw_only=True):
    """The attempt failed.

    timed_out: it went over the step's time limit. retry_after_ms: what the far side asked for.
    used: as in `SecretUsed`.
    """

    step_id: str
    attempt: int
    error: StepError
    started_at: int
    finished_at: int
    executor_id: str
    timed_out: bool = False
    retry_after_ms: int | None = None
    input: Payload | None = None
    edges: tuple[int, ...] | None = None
    used: tuple[str, ...] = ()


class SuspendStep(Command, frozen=True, kw_only=True):
    """The attempt needs no executor for what it waits for; its fields are `StepWaiting`'s."""

    step_id: str
    attempt: int
    kind: WaitKind = WaitKind.DELAY
    until: int = 0
    exceeds: bool = False
    on_timeout: str | None = None
    output: Payload | None = None
    name: str = ""
    count: int | None = None
    items: Payload | None = None
    width: int = 1
    most: int = 0
    tolerant: bool = False
    workflow_id: str = ""
    version: int | None = None
    input: Payload | None = None
    started_at: int
    executor_id: str


class ReportLost(Command, frozen=True, kw_only=True):
    """The attempt has nobody who works on it.

    reason: `redelivered` (its holder fell silent), `released` (handed back by a graceful stop),
    `vanished` (a roll call did not find it). used: as in `SecretUsed`, where its holder says this.
    """

    step_id: str
    attempt: int
    reason: str
    used: tuple[str, ...] = ()


class ConfirmCancel(Command, frozen=True, kw_only=True):
    """The attempt was stopped because its run is being cancelled. used: as in `SecretUsed`."""

    step_id: str
    attempt: int
    used: tuple[str, ...] = ()


Report = StartStep | CompleteStep | FailStep | SuspendStep | ReportLost | ConfirmCancel
Control = CancelRun | PauseRun | ResumeRun | SignalRun | DecideApproval
RunCommand = StartRun | AdmitRun | TurnAway | Control | EndChild | ContinueRun | FireTimer | Report
