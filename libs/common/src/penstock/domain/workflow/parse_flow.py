"""Reading how many runs of a workflow may run, start and wait."""

from typing import Any, Final

from penstock.domain.workflow.model import Concurrency, RateLimit, Strategy
from penstock.domain.workflow.reading import Keys, Member, Members, Reader, snake

CONCURRENCY_MAX: Final = 10_000
KEY_CHARACTERS_MAX: Final = 1024
"""Of the template; what it gives has a bound of its own."""

RATE_MAX: Final = 1_000_000

CONCURRENCY: Final = Keys("max", "key", "strategy")
RATE_LIMIT: Final = Keys("maxConcurrent", "perMinute")
RATE_FLAT: Final = {
    "rateLimitMaxConcurrent": "maxConcurrent",
    "rateLimitPerMinute": "perMinute",
}


def read_concurrency(reader: Reader, given: Member | None) -> Concurrency | None:
    """The concurrency of runs; None where there is none or it is no object."""
    members = None if given is None else reader.members(given, "/concurrency", CONCURRENCY)
    if members is None:
        return None
    return Concurrency(
        max=reader.integer(members.get("max"), least=1, most=CONCURRENCY_MAX) or 1,
        key=reader.text(members.get("key"), shortest=1, longest=KEY_CHARACTERS_MAX),
        strategy=read_strategy(reader, members.get("strategy")),
    )


def read_strategy(reader: Reader, given: Member | None) -> Strategy:
    """What becomes of a run whose key is taken; `cancelRunning` is `cancel_running` too."""
    if given is None:
        return Strategy.QUEUE
    name = snake(given.value) if isinstance(given.value, str) else None
    if name not in set(Strategy):
        reader.invalid(given.at, f"this is one of {', '.join(Strategy)}")
        return Strategy.QUEUE
    return Strategy(name)


def read_rate_limit(reader: Reader, members: Members) -> RateLimit | None:
    """The limits of a workflow's runs, from `rateLimit` or its flat spellings; None for none."""
    given = members.get("rateLimit")
    nested = None if given is None else reader.members(given, "/rateLimit", RATE_LIMIT)
    found: Members = dict(nested or {})
    for flat, name in RATE_FLAT.items():
        if flat not in members:
            continue
        if name in found:
            reader.invalid(members[flat].at, f"{name} is given in rateLimit too")
        found[name] = members[flat]
    if given is not None and nested is not None and not found:
        reader.invalid(given.at, "a rateLimit has maxConcurrent, perMinute or both")
    limits: dict[str, Any] = {
        "max_concurrent": reader.integer(found.get("maxConcurrent"), least=1, most=RATE_MAX),
        "per_minute": reader.integer(found.get("perMinute"), least=1, most=RATE_MAX),
    }
    return None if set(limits.values()) == {None} else RateLimit(**limits)
