"""The one table of all patterns: runs show what it says, and `docs/patterns.md` is made from it."""

from tests.patterns import branching, instances, states

PATTERNS = tuple(
    sorted((*branching.PATTERNS, *instances.PATTERNS, *states.PATTERNS), key=lambda p: p.number)
)
