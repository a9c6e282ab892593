"""What the commands and events of runs are made of: causes, errors, and other runs."""

from enum import StrEnum

from msgspec import Struct

from penstock.domain.payload import Payload


class CancelCause(StrEnum):
    """Why a run is being brought to its end before its steps are done."""

    USER = "user"
    FAILURE = "failure"
    TIMEOUT = "timeout"


class WaitKind(StrEnum):
    """What a step that holds no executor waits for."""

    DELAY = "delay"
    SIGNAL = "signal"
    APPROVAL = "approval"
    CHILD = "child"
    LOOP = "loop"


class Verdict(StrEnum):
    """What somebody decided about an approval; also the branch that the step takes then."""

    APPROVE = "approve"
    REJECT = "reject"


class StepError(Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """Why an attempt failed. `details` is a payload like any output: nobody looks into it."""

    code: str
    message: str
    retryable: bool = False
    details: Payload | None = None


class RunError(Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """Why a run ended without success, and the step that decided it."""

    code: str
    message: str
    step_id: str | None = None


class Parent(Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """The attempt that waits for a run which it had begun. depth: of the child, 1 at the least.

    root: the run that all of it began with. workflows: those of the runs above, the root's first;
    above: these runs.
    """

    run_id: str
    step_id: str
    attempt: int
    depth: int = 1
    root: str = ""
    workflows: tuple[str, ...] = ()
    above: tuple[str, ...] = ()


class Origin(Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """The place in another run's history that a run goes on from."""

    run_id: str
    position: str
