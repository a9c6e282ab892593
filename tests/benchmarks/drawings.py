"""The shapes of the workloads, as definition documents of noops."""

import random
from itertools import pairwise
from typing import Any

LAYERS = 10
WIDTH = 100
PARENTS = 3
SEED = 7
ROW = 500
"""Nodes of a layer of a wide definition."""


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


def loop(items: int, width: int) -> dict[str, Any]:
    """One loop over so many items, `width` at a time, of a noop each."""
    config = {
        "items": [0] * items,
        "maxConcurrency": width,
        "body": {"nodes": [{"id": "work", "type": "noop", "input": {"n": 1}}]},
    }
    nodes = [{"id": "loop", "type": "loop", "config": config}]
    return {"name": f"loop-{items}", "nodes": nodes, "edges": []}


def nested(rounds: int, items: int, width: int) -> dict[str, Any]:
    """A loop of `rounds`, one after the other; in each a loop over `items`, `width` at a time."""
    body = {"nodes": [{"id": "work", "type": "noop"}]}
    inner = {
        "items": [0] * items,
        "mode": "parallel",
        "maxConcurrency": width,
        "body": body,
    }
    around = {"nodes": [{"id": "inner", "type": "loop", "config": inner}]}
    outer = {"items": [0] * rounds, "mode": "sequential", "body": around}
    return {
        "name": f"nested-{rounds}-{items}",
        "nodes": [{"id": "outer", "type": "loop", "config": outer}],
        "edges": [],
    }


def wide(nodes: int) -> dict[str, Any]:
    """So many nodes in layers of 500, each on two of the layer before."""
    ids = [f"n{i}" for i in range(nodes)]
    parents = [(ids[n - by], ids[n]) for n in range(ROW, nodes) for by in (ROW, ROW - 1)]
    return drawn(f"wide-{nodes}", ids, parents)


def drawn(name: str, ids: list[str], edges: list[tuple[str, str]], **extra: Any) -> dict[str, Any]:
    """A definition of noops, each with the `extra` members."""
    return {
        "name": name,
        "nodes": [{"id": node, "type": "noop", **extra} for node in ids],
        "edges": [{"from": source, "to": target} for source, target in edges],
    }
