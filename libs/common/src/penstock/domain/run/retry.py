"""When a failed attempt is followed by another one."""

from penstock.domain.ids import fraction
from penstock.domain.run.commands import FailStep
from penstock.domain.workflow.model import Retry

RETRY_AFTER_MAX_MS = 3_600_000
"""A far side that asks for a longer rest than this hour gets its next request after an hour."""


def next_attempt_in_ms(policy: Retry, failure: FailStep, *, run_id: str, tries: int) -> int | None:
    """How long to rest before the next attempt, None when there is none.

    tries: how many attempts have failed by now, this one included. The jitter is drawn from run,
    step and attempt, so history decides it once and a replay repeats it.
    """
    if not failure.error.retryable or tries >= policy.max_attempts:
        return None
    rest = min(policy.backoff_ms * policy.backoff_multiplier ** (tries - 1), policy.max_backoff_ms)
    drawn = fraction(run_id, failure.step_id, str(failure.attempt))
    rest *= 1 + policy.jitter * (2 * drawn - 1)
    asked = min(failure.retry_after_ms or 0, RETRY_AFTER_MAX_MS)
    return max(0, round(rest), asked)
