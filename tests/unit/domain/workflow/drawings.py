"""Hypothesis strategies: values, nodes and sound definitions of any shape."""

from typing import Any

from hypothesis import strategies as st
from msgspec import UNSET

from penstock.domain.workflow.model import (
    Concurrency,
    Condition,
    Definition,
    Edge,
    EdgeType,
    Join,
    Node,
    RateLimit,
    Retry,
    Strategy,
)

IDS = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_characters="\0{", codec="utf-8"), min_size=1, max_size=12)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
RETRIES = st.builds(
    Retry,
    max_attempts=st.integers(1, 1000),
    backoff_ms=st.integers(0, 10**6),
    backoff_multiplier=st.floats(1, 100),
    max_backoff_ms=st.integers(0, 10**6),
    jitter=st.floats(0, 1),
)
CONCURRENCIES = st.builds(
    Concurrency,
    max=st.integers(1, 100),
    key=st.none() | st.sampled_from(["{{ input.customer }}", "all"]),
    strategy=st.sampled_from(Strategy),
)
RATE_LIMITS = st.builds(RateLimit, max_concurrent=st.integers(1, 9)) | st.builds(
    RateLimit, max_concurrent=st.none() | st.integers(1, 9), per_minute=st.integers(1, 9)
)
CONDITIONS = st.sampled_from(
    [
        Condition(),
        Condition(EdgeType.ON_FAILURE),
        Condition(EdgeType.ALWAYS),
        Condition(EdgeType.BRANCH, "true"),
    ]
)


@st.composite
def nodes(draw: st.DrawFn, node_id: str) -> Node:
    """A node of any type that takes any config."""
    return Node(
        id=node_id,
        type=draw(st.sampled_from(["noop", "trigger"])),
        name=draw(st.none() | TEXTS),
        config=draw(st.dictionaries(TEXTS, VALUES, max_size=2)),
        input=draw(st.just(UNSET) | VALUES),
        join=draw(st.sampled_from(Join)),
        retry=draw(st.none() | RETRIES),
        timeout_ms=draw(st.none() | st.integers(1, 10**6)),
        continue_on_error=draw(st.booleans()),
        queue=draw(IDS),
    )


@st.composite
def shapes(draw: st.DrawFn, *, nodes_max: int = 8) -> Definition:
    """Bare nodes and edges without cycles; edges lead from earlier to later nodes in some order."""
    order = draw(
        st.permutations([f"n{number}" for number in range(draw(st.integers(1, nodes_max)))])
    )
    pairs = st.tuples(st.sampled_from(order), st.sampled_from(order), CONDITIONS)
    edges = [
        Edge(source, target, condition)
        for source, target, condition in draw(st.lists(pairs, max_size=2 * nodes_max))
        if order.index(source) < order.index(target)
    ]
    return Definition(
        name="w",
        nodes=tuple(Node(id=node_id, type="noop") for node_id in sorted(order)),
        edges=tuple(dict.fromkeys(edges)),
    )


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """A definition whose every member may be there or not."""
    shape = draw(shapes(nodes_max=3))
    return Definition(
        name=draw(TEXTS),
        description=draw(st.none() | TEXTS),
        input_schema=draw(st.none() | st.just({"type": "object"}) | st.just(True)),
        timeout_ms=draw(st.none() | st.integers(1, 10**6)),
        queued_timeout_ms=draw(st.none() | st.integers(1, 10**6)),
        retry=draw(st.none() | RETRIES),
        concurrency=draw(st.none() | CONCURRENCIES),
        rate_limit=draw(st.none() | RATE_LIMITS),
        output=draw(st.just(UNSET) | VALUES.filter(lambda value: value is not None)),
        nodes=tuple(draw(nodes(node.id)) for node in shape.nodes),
        edges=shape.edges,
    )
