"""What may go wrong in a world, and how often. A world has a mix of some kinds, never all."""

from random import Random

from msgspec import Struct, structs


class Faults(Struct, frozen=True, kw_only=True):
    """Shares of 1 for what can happen to one message, mean seconds for what happens to processes.

    lost_ack: stored, nobody says so. lost: never stored. twice: stored twice. slow: seconds late.
    lost_answer: an acknowledgement of a delivery gets lost. stale: a read misses the newest.
    crash: the publisher dies just before, or just after, what it publishes is stored.
    kill, pause, leave: mean seconds between two such events, 0 for never.
    outage: mean seconds between two restarts of the broker. forget: a restart forgets which
    messages were acknowledged; cut: it loses the newest messages that were not synced.
    lost_timer, twice_timer, late_timer: shares of timers. forged: reports by nobody, a second.
    no_blob, no_database: a read there fails. skew_ms: how wrong clocks are at most. lost_work: work
    is stored, and gone before anybody has it.
    """

    lost_ack: float = 0.0
    lost: float = 0.0
    twice: float = 0.0
    slow: float = 0.0
    lost_answer: float = 0.0
    stale: float = 0.0
    crash: float = 0.0
    kill: float = 0.0
    pause: float = 0.0
    leave: float = 0.0
    outage: float = 0.0
    forget: float = 0.0
    cut: float = 0.0
    lost_core: float = 0.0
    lost_timer: float = 0.0
    twice_timer: float = 0.0
    late_timer: float = 0.0
    forged: float = 0.0
    no_blob: float = 0.0
    no_database: float = 0.0
    skew_ms: int = 0
    lost_work: float = 0.0


NONE = Faults()

WORST = Faults(
    lost_ack=0.05,
    lost=0.04,
    twice=0.12,
    slow=0.05,
    lost_answer=0.08,
    stale=0.3,
    crash=0.01,
    kill=3.0,
    pause=6.0,
    leave=8.0,
    outage=8.0,
    forget=0.5,
    cut=0.6,
    lost_core=0.2,
    lost_timer=0.3,
    twice_timer=0.3,
    late_timer=0.2,
    forged=4.0,
    no_blob=0.1,
    no_database=0.3,
    skew_ms=4_000,
    lost_work=0.04,
)

KINDS = structs.fields(Faults)
MEANS = frozenset({"kill", "pause", "leave", "outage"})


def mix(random: Random) -> Faults:
    """A few kinds of faults, from mild to the worst; one world in twelve has none."""
    if random.random() < 1 / 12:
        return NONE
    share = random.choice((0.15, 0.35, 0.6, 1.0))
    chosen = {}
    for field in KINDS:
        if random.random() > share:
            continue
        worst = getattr(WORST, field.name)
        strength = random.choice((0.2, 0.5, 1.0))
        value = worst / strength if field.name in MEANS else worst * strength
        chosen[field.name] = int(value) if field.name == "skew_ms" else value
    return Faults(**chosen)
