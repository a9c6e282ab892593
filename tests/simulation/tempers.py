"""How steps behave, and what all drawings draw alike: conditions of edges, policies of retries."""

from enum import StrEnum
from random import Random

from penstock.domain.workflow.model import Condition, EdgeType, Node, Retry

BRANCHES = ("yes", "no")
"""What a noop of this world may choose."""


class Temper(StrEnum):
    """How the attempts of a step go."""

    SOUND = "sound"
    FLAKY = "flaky"
    HOPELESS = "hopeless"
    BROKEN = "broken"
    SLUGGISH = "sluggish"
    RESTING = "resting"


TEMPERS = (
    (Temper.SOUND, 60),
    (Temper.FLAKY, 14),
    (Temper.HOPELESS, 4),
    (Temper.BROKEN, 4),
    (Temper.SLUGGISH, 4),
    (Temper.RESTING, 14),
)

MILD = (
    (Temper.SOUND, 76),
    (Temper.FLAKY, 10),
    (Temper.HOPELESS, 2),
    (Temper.BROKEN, 3),
    (Temper.SLUGGISH, 5),
    (Temper.RESTING, 4),
)
"""Of steps in drawings that are to get far."""

KINDS = (
    (EdgeType.ON_SUCCESS, 58),
    (EdgeType.ON_FAILURE, 8),
    (EdgeType.ALWAYS, 16),
    (EdgeType.BRANCH, 10),
    (EdgeType.EXPRESSION, 12),
)


def drawn_temper(random: Random, tempers: tuple[tuple[Temper, int], ...] = TEMPERS) -> Temper:
    """How a node's attempts go."""
    kinds = [kind for kind, _ in tempers]
    return random.choices(kinds, [weight for _, weight in tempers])[0]


def temper_of(node: Node) -> Temper:
    """How a node's attempts go, as it was drawn."""
    return Temper(node.name or Temper.SOUND)


def condition(random: Random, branches: tuple[str, ...]) -> Condition:
    """Mostly on success. branches: those that the source may choose."""
    kind = random.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])[0]
    if kind is EdgeType.EXPRESSION:
        return Condition(kind, expression="output != null")
    if kind is EdgeType.BRANCH:
        return Condition(kind, random.choice(branches)) if branches else Condition()
    return Condition(kind)


def retry(random: Random) -> Retry:
    """A policy with short rests."""
    return Retry(
        max_attempts=random.randint(1, 4),
        backoff_ms=random.choice((0, 20, 200, 1_500)),
        backoff_multiplier=random.choice((1.0, 2.0)),
        max_backoff_ms=3_000,
        jitter=random.choice((0.0, 0.2, 1.0)),
    )
