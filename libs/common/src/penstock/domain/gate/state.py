"""A gate as a value: who is behind it, who stands in line, and whom it let through lately."""

from __future__ import annotations

from immutables import Map
from msgspec import Struct

from penstock.domain.gate.events import Rule
from penstock.domain.queue import Queue

MINUTE_MS = 60_000


class Gate(Struct, frozen=True):
    """A gate as it stands.

    holders: runs behind it, with the moment they were let through. waiting: runs in line, with
    their priority. lines: by priority, in the order of their coming; who has left a line early
    still has an entry there until it reaches the head. displaced: holders that were told to end.
    passed: when somebody was let through, for as long as the rate looks back.
    """

    rule: Rule = Rule()
    holders: Map[str, int] = Map()
    waiting: Map[str, int] = Map()
    lines: Map[int, Queue[str]] = Map()
    displaced: Map[str, str] = Map()
    refused: Map[str, str] = Map()
    passed: Queue[int] = Queue()

    def knows(self, run_id: str) -> bool:
        """Whether the run has asked, and not let go since."""
        return run_id in self.holders or run_id in self.waiting or run_id in self.refused

    @property
    def next_in_line(self) -> str | None:
        """The run of the highest priority that has waited longest."""
        priority = max(self.lines, default=None)
        return None if priority is None else self.lines[priority].head

    def has_room(self) -> bool:
        """Whether one more may be behind the gate."""
        return self.rule.most is None or len(self.holders) < self.rule.most

    def opens_at(self, at: int) -> int:
        """The moment from which on the rate lets somebody through: `at`, or later."""
        most = self.rule.per_minute
        if most is None or len(self.passed) < most:
            return at
        oldest = self.passed.items[self.passed.end - most]
        return max(at, oldest + MINUTE_MS)


CLOSED = Gate()
"""A gate without history."""
