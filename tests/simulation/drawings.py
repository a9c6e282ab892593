"""Random workflows: chains, fans, layers; every kind of edge and join; steps of every temper."""

from enum import StrEnum
from itertools import pairwise
from random import Random

from msgspec import Struct

from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import (
    Condition,
    Definition,
    Edge,
    EdgeType,
    Join,
    Node,
    Retry,
    canonical_bytes,
    content_hash,
)

CHAIN_MAX = 9
FAN_MAX = 14
LAYERS_MAX = 5
LAYER_MAX = 4
BRANCHES = ("yes", "no")


class Temper(StrEnum):
    """How the attempts of a step go."""

    SOUND = "sound"
    FLAKY = "flaky"
    HOPELESS = "hopeless"
    BROKEN = "broken"
    SLUGGISH = "sluggish"
    RESTING = "resting"


TEMPERS = (
    (Temper.SOUND, 60),
    (Temper.FLAKY, 14),
    (Temper.HOPELESS, 4),
    (Temper.BROKEN, 4),
    (Temper.SLUGGISH, 4),
    (Temper.RESTING, 14),
)


class Workflow(Struct, frozen=True):
    """A definition, its name in the blob store, and the tempers of its nodes."""

    graph: Graph
    hash: str
    body: bytes
    tempers: dict[str, Temper]


def workflow(random: Random, number: int) -> Workflow:
    """The `number`th workflow of a world."""
    ids, pairs = random.choice((chain, fan, layers))(random)
    tempers = {node_id: temper(random) for node_id in ids}
    nodes = tuple(node(random, node_id, tempers[node_id]) for node_id in ids)
    definition = Definition(
        name=f"w{number}",
        nodes=nodes,
        edges=tuple(edges(random, pairs)),
        retry=retry(random),
        timeout_ms=random.choice((500, 3_000, 9_000)) if random.random() < 0.12 else None,
    )
    body = canonical_bytes(definition)
    return Workflow(Graph.of(definition), content_hash(definition), body, tempers)


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
        made.append(Edge(source, target, Condition() if plain else condition(random)))
        if not plain and random.random() < 0.04:
            made.append(Edge(source, target, condition(random)))
    return made


def condition(random: Random) -> Condition:
    """Mostly on success."""
    kind = random.choices(
        (EdgeType.ON_SUCCESS, EdgeType.ON_FAILURE, EdgeType.ALWAYS, EdgeType.BRANCH),
        (62, 10, 16, 12),
    )[0]
    return Condition(kind, random.choice(BRANCHES) if kind is EdgeType.BRANCH else None)


def node(random: Random, node_id: str, temper: Temper) -> Node:
    """A node, mostly with the default join and policy."""
    own = retry(random) if random.random() < 0.2 else None
    join = Join.ANY if random.random() < 0.25 else Join.ALL
    return Node(id=node_id, type="noop", name=str(temper), join=join, retry=own)


def retry(random: Random) -> Retry:
    """A policy with short rests."""
    return Retry(
        max_attempts=random.randint(1, 4),
        backoff_ms=random.choice((0, 20, 200, 1_500)),
        backoff_multiplier=random.choice((1.0, 2.0)),
        max_backoff_ms=3_000,
        jitter=random.choice((0.0, 0.2, 1.0)),
    )


def temper(random: Random) -> Temper:
    """How a node's attempts go."""
    kinds = [kind for kind, _ in TEMPERS]
    return random.choices(kinds, [weight for _, weight in TEMPERS])[0]
