"""The shapes of the workloads, as definition documents of noops."""

import random
from itertools import pairwise
from typing import Any

LAYERS = 10
WIDTH = 100
PARENTS = 3
SEED = 7


def chain(length: int) -> dict[str, Any]:
    """One step after the other."""
    ids = [f"n{i}" for i in range(length)]
    return drawn(f"chain-{length}", ids, list(pairwise(ids)))


def fan(width: int) -> dict[str, Any]:
    """One step, `width` in parallel, one that joins them."""
    middle = [f"m{i}" for i in range(width)]
    edges = [("first", m) for m in middle] + [(m, "last") for m in middle]
    return drawn(f"fan-{width}", ["first", *middle, "last"], edges)


def layers() -> dict[str, Any]:
    """1,000 nodes in 10 layers, each on 3 of the layer before; the same at every run."""
    drawn_by = random.Random(SEED)
    rows = [[f"l{row}-{column}" for column in range(WIDTH)] for row in range(LAYERS)]
    edges = [
        (parent, node)
        for above, below in pairwise(rows)
        for node in below
        for parent in drawn_by.sample(above, PARENTS)
    ]
    # A noop passes on what all its parents said, which would triple from layer to layer.
    return drawn("layers", [node for row in rows for node in row], edges, input={"n": 1})


def drawn(name: str, ids: list[str], edges: list[tuple[str, str]], **extra: Any) -> dict[str, Any]:
    """A definition of noops, each with the `extra` members."""
    return {
        "name": name,
        "nodes": [{"id": node, "type": "noop", **extra} for node in ids],
        "edges": [{"from": source, "to": target} for source, target in edges],
    }
