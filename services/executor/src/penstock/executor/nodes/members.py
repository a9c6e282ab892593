"""Members of a config, checked: a template may have given anything in place of what was meant."""

from collections.abc import Collection, Mapping
from typing import Any

from penstock.domain.workflow.config_schemas import YEAR_MS
from penstock.executor.outcome import StepFault


def whole(
    config: Mapping[str, Any], member: str, default: int | None, *, most: int | None = None
) -> int | None:
    """A whole number from 1 on, also as a number with a zero fraction or as text."""
    value = config.get(member)
    if value is None:
        return default
    try:
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            number = int(value)
            if number >= 1 and number == float(value) and (most is None or number <= most):
                return number
    except (OverflowError, ValueError):
        pass
    bound = "" if most is None else f" to {most}"
    raise wrong(member, f"{value!r:.100} is no whole number from 1{bound}")


def text(config: Mapping[str, Any], member: str, *, most: int) -> str:
    """A text that is not empty, of at most so many characters."""
    value = config.get(member)
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise wrong(member, f"{value!r:.100} is no text of 1 to {most} characters")
    return value


def one_of(config: Mapping[str, Any], member: str, names: Collection[str], default: str) -> str:
    """One of some names."""
    value = config.get(member, default)
    if not isinstance(value, str) or value not in names:
        raise wrong(member, f"{value!r:.100} is none of {', '.join(names)}")
    return value


def wait_limit(config: Mapping[str, Any]) -> int | None:
    """How long a step waits at most, ms; None for as long as it takes."""
    return whole(config, "timeoutMs", None, most=YEAR_MS)


def wrong(member: str, how: str) -> StepFault:
    """The final fault of a config that names its member."""
    return StepFault("CONFIG_INVALID", f"{member}: {how}")
