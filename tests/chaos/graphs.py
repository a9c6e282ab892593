"""Mixed graphs with calls to the outside world, drawn at random from a seed."""

import random
from typing import Any

LAYERS_MAX = 4
WIDTH_MAX = 5
RETRY = {"maxAttempts": 6, "backoffMs": 200, "backoffMultiplier": 2, "jitter": 0.2}
KINDS = ("noop", "noop", "transform", "ok", "ok", "flaky", "slow", "delay")


def graph(drawn_by: random.Random, name: str, receiver_url: str) -> dict[str, Any]:
    """A layered graph; some layers begin with a condition, some end in a join `any`."""
    nodes: list[dict[str, Any]] = [node("start", "noop", receiver_url)]
    edges: list[dict[str, Any]] = []
    above = ["start"]
    for layer in range(drawn_by.randint(1, LAYERS_MAX)):
        ids = [f"s{layer}-{i}" for i in range(drawn_by.randint(1, WIDTH_MAX))]
        nodes += [node(i, drawn_by.choice(KINDS), receiver_url) for i in ids]
        edges += [{"from": drawn_by.choice(above), "to": i} for i in ids]
        edges += extra(drawn_by, above, ids, edges)
        above = ids
    nodes += [node("check", "condition", receiver_url), node("yes", "ok", receiver_url)]
    nodes += [node("no", "ok", receiver_url), {**node("end", "noop", receiver_url), "join": "any"}]
    edges += [{"from": i, "to": "check"} for i in above]
    for branch, target in (("true", "yes"), ("false", "no")):
        condition = {"type": "BRANCH", "branch": branch}
        edges += [{"from": "check", "to": target, "condition": condition}]
        edges += [{"from": target, "to": "end"}]
    return {"name": name, "retry": RETRY, "nodes": nodes, "edges": edges}


def extra(
    drawn_by: random.Random, above: list[str], below: list[str], edges: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Some more edges between two layers, none of them twice."""
    there = {(edge["from"], edge["to"]) for edge in edges}
    pairs = [(a, b) for a in above for b in below if (a, b) not in there]
    chosen = drawn_by.sample(pairs, min(len(pairs), 2))
    return [{"from": source, "to": target} for source, target in chosen]


def node(node_id: str, kind: str, receiver_url: str) -> dict[str, Any]:
    """A node of one of `KINDS`, or a condition."""
    match kind:
        case "noop":
            return {"id": node_id, "type": "noop"}
        case "transform":
            config = {"output": {"id": "{{ run.id }}", "from": node_id}}
            return {"id": node_id, "type": "transform", "config": config}
        case "delay":
            return {"id": node_id, "type": "delay", "config": {"durationMs": 300}}
        case "condition":
            return {"id": node_id, "type": "condition", "config": {"expression": "run.input.even"}}
        case _:
            call = {"method": "POST", "url": f"{receiver_url}/{kind}/{{{{ run.id }}}}/{node_id}"}
            return {"id": node_id, "type": "http_request", "config": call}
