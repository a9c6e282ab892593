"""What the events of a gate have said, told naively: who is behind it, who waits, who was told."""

from collections.abc import Callable

from msgspec import Struct

from penstock.domain.gate.events import (
    GateEvent,
    GateRuled,
    HolderDisplaced,
    Rule,
    SlotGranted,
    SlotQueued,
    SlotRefused,
    SlotReleased,
)

MINUTE_MS = 60_000


class GateTale(Struct):
    """passed: the moments (ms) and the runs that were let through, all of them."""

    holders: set[str] = set()
    waiting: set[str] = set()
    refused: set[str] = set()
    passed: list[tuple[int, str]] = []
    rule: Rule = Rule()

    def hear(self, event: GateEvent, must: Callable[[bool, str], None]) -> None:
        """One more event. must: objects where something does not hold."""
        match event:
            case GateRuled(rule=rule):
                self.rule = rule
            case SlotQueued(run_id=run_id):
                must(run_id not in self.holders | self.waiting, f"{run_id} stands in line twice")
                self.waiting.add(run_id)
            case SlotGranted(run_id=run_id, granted_at=at):
                must(run_id in self.waiting, f"{run_id} was let through unasked")
                self.waiting.discard(run_id)
                self.holders.add(run_id)
                self.passed.append((at, run_id))
                most, rate = self.rule.most, self.rule.per_minute
                must(most is None or len(self.holders) <= most, f"{self.holders} are over {most}")
                lately = [t for t, _ in self.passed if t > at - MINUTE_MS]
                must(rate is None or len(lately) <= rate, f"{len(lately)} in a minute, not {rate}")
            case SlotRefused(run_id=run_id):
                self.waiting.discard(run_id)
                self.refused.add(run_id)
            case HolderDisplaced(run_id=run_id):
                must(run_id in self.holders, f"{run_id} has no place to make room with")
            case SlotReleased(run_id=run_id):
                for runs in (self.holders, self.waiting, self.refused):
                    runs.discard(run_id)

    def holds_back(self, at: int) -> bool:
        """Whether there is no room now, or not yet."""
        lately = [t for t, _ in self.passed if t > at - MINUTE_MS]
        is_full = self.rule.most is not None and len(self.holders) >= self.rule.most
        return is_full or (self.rule.per_minute is not None and len(lately) >= self.rule.per_minute)

    def let_through(self, run_id: str) -> bool:
        """Whether a run was ever let through."""
        return any(passed == run_id for _, passed in self.passed)
