"""What a user drew: a definition in its canonical form, as frozen values.

`parse` makes these from any spelling that is taken; what is stored, hashed and sent has only this
one. The wire form is camelCase JSON without the members that hold their default, so that two
drawings that mean the same have the same content hash.
"""

import hashlib
import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

QUEUE_DEFAULT: Final = "default"


class EdgeType(StrEnum):
    """When an edge is taken, given how its source settled."""

    ON_SUCCESS = "ON_SUCCESS"
    ON_FAILURE = "ON_FAILURE"
    ALWAYS = "ALWAYS"
    BRANCH = "BRANCH"
    EXPRESSION = "EXPRESSION"


class Join(StrEnum):
    """How many incoming edges a node waits for: every one settled, or the first taken."""

    ALL = "all"
    ANY = "any"


class AtLeast(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """A join that is entered at its `at_least`-th taken edge.

    cancel_others: what then still runs and leads nowhere but here is cancelled.
    """

    at_least: int
    cancel_others: bool = False


class Strategy(StrEnum):
    """What becomes of a run that finds its concurrency key taken."""

    QUEUE = "queue"
    SKIP = "skip"
    CANCEL_RUNNING = "cancel_running"


class Concurrency(Struct, frozen=True, kw_only=True, rename="camel"):
    """How many runs of the workflow, or of those with the same key, run at once.

    key: a template over `input`, `run` and `vars`; None when all runs share one key.
    """

    max: int = 1
    key: str | None = None
    strategy: Strategy = Strategy.QUEUE


class RateLimit(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """How many runs of the workflow are live at once, and how many start in a minute."""

    max_concurrent: int | None = None
    per_minute: int | None = None


class Retry(Struct, frozen=True, kw_only=True, rename="camel"):
    """How often a step is tried, the first try included, and how long it rests in between.

    A node's retry is complete: `parse` has filled what it left out from the workflow's default,
    which is why every member is written out and none is omitted.
    """

    max_attempts: int = 4
    backoff_ms: int = 1000
    backoff_multiplier: float = 2.0
    max_backoff_ms: int = 60_000
    jitter: float = 0.2


class Condition(Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """What an edge asks of its source; `branch` belongs to BRANCH, `expression` to EXPRESSION."""

    type: EdgeType = EdgeType.ON_SUCCESS
    branch: str | None = None
    expression: str | None = None


ON_SUCCESS: Final = Condition()


class Edge(Struct, frozen=True, omit_defaults=True, gc=False):
    """A dependency of `target` on `source`, called `to` and `from` on the wire."""

    source: str = field(name="from")
    target: str = field(name="to")
    condition: Condition = ON_SUCCESS


class Node(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One typed step of a workflow; `config` and `input` may hold templates in their strings.

    `input` is UNSET when the input rule applies. `timeout_ms` and `retry` are None when the
    type's and the workflow's defaults apply; `Graph.timeout_ms` and `Graph.retry` resolve them.
    """

    id: str
    type: str
    name: str | None = None
    description: str | None = None
    config: dict[str, Any] = {}
    input: Any | UnsetType = UNSET
    join: Join | AtLeast = Join.ALL
    retry: Retry | None = None
    timeout_ms: int | None = None
    continue_on_error: bool = False
    queue: str = QUEUE_DEFAULT


class Definition(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One immutable version of a workflow: a directed acyclic graph of typed nodes.

    timeout_ms: limits the whole run; None is no limit.
    queued_timeout_ms: limits how long a run may wait for its start; None is no limit.
    retry: the default of the nodes, those in bodies of loops included.
    output: a template over `nodes`, `run`, `input` and `vars`; UNSET when the sinks are the output.
    """

    name: str
    description: str | None = None
    input_schema: dict[str, Any] | bool | None = None
    timeout_ms: int | None = None
    queued_timeout_ms: int | None = None
    retry: Retry | None = None
    concurrency: Concurrency | None = None
    rate_limit: RateLimit | None = None
    output: Any | UnsetType = UNSET
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()


class Drawing(Struct, frozen=True, kw_only=True):
    """The body of a loop as it stands in the loop's config."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def to_wire(definition: Definition) -> dict[str, Any]:
    """The canonical camelCase document; its values are shared with `definition`, not copied."""
    wire = present(
        name=definition.name,
        description=definition.description,
        inputSchema=definition.input_schema,
        timeoutMs=definition.timeout_ms,
        queuedTimeoutMs=definition.queued_timeout_ms,
        retry=retry_to_wire(definition.retry),
        concurrency=concurrency_to_wire(definition.concurrency),
        rateLimit=rate_limit_to_wire(definition.rate_limit),
    )
    if definition.output is not UNSET:
        wire["output"] = definition.output
    return wire | drawing_to_wire(definition.nodes, definition.edges)


def drawing_to_wire(nodes: Iterable[Node], edges: Iterable[Edge]) -> dict[str, Any]:
    """The nodes and edges of a definition or of a loop's body."""
    return {
        "nodes": [node_to_wire(node) for node in nodes],
        "edges": [edge_to_wire(edge) for edge in edges],
    }


def node_to_wire(node: Node) -> dict[str, Any]:
    """One node of the canonical document.

    Written out by hand because msgspec omits a default by identity, not by equality, and the
    content hash may not depend on where a value came from.
    """
    wire = present(
        id=node.id,
        type=node.type,
        name=node.name,
        description=node.description,
        config=node.config or None,
        join=join_to_wire(node.join),
        retry=retry_to_wire(node.retry),
        timeoutMs=node.timeout_ms,
        continueOnError=node.continue_on_error or None,
        queue=None if node.queue == QUEUE_DEFAULT else node.queue,
    )
    if node.input is not UNSET:
        wire["input"] = node.input
    return wire


def join_to_wire(join: Join | AtLeast) -> str | dict[str, Any] | None:
    """A join; None for the default."""
    if isinstance(join, AtLeast):
        return present(atLeast=join.at_least, cancelOthers=join.cancel_others or None)
    return None if join is Join.ALL else str(join)


def edge_to_wire(edge: Edge) -> dict[str, Any]:
    """One edge of the canonical document; without a condition it is ON_SUCCESS."""
    wire: dict[str, Any] = {"from": edge.source, "to": edge.target}
    if edge.condition != ON_SUCCESS:
        wire["condition"] = present(
            type=str(edge.condition.type),
            branch=edge.condition.branch,
            expression=edge.condition.expression,
        )
    return wire


def retry_to_wire(retry: Retry | None) -> dict[str, Any] | None:
    """All members of a retry policy, with its parts as floats; None for none."""
    if retry is None:
        return None
    return {
        "maxAttempts": retry.max_attempts,
        "backoffMs": retry.backoff_ms,
        "backoffMultiplier": float(retry.backoff_multiplier),
        "maxBackoffMs": retry.max_backoff_ms,
        "jitter": float(retry.jitter),
    }


def concurrency_to_wire(concurrency: Concurrency | None) -> dict[str, Any] | None:
    """All members of a concurrency, but for a key that is not there; None for none."""
    if concurrency is None:
        return None
    return present(max=concurrency.max, key=concurrency.key, strategy=str(concurrency.strategy))


def rate_limit_to_wire(limit: RateLimit | None) -> dict[str, Any] | None:
    """The limits that are set; None for none."""
    if limit is None:
        return None
    return present(maxConcurrent=limit.max_concurrent, perMinute=limit.per_minute)


def body_from_wire(body: object, outer: Definition) -> Definition:
    """A loop's canonical `config.body` as a definition with the name and retry of the outer one.

    Raises msgspec.ValidationError where the body is not canonical.
    """
    drawing = msgspec.convert(body, Drawing)
    return Definition(name=outer.name, retry=outer.retry, nodes=drawing.nodes, edges=drawing.edges)


def from_wire(wire: object) -> Definition:
    """The definition of a canonical document; for what was stored, never for what a user sends.

    Raises msgspec.ValidationError where the document is not canonical.
    """
    return msgspec.convert(wire, Definition)


def from_bytes(body: bytes) -> Definition:
    """The definition of `canonical_bytes`. Raises msgspec.DecodeError on anything else."""
    return DECODER.decode(body)


def canonical_bytes(definition: Definition) -> bytes:
    """The canonical document as JSON: sorted keys, no whitespace, UTF-8."""
    return json.dumps(
        to_wire(definition),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    ).encode()


def content_hash(definition: Definition) -> str:
    """SHA-256 of `canonical_bytes` in hex: the name under which the definition is stored."""
    return hashlib.sha256(canonical_bytes(definition)).hexdigest()


def present(**members: Any) -> dict[str, Any]:
    """The members that are not None, in the order given."""
    return {name: value for name, value in members.items() if value is not None}


DECODER: Final = msgspec.json.Decoder(Definition)
