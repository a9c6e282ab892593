"""Random drawings of every construct: loops in loops, waits, children, all kinds of joins."""

from random import Random
from typing import Any

from msgspec import UNSET

from penstock.domain.workflow.model import AtLeast, Edge, Join, Node, drawing_to_wire
from penstock.domain.workflow.node_types import branches_of
from tests.simulation.tempers import BRANCHES, MILD, condition, drawn_temper, retry

DEPTH_MAX = 2
NODES_MAX = 8
BODY_MAX = 3
SIGNALS = ("go", "stop")
MISSING = "nobody"
"""The key of a workflow that there is not."""

KINDS = (
    ("noop", 34),
    ("condition", 6),
    ("switch", 6),
    ("delay", 6),
    ("wait_for_signal", 9),
    ("approval", 7),
    ("sub_workflow", 12),
    ("loop", 14),
    ("emit_event", 4),
    ("error_handler", 2),
    ("fallback", 3),
)

Drawing = tuple[tuple[Node, ...], tuple[Edge, ...]]


def drawing(
    random: Random,
    callable_keys: tuple[str, ...],
    *,
    depth: int = 0,
    around: tuple[str, ...] = (),
) -> Drawing:
    """The nodes and edges of one scope. around: nodes outside of it that its nodes may read."""
    size = random.randint(1, BODY_MAX) if depth else random.randint(2, NODES_MAX)
    nodes: list[Node] = []
    edges: list[Edge] = []
    above: dict[str, tuple[str, ...]] = {}
    for number in range(size):
        node_id = f"n{number}"
        sources = random.sample(nodes, random.choice((1, 1, 2, 2, 2, 3, 0)) % (len(nodes) + 1))
        entering = [Edge(s.id, node_id, condition(random, chosen_by(s))) for s in sources]
        upstream = dict.fromkeys(n for s in sources for n in (s.id, *above[s.id]))
        above[node_id] = tuple(upstream)
        readable = (*upstream, *(name for name in around if name not in upstream))
        edges += entering
        nodes.append(node(random, node_id, len(entering), depth, readable, callable_keys))
    return tuple(nodes), tuple(edges)


def chosen_by(source: Node) -> tuple[str, ...]:
    """The branches that a node's steps choose from in a simulated world."""
    return BRANCHES if source.type == "noop" else branches_of(source) or ()


def node(
    random: Random,
    node_id: str,
    incoming: int,
    depth: int,
    readable: tuple[str, ...],
    callable_keys: tuple[str, ...],
) -> Node:
    """One node of any type."""
    kinds = [(kind, weight) for kind, weight in KINDS if kind != "loop" or depth < DEPTH_MAX]
    kind = random.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
    if kind == "sub_workflow" and not callable_keys and random.random() < 0.9:
        kind = "noop"
    config = config_of(random, kind, callable_keys)
    if kind == "loop":
        inner = callable_keys[:1] if depth == 0 else ()
        body = drawing(random, inner, depth=depth + 1, around=readable)
        config["body"] = drawing_to_wire(*body)
    return Node(
        id=node_id,
        type=kind,
        name=str(drawn_temper(random, MILD)),
        config=config,
        input=given(random, depth, readable),
        join=join(random, incoming),
        retry=retry(random) if random.random() < 0.2 else None,
        continue_on_error=random.random() < 0.08,
        queue="slow" if random.random() < 0.1 else "default",
    )


def given(random: Random, depth: int, readable: tuple[str, ...]) -> Any:
    """A template of a node's own, now and then."""
    texts = [f"{{{{ nodes.{name}.output }}}}" for name in readable]
    texts.append("{{ item }}" if depth else "{{ run.input }}")
    return random.choice(texts) if random.random() < 0.15 else UNSET


def join(random: Random, incoming: int) -> Join | AtLeast:
    """How many edges a node waits for."""
    if incoming > 1 and random.random() < 0.4:
        return AtLeast(at_least=random.randint(1, incoming), cancel_others=random.random() < 0.8)
    return Join.ANY if random.random() < 0.2 else Join.ALL


def config_of(random: Random, kind: str, callable_keys: tuple[str, ...]) -> dict[str, Any]:
    """A config that the type takes."""
    match kind:
        case "condition":
            return {"expression": "input.n > 1"}
        case "switch":
            return {"expression": "input.kind", "cases": ["a", "b"], "default": "else"}
        case "delay":
            return {"durationMs": random.choice((0, 50, 800, 4_000))}
        case "wait_for_signal":
            return {"name": random.choice(SIGNALS), **limit(random)}
        case "approval":
            return limit(random)
        case "sub_workflow":
            missing = not callable_keys or random.random() < 0.05
            key = MISSING if missing else random.choice(callable_keys)
            return {"workflowId": key} | ({"version": 1} if random.random() < 0.3 else {})
        case "loop":
            return loop(random)
        case "emit_event":
            return {"type": "done"}
        case "fallback":
            return {"output": "instead"}
        case _:
            return {}


def limit(random: Random) -> dict[str, Any]:
    """How long somebody waits for somebody's word, and the branch for who waits in vain."""
    if random.random() < 0.6:
        return {}
    late = {"onTimeout": "late"} if random.random() < 0.6 else {}
    return {"timeoutMs": random.choice((300, 2_500)), **late}


def loop(random: Random) -> dict[str, Any]:
    """What a loop goes over, and how; its body comes later."""
    config: dict[str, Any] = {"maxConcurrency": random.choice((1, 2, 50))}
    if random.random() < 0.3:
        config |= {"while": "index < 3", "maxIterations": random.randint(1, 4)}
    else:
        config["items"] = [random.choice(("x", "y" * 700)) for _ in range(random.randint(0, 4))]
    if random.random() < 0.3:
        config["mode"] = "sequential"
    if random.random() < 0.4:
        config["onItemError"] = "continue"
    return config
