"""Definitions whose runs come out the same however their steps overtake each other.

Together they have every construct of the language; each has some, a block of nodes for each, in
random order on a few lanes. What could depend on a race does not: a join that cancels others waits
beside somebody who never comes, what fails at once with others fails alone.
"""

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

from penstock.domain.workflow.model import (
    AtLeast,
    Condition,
    Definition,
    Edge,
    EdgeType,
    Join,
    Node,
    Retry,
    drawing_to_wire,
)
from tests.simulation.tempers import Temper

LANES_MAX = 3
BLOCKS_EACH = 4
LOOPS_EACH = 3
NEVER = "never"
"""What nobody signals, and the beginning of the ids of approvals that nobody decides about."""

CHILD, BAD_CHILD = "child", "bad-child"
QUICK = Retry(max_attempts=2, backoff_ms=20, jitter=0.0)

ALWAYS = Condition(EdgeType.ALWAYS)
FAILED = Condition(EdgeType.ON_FAILURE)

Block = tuple[list[Node], list[Edge]]
"""Its first node is entered, its last one is left."""


def definition(random: Random) -> Definition:
    """A definition with some of the blocks."""
    made = random.sample(BLOCKS, BLOCKS_EACH)
    nodes, edges = [step("start")], list[Edge]()
    lanes = random.randint(1, LANES_MAX)
    ends = ["start"] * lanes
    for number, block in enumerate(made):
        inner, between = block(random, f"b{number}")
        lane = random.randrange(lanes)
        edges.append(Edge(ends[lane], inner[0].id, ALWAYS))
        nodes, edges = [*nodes, *inner], [*edges, *between]
        ends[lane] = inner[-1].id
    nodes.append(step("end"))
    edges += [Edge(end, "end", ALWAYS) for end in dict.fromkeys(ends)]
    output = {"said": "{{ nodes.end.output }}"}
    return Definition(name="whole", nodes=tuple(nodes), edges=tuple(edges), output=output)


def step(node_id: str, kind: str = "noop", temper: Temper = Temper.SOUND, **members: Any) -> Node:
    """A node of a temper."""
    return Node(id=node_id, type=kind, name=str(temper), retry=QUICK, **members)


def chain(random: Random, name: str) -> Block:
    """Steps of a few tempers, one after the other."""
    tempers = (Temper.SOUND, Temper.FLAKY, Temper.SLUGGISH, Temper.RESTING)
    nodes = [step(f"{name}c{n}", temper=random.choice(tempers)) for n in range(3)]
    return nodes, [Edge(nodes[0].id, nodes[1].id), Edge(nodes[1].id, nodes[2].id)]


def chosen(_random: Random, name: str) -> Block:
    """A switch, a condition, and edges that expressions decide about."""
    config = {"expression": "input.kind", "cases": ["a"], "default": "else"}
    nodes = [
        step(f"{name}s", "switch", config=config),
        step(f"{name}a", "condition", config={"expression": "input.n > 1"}),
        step(f"{name}d", "delay", config={"durationMs": 50}),
        step(f"{name}x"),
        step(f"{name}y"),
        step(f"{name}z"),
    ]
    s, a, d, x, y, z = (node.id for node in nodes)
    told = Condition(EdgeType.EXPRESSION, expression="output != null")
    return nodes, [
        Edge(s, a, Condition(EdgeType.BRANCH, "a")),
        Edge(s, d, Condition(EdgeType.BRANCH, "else")),
        Edge(a, x, Condition(EdgeType.BRANCH, "true")),
        Edge(d, x, told),
        Edge(d, y, told),
        Edge(a, y, told),
        Edge(x, z, ALWAYS),
        Edge(y, z, ALWAYS),
        Edge(s, z),
    ]


def first_answer(_random: Random, name: str) -> Block:
    """The first of three is enough; two wait for somebody who never comes."""
    join = AtLeast(at_least=1, cancel_others=True)
    nodes = [
        step(f"{name}f"),
        step(f"{name}q"),
        step(f"{name}w", "wait_for_signal", config={"name": NEVER}),
        step(f"{NEVER}{name}", "approval"),
        step(f"{name}j", join=join),
    ]
    f, q, w, a, j = (node.id for node in nodes)
    return nodes, [Edge(f, n) for n in (q, w, a)] + [Edge(n, j) for n in (q, w, a)]


def waits(_random: Random, name: str) -> Block:
    """Signals before and after the wait, an approval, one that comes too late."""
    nodes = [
        step(f"{name}e", "wait_for_signal", config={"name": "early"}),
        step(f"{name}l", "wait_for_signal", config={"name": "late"}),
        step(f"{name}a", "approval"),
        step(
            f"{name}t",
            "wait_for_signal",
            config={"name": NEVER, "timeoutMs": 200, "onTimeout": "late"},
        ),
        step(f"{name}z"),
    ]
    early, late, a, t, z = (node.id for node in nodes)
    passed = Condition(EdgeType.BRANCH, "late")
    return nodes, [Edge(early, late), Edge(late, a, ALWAYS), Edge(a, t, ALWAYS), Edge(t, z, passed)]


def children(_random: Random, name: str) -> Block:
    """Child runs, one of which fails, one of which there is not."""
    nodes = [
        step(f"{name}g", "sub_workflow", config={"workflowId": CHILD}),
        step(f"{name}b", "sub_workflow", config={"workflowId": BAD_CHILD, "version": 1}),
        step(f"{name}m", "sub_workflow", config={"workflowId": "nobody"}),
        step(f"{name}h", "error_handler"),
    ]
    g, b, m, h = (node.id for node in nodes)
    return nodes, [Edge(g, b), Edge(b, m, ALWAYS), Edge(m, h, FAILED)]


def failures(_random: Random, name: str) -> Block:
    """A failure that is gone on after, one with a fallback, one that retries cannot mend."""
    nodes = [
        step(f"{name}c", temper=Temper.BROKEN, continue_on_error=True),
        step(f"{name}b", temper=Temper.HOPELESS),
        step(f"{name}f", "fallback", config={"output": "instead"}),
        step(f"{name}e", "emit_event", config={"type": "done"}),
    ]
    c, b, f, e = (node.id for node in nodes)
    return nodes, [Edge(c, b), Edge(b, f, FAILED), Edge(f, e)]


def loops(random: Random, name: str) -> Block:
    """Loops of some kinds, one after the other."""
    pair = [step("x", temper=Temper.FLAKY), step("y", "delay", config={"durationMs": 20})]
    plain = body(pair, [Edge("x", "y")])
    inner = step("i", "loop", config={"items": [1, 2], "maxConcurrency": 2, "body": plain})
    child = step("k", "sub_workflow", config={"workflowId": CHILD})
    broken = body([step("x", temper=Temper.BROKEN), step("y")], [Edge("x", "y")])
    waiting = body([step("x", "wait_for_signal", config={"name": "each"})], [])
    kinds: dict[str, dict[str, Any]] = {
        "p": {"items": ["a", "b" * 1_500, "c"], "maxConcurrency": 50, "body": plain},
        "n": {"items": [1, 2], "mode": "sequential", "body": body([inner], [])},
        "w": {"while": "index < 2", "maxIterations": 5, "body": plain},
        "e": {"items": [], "body": plain},
        "t": {"items": [1, 2, 3], "onItemError": "continue", "body": broken},
        "f": {"items": [1, 2, 3], "mode": "sequential", "body": broken},
        "k": {"items": [1, 2], "body": body([child], [])},
        "s": {"items": [1, 2], "body": waiting},
    }
    nodes = [
        step(f"{name}{key}", "loop", config={"maxConcurrency": 2, **config})
        for key, config in random.sample(list(kinds.items()), LOOPS_EACH)
    ]
    edges = [Edge(a.id, b.id, ALWAYS) for a, b in pairwise(nodes)]
    return nodes, edges


def body(nodes: list[Node], edges: list[Edge]) -> dict[str, Any]:
    """A loop's body."""
    return drawing_to_wire(nodes, edges)


def fans(random: Random, name: str) -> Block:
    """Fans in by every plain join."""
    width = random.randint(2, 6)
    middle = [step(f"{name}m{n}") for n in range(width)]
    any_of, last = step(f"{name}o", join=Join.ANY), step(f"{name}z", join=AtLeast(at_least=width))
    nodes = [step(f"{name}a"), *middle, any_of, last]
    edges = [Edge(nodes[0].id, m.id) for m in middle] + [Edge(m.id, last.id) for m in middle]
    return nodes, [*edges, *(Edge(m.id, any_of.id) for m in middle)]


BLOCKS: tuple[Callable[[Random, str], Block], ...] = (
    chain,
    chosen,
    first_answer,
    waits,
    children,
    failures,
    loops,
    fans,
)


def child() -> Definition:
    """What child runs run: its output has two parts."""
    nodes = (step("c"), step("d"), step("e"))
    return Definition(name=CHILD, nodes=nodes, edges=(Edge("c", "d"), Edge("c", "e")))


def bad_child() -> Definition:
    """A child that fails."""
    return Definition(name=BAD_CHILD, nodes=(step("c", temper=Temper.BROKEN),))
