"""Random workflows: chains, fans, layers, and nested ones of every construct of the language.

Every kind of edge and join; steps of every temper.
"""

from itertools import pairwise
from random import Random

from msgspec import UNSET, Struct

from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import (
    Concurrency,
    Condition,
    Definition,
    Edge,
    Join,
    Node,
    RateLimit,
    Strategy,
    canonical_bytes,
    content_hash,
)
from tests.simulation import constructs
from tests.simulation.tempers import BRANCHES, condition, drawn_temper, retry

CHAIN_MAX = 9
FAN_MAX = 14
LAYERS_MAX = 5
LAYER_MAX = 4
OUTPUT_SHARE = 0.3
CONSTRUCTS_SHARE = 0.55
"""Of workflows that use the whole language; the others are large and simple."""


class Workflow(Struct, frozen=True):
    """A definition, the key of its workflow, and its name in the blob store.

    The temper of a node stands in its name.
    """

    key: str
    graph: Graph
    hash: str
    body: bytes


def workflow(random: Random, number: int, callable_keys: tuple[str, ...] = ()) -> Workflow:
    """The `number`th workflow of a world; its steps may run those of `callable_keys`."""
    output: object = UNSET
    if random.random() < CONSTRUCTS_SHARE:
        nodes, made = constructs.drawing(random, callable_keys)
        if random.random() < OUTPUT_SHARE:
            output = f"{{{{ nodes.{random.choice(nodes).id}.output }}}}"
    else:
        ids, pairs = random.choice((chain, fan, layers))(random)
        nodes = tuple(node(random, node_id) for node_id in ids)
        made = tuple(edges(random, pairs))
    return stored(
        Definition(
            name=f"w{number}",
            nodes=nodes,
            edges=made,
            retry=retry(random),
            timeout_ms=random.choice((500, 3_000, 9_000)) if random.random() < 0.1 else None,
            output=output,
            concurrency=concurrency(random) if random.random() < 0.2 else None,
            rate_limit=RateLimit(per_minute=random.randint(2, 5))
            if random.random() < 0.04
            else None,
            queued_timeout_ms=random.choice((2_000, 20_000)) if random.random() < 0.3 else None,
        )
    )


def concurrency(random: Random) -> Concurrency:
    """How many runs of the workflow are on their way at once, and what becomes of the others."""
    return Concurrency(max=random.randint(1, 2), strategy=random.choice(list(Strategy)))


def stored(definition: Definition) -> Workflow:
    """A definition as it is known in a world."""
    return Workflow(
        definition.name,
        Graph.of(definition),
        content_hash(definition),
        canonical_bytes(definition),
    )


Shape = tuple[list[str], list[tuple[str, str]]]


def chain(random: Random) -> Shape:
    """One after the other."""
    ids = [f"c{i}" for i in range(random.randint(1, CHAIN_MAX))]
    return ids, list(pairwise(ids))


def fan(random: Random) -> Shape:
    """One, many, one."""
    middle = [f"m{i}" for i in range(random.randint(2, FAN_MAX))]
    pairs = [("a", each) for each in middle] + [(each, "z") for each in middle]
    return ["a", *middle, "z"], pairs


def layers(random: Random) -> Shape:
    """Each node hangs on a few of the layers above."""
    ids: list[str] = []
    pairs: list[tuple[str, str]] = []
    for layer in range(random.randint(2, LAYERS_MAX)):
        above = list(ids)
        for place in range(random.randint(1, LAYER_MAX)):
            own = f"l{layer}n{place}"
            ids.append(own)
            if above and random.random() < 0.93:
                sources = random.sample(above, min(len(above), random.randint(1, 3)))
                pairs += [(source, own) for source in sources]
    return ids, pairs


def edges(random: Random, pairs: list[tuple[str, str]]) -> list[Edge]:
    """The pairs as edges, some with a condition; a few pairs are joined twice."""
    made = []
    plain = random.random() < 0.35
    for source, target in pairs:
        made.append(Edge(source, target, Condition() if plain else condition(random, BRANCHES)))
        if not plain and random.random() < 0.04:
            again = Edge(source, target, condition(random, BRANCHES))
            made += [again] if again != made[-1] else []
    return made


def node(random: Random, node_id: str) -> Node:
    """A node, mostly with the default join and policy."""
    own = retry(random) if random.random() < 0.2 else None
    join = Join.ANY if random.random() < 0.25 else Join.ALL
    return Node(id=node_id, type="noop", name=str(drawn_temper(random)), join=join, retry=own)
