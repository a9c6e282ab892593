"""How many steps a definition comes to: its own nodes, and those of one iteration of each loop.

A run's total grows with the iterations that it opens, and nobody knows before how many there will
be; so a loop's body counts once for each iteration of which something was heard.
"""

from collections.abc import Mapping

from msgspec import Struct

from penstock.domain.workflow.graph import Graph


class Sizes(Struct, frozen=True):
    """Of one definition. bodies: nodes of a loop's body, by the ids of the loops around it.

    The body of `inner`, a loop in the body of `outer`, is at `outer.inner`.
    """

    total: int
    bodies: Mapping[str, int] = {}

    def of_body(self, loop: str) -> int:
        """The nodes in the body of the loop at this path, 0 where there is none."""
        return self.bodies.get(".".join(loop.split(".")[::2]), 0)


def sizes_of(graph: Graph) -> Sizes:
    """The sizes of a definition, found once for all of its runs."""
    bodies: dict[str, int] = {}
    _measure(graph, "", bodies)
    return Sizes(len(graph.order), bodies)


def _measure(graph: Graph, prefix: str, bodies: dict[str, int]) -> None:
    for node_id, body in graph.bodies.items():
        bodies[prefix + node_id] = len(body.order)
        _measure(body, f"{prefix}{node_id}.", bodies)
