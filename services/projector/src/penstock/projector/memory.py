"""What the projector keeps in memory between batches: the ends of chains, the rows of live runs.

All of it stands in the tables as well, so it may be forgotten at any time; it is bounded, and it
is forgotten whenever a transaction did not commit.
"""

from typing import TypeVar

from penstock.messages.chains import Head
from penstock.projector.projections.run_steps import SETTLED, StepRow
from penstock.projector.projections.run_steps import stored as stored_step
from penstock.projector.projections.runs import COUNTERS, RunRow
from penstock.projector.projections.runs import stored as stored_run
from penstock.projector.sizes import Sizes

RUNS_MAX = 20_000
"""Live runs; what falls out is read again when its next event comes."""
HEADS_MAX = 100_000
TENANTS_MAX = 50_000
SIZES_MAX = 10_000

K = TypeVar("K")
V = TypeVar("V")


class LiveRun:
    """One run that has not ended: its row, its counters, its unsettled steps.

    changed: the steps whose rows differ from the table's, in the order in which they changed.
    edges: of settled steps that are not kept here, what their EXPRESSION edges came to since.
    stirring: how many of its steps get on by themselves. sizes: of its definition, if known.
    """

    __slots__ = (
        "changed", "counts", "edges", "id", "is_stored",
        "row", "sizes", "steps", "stirring", "tenant",
    )  # fmt: skip

    def __init__(self, tenant: bytes, id_: bytes, row: RunRow, *, is_stored: bool) -> None:
        self.tenant = tenant
        self.id = id_
        self.row = row
        self.counts = [0] * len(COUNTERS)
        self.steps: dict[str, StepRow] = {}
        self.changed: dict[str, None] = {}
        self.edges: dict[str, tuple[int, ...]] = {}
        self.stirring = 0
        self.sizes: Sizes | None = None
        self.is_stored = is_stored

    def written(self) -> None:
        """The tables have everything now."""
        for step_id in self.changed:
            row = self.steps[step_id]
            if row.status in SETTLED:
                del self.steps[step_id]
            else:
                self.steps[step_id] = stored_step(row)
        self.changed.clear()
        self.edges.clear()
        self.row = stored_run(self.row)
        self.is_stored = True


class Memory:
    """Of one log. `head`: the end of its chain, equal to the checkpoint.

    heads: by subject, the hash of its last message; None for a subject without one.
    tenants: the ends of the tenants' chains. deleted, erased: which of them are.
    sizes: of definitions, by content hash; None where nobody can read it. states: by name, the
    objects that runs of this batch go on from.
    """

    def __init__(self, head: Head) -> None:
        self.head = head
        self.heads: dict[str, bytes | None] = {}
        self.tenants: dict[bytes, Head] = {}
        self.deleted: set[bytes] = set()
        self.erased: set[bytes] = set()
        self.runs: dict[str, LiveRun] = {}
        self.sizes: dict[str, Sizes | None] = {}
        self.states: dict[str, bytes] = {}

    def forget_tenant(self, tenant: bytes) -> None:
        """Read anew how a tenant stands when its next message comes."""
        self.tenants.pop(tenant, None)
        self.deleted.discard(tenant)
        self.erased.discard(tenant)

    def trim(self) -> None:
        """Keep each part within its bound; what came first goes first."""
        _trim(self.heads, HEADS_MAX)
        while len(self.tenants) > TENANTS_MAX:
            self.forget_tenant(next(iter(self.tenants)))
        _trim(self.runs, RUNS_MAX)
        _trim(self.sizes, SIZES_MAX)


def _trim(kept: dict[K, V], at_most: int) -> None:
    while len(kept) > at_most:
        del kept[next(iter(kept))]
