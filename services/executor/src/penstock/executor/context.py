"""What a node is told about the attempt that it runs for."""

import hashlib

from msgspec import Struct

from penstock.executor.connections import Connection
from penstock.executor.credentials import NOTHING_USED, Used
from penstock.executor.transport import GuardedTransport
from penstock.infra.telemetry.logs import Logger, logger


class StepContext(Struct, frozen=True):
    """One attempt of one step. started_at: ms.

    traceparent: of this attempt within the trace that led to it; sent along with what it calls.
    used: the secrets and the connection that the node names, and what hides them.
    openai: how the installation asks models for whoever has no connection; None where it does not.
    """

    tenant: str
    run_id: str
    step_id: str
    attempt: int
    started_at: int
    traceparent: str
    transport: GuardedTransport
    used: Used = NOTHING_USED
    openai: Connection | None = None

    @property
    def step_key(self) -> str:
        """The idempotency key of the step, the same over all attempts; hex."""
        return hashlib.sha256(f"{self.run_id}:{self.step_id}".encode()).hexdigest()

    @property
    def attempt_key(self) -> str:
        """The idempotency key of this attempt alone; hex."""
        return hashlib.sha256(f"{self.run_id}:{self.step_id}:{self.attempt}".encode()).hexdigest()

    @property
    def logger(self) -> Logger:
        """The log of the process; its lines name the attempt by `log_keys`."""
        return logger("penstock.executor.step")

    @property
    def log_keys(self) -> dict[str, object]:
        """What every log line about this attempt says."""
        return {
            "tenant": self.tenant,
            "run_id": self.run_id,
            "step_id": self.step_id,
            "attempt": self.attempt,
        }
