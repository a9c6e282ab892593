"""The order in which a run's steps are shown, and the walk through them that pages follow.

The order of the definition; behind a loop come the steps of its iterations, the first iteration
first, each in the order of the body. So a step keeps its place however the run goes on, and a page
begins where the last one ended without anybody counting what is before it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from penstock.domain.run.paths import inside, iteration
from penstock.domain.workflow.graph import Graph

AHEAD = 50
"""Iterations whose loops are looked up together."""

Opened = Callable[[str], int]
"""How many iterations the loop at a path has opened, once its row was read."""

Read = Callable[[Sequence[str]], Awaitable[None]]
"""Reads the rows of steps, so that `Opened` and `IsThere` know them."""

IsThere = Callable[[str, Graph], bool]
"""Whether anything was heard of the iteration that is this scope; the graph is its body's."""


class Walk:
    """The paths of a run's steps in order.

    is_there: None where every iteration that was opened is; a fork has but those that go on.
    """

    def __init__(self, read: Read, opened: Opened, is_there: IsThere | None) -> None:
        self._read = read
        self._opened = opened
        self._is_there = is_there

    async def behind(self, graph: Graph, after: str | None) -> AsyncGenerator[str, None]:
        """Every path behind `after`. Raises ValueError where the definition has no such path."""
        parts = [] if after is None else after.split(".")
        async for path in self._through(graph, "", parts):
            yield path

    async def _through(
        self, graph: Graph, scope: str, after: list[str]
    ) -> AsyncGenerator[str, None]:
        """Those of one scope; after: what is left of a path to begin behind, empty for all."""
        order = graph.order
        if after:
            order = order[order.index(after[0]) :]
        await self._read([inside(scope, node_id) for node_id in order if node_id in graph.bodies])
        for nth, node_id in enumerate(order):
            path = inside(scope, node_id)
            is_begun = nth == 0 and bool(after)
            if not is_begun:
                yield path
            if node_id in graph.bodies:
                rest = after[1:] if is_begun else []
                async for inner in self._iterations(graph.bodies[node_id], path, rest):
                    yield inner

    async def _iterations(
        self, body: Graph, loop: str, after: list[str]
    ) -> AsyncGenerator[str, None]:
        first = index_of(after[0]) if after else 0
        last = self._opened(loop)
        for begun in range(first, last, AHEAD):
            ahead = range(begun, min(begun + AHEAD, last))
            seen = body.order if self._is_there is not None else tuple(body.bodies)
            await self._read([inside(iteration(loop, i), node) for i in ahead for node in seen])
            for index in ahead:
                scope = iteration(loop, index)
                if self._is_there is not None and not self._is_there(scope, body):
                    continue
                rest = after[1:] if after and index == first else []
                async for path in self._through(body, scope, rest):
                    yield path


def index_of(part: str) -> int:
    """The number of an iteration. Raises ValueError."""
    if not part.isdecimal():
        raise ValueError(part)
    return int(part)
