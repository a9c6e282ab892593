"""Malformed loops, waits, branches, joins and flow, each with every problem that it has."""

from typing import Any

from tests.unit.domain.workflow.malformed import Malformed, document, drawn, edge, noop

BODY = "/nodes/0/config/body"


def node(node_id: str, node_type: str, **config: Any) -> dict[str, Any]:
    """A node of a type with its config."""
    return {"id": node_id, "type": node_type, "config": config}


def body(*nodes: Any, edges: Any = ()) -> dict[str, Any]:
    """The body of a loop."""
    return {"nodes": list(nodes), "edges": list(edges)}


def loop(node_id: str, *nodes: Any, edges: Any = (), **config: Any) -> dict[str, Any]:
    """A loop over a list, its body being these nodes."""
    return node(node_id, "loop", **({"items": [1, 2]} | config), body=body(*nodes, edges=edges))


def bare(**config: Any) -> dict[str, Any]:
    """A definition of one loop with just this config."""
    return drawn([node("l", "loop", **config)])


def reader(node_id: str, text: str) -> dict[str, Any]:
    """A node that reads what this text names."""
    return noop(node_id, input=text)


def nested_loops(depth: int) -> dict[str, Any]:
    """A loop in the body of a loop, so many times, around a node."""
    inner = noop("x")
    for number in range(depth):
        inner = loop(f"l{number}", inner)
    return inner


def branched(node_type: str, branch: str, **config: Any) -> dict[str, Any]:
    """A definition in which a node of this type is said to choose a branch."""
    given = node("a", node_type, **config)
    return drawn([given, noop("b")], edge("a", "b", type="BRANCH", branch=branch))


UNKNOWN_BRANCH = [("/edges/0/condition/branch", "UNKNOWN_BRANCH"), ("/nodes/1", "UNREACHABLE_NODE")]

SWITCHES = [
    Malformed(
        "a switch of nothing",
        drawn([node("a", "switch")]),
        [
            ("/nodes/0/config/expression", "CONFIG_INVALID"),
            ("/nodes/0/config/cases", "CONFIG_INVALID"),
        ],
    ),
    Malformed(
        "a switch without cases",
        drawn([node("a", "switch", expression="input.x", cases=[])]),
        [("/nodes/0/config/cases", "CONFIG_INVALID")],
    ),
    Malformed(
        "a switch with a case twice and one that is a number",
        drawn([node("a", "switch", expression="input.x", cases=["a", "a", 3])]),
        [
            ("/nodes/0/config/cases", "CONFIG_INVALID"),
            ("/nodes/0/config/cases/2", "CONFIG_INVALID"),
        ],
    ),
    Malformed(
        "a switch whose cases are known too late",
        drawn([node("a", "switch", expression="input.x", cases=["{{ input.y }}"])]),
        [("/nodes/0/config/cases/0", "CONFIG_INVALID")],
    ),
    Malformed(
        "a switch over an expression that is none",
        drawn([node("a", "switch", expression="input.x +", cases=["a"])]),
        [("/nodes/0/config/expression", "EXPRESSION_INVALID")],
    ),
    Malformed(
        "a case that a switch does not have",
        branched("switch", "c", expression="input.x", cases=["a", "b"]),
        UNKNOWN_BRANCH,
    ),
    Malformed(
        "the default of a switch that gave it another name",
        branched("switch", "default", expression="input.x", cases=["a"], default="else"),
        UNKNOWN_BRANCH,
    ),
]

WAITS = [
    Malformed("a decision that is none", branched("approval", "maybe"), UNKNOWN_BRANCH),
    Malformed("a branch for what never happens", branched("approval", "late"), UNKNOWN_BRANCH),
    Malformed(
        "a branch for a time that never passes",
        drawn([node("a", "approval", onTimeout="late")]),
        [("/nodes/0/config/timeoutMs", "CONFIG_INVALID")],
    ),
    Malformed(
        "an approval with wrong members",
        drawn([node("a", "approval", timeoutMs=0, message=3, approvers="me", by="mail")]),
        [
            ("/nodes/0/config/timeoutMs", "CONFIG_INVALID"),
            ("/nodes/0/config/message", "CONFIG_INVALID"),
            ("/nodes/0/config/approvers", "CONFIG_INVALID"),
            ("/nodes/0/config/by", "CONFIG_INVALID"),
        ],
    ),
    Malformed(
        "a wait of two years for a signal without a name",
        drawn([node("a", "wait_for_signal", timeoutMs=2 * 366 * 86_400_000)]),
        [
            ("/nodes/0/config/timeoutMs", "CONFIG_INVALID"),
            ("/nodes/0/config/name", "CONFIG_INVALID"),
        ],
    ),
    Malformed(
        "a signal with two names",
        drawn([node("a", "wait_for_signal", name="x", signal="y")]),
        [("/nodes/0/config/signal", "CONFIG_INVALID")],
    ),
    Malformed(
        "a branch of a wait that is an approval's",
        branched("wait_for_signal", "approve", name="x"),
        UNKNOWN_BRANCH,
    ),
]

LOOPS = [
    Malformed(
        "a loop over nothing",
        bare(),
        [("/nodes/0/config", "CONFIG_INVALID"), ("/nodes/0/config/body", "CONFIG_INVALID")],
    ),
    Malformed(
        "a loop of both kinds",
        drawn([loop("l", noop("x"), **{"while": "index < 3"})]),
        [("/nodes/0/config", "CONFIG_INVALID")],
    ),
    Malformed(
        "a loop out of all bounds",
        drawn(
            [
                loop(
                    *("l", noop("x")),
                    items="input.list",
                    mode="random",
                    maxConcurrency=513,
                    maxIterations=10_001,
                    onItemError="retry",
                )
            ]
        ),
        [
            (f"/nodes/0/config/{name}", "CONFIG_INVALID")
            for name in ("items", "mode", "maxConcurrency", "maxIterations", "onItemError")
        ],
    ),
    Malformed(
        "iterations that depend on each other, all at once",
        drawn([node("l", "loop", **{"while": "index < 3"}, mode="parallel", body=body(noop("x")))]),
        [("/nodes/0/config/mode", "CONFIG_INVALID")],
    ),
    Malformed("a body that is a text", bare(items=[], body="x"), [(BODY, "SCHEMA_INVALID")]),
    Malformed("an empty body", bare(items=[], body=body()), [(f"{BODY}/nodes", "EMPTY")]),
    Malformed(
        "a body without nodes", bare(items=[], body={}), [(f"{BODY}/nodes", "SCHEMA_INVALID")]
    ),
    Malformed(
        "a body of both kinds",
        bare(items=[], body=body(noop("x")) | {"workflowId": "w"}),
        [(f"{BODY}/nodes", "SCHEMA_INVALID"), (f"{BODY}/edges", "SCHEMA_INVALID")],
    ),
    Malformed(
        "a body that is a workflow of no name",
        bare(items=[], body={"version": 0}),
        [(f"{BODY}/workflowId", "CONFIG_INVALID"), (f"{BODY}/version", "CONFIG_INVALID")],
    ),
    Malformed(
        "unknown keys in a body",
        bare(items=[], body={"name": "w", "nodes": [noop("x", colour=1)]}),
        [(f"{BODY}/name", "UNKNOWN_KEY"), (f"{BODY}/nodes/0/colour", "UNKNOWN_KEY")],
    ),
    Malformed(
        "everything wrong inside a body",
        drawn(
            [
                loop(
                    *("l", noop("a"), noop("a"), node("t", "teleport"), node("h", "http")),
                    node("c", "condition", expression="input.x >"),
                    edges=[
                        *(edge("a", "ghost"), edge("t", "t")),
                        *(edge("h", "c"), edge("c", "h", type="BRANCH", branch="true")),
                    ],
                )
            ]
        ),
        [
            (f"{BODY}/nodes/1/id", "DUPLICATE_NODE_ID"),
            (f"{BODY}/nodes/2/type", "UNKNOWN_NODE_TYPE"),
            (f"{BODY}/nodes/3/config/url", "CONFIG_INVALID"),
            (f"{BODY}/nodes/4/config/expression", "EXPRESSION_INVALID"),
            (f"{BODY}/edges/0/to", "EDGE_NODE_MISSING"),
            (f"{BODY}/edges/1", "SELF_EDGE"),
            (f"{BODY}/edges/3", "CYCLE"),
        ],
    ),
    Malformed(
        "a problem in the body of a body, in older spellings",
        {
            "name": "w",
            "steps": [
                noop("b", position=2),
                node("l", "LOOP", items=[], body={"steps": [loop("m", noop("x", timeout_ms=0))]})
                | {"position": 1},
            ],
        },
        [("/steps/1/config/body/steps/0/config/body/nodes/0/timeout_ms", "SCHEMA_INVALID")],
    ),
    Malformed(
        "an expression of a step behind its position in a body",
        bare(
            items=[],
            body={
                "steps": [
                    noop("b", position=2),
                    node("c", "condition", expression="1 +") | {"position": 1},
                ]
            },
        ),
        [(f"{BODY}/steps/1/config/expression", "EXPRESSION_INVALID")],
    ),
    Malformed(
        "nodes that a body cannot read",
        drawn(
            [
                noop("before"),
                loop(
                    "l",
                    reader("x", "{{ nodes.before.output }} {{ nodes.after.output }}"),
                    reader("y", "{{ nodes.z.output }}"),
                    reader("z", "{{ nodes.l.output }}"),
                    reader("after2", "{{ nodes.ghost.output }}"),
                ),
                reader("after", "{{ nodes.x.output }}"),
            ],
            edge("before", "l"),
            edge("l", "after"),
        ),
        [
            ("/nodes/1/config/body/nodes/0/input", "TEMPLATE_NOT_UPSTREAM"),
            ("/nodes/1/config/body/nodes/1/input", "TEMPLATE_NOT_UPSTREAM"),
            ("/nodes/1/config/body/nodes/2/input", "TEMPLATE_NOT_UPSTREAM"),
            ("/nodes/1/config/body/nodes/3/input", "TEMPLATE_NOT_UPSTREAM"),
            ("/nodes/2/input", "TEMPLATE_NOT_UPSTREAM"),
        ],
    ),
    Malformed(
        "a node of the body that hides the one outside",
        drawn(
            [noop("a"), loop("l", reader("x", "{{ nodes.a.output }}"), noop("a"))], edge("a", "l")
        ),
        [("/nodes/1/config/body/nodes/0/input", "TEMPLATE_NOT_UPSTREAM")],
    ),
    Malformed(
        "the items of a loop that name an item",
        drawn([loop("l", noop("x"), items="{{ item.parts }}")]),
        [("/nodes/0/config/items", "TEMPLATE_INVALID")],
    ),
    Malformed(
        "a while that is no expression and one that reads its own body",
        drawn(
            [
                node("l", "loop", **{"while": "index <"}, body=body(noop("x"))),
                node("m", "loop", **{"while": "nodes.x.output.more"}, body=body(noop("x"))),
            ]
        ),
        [
            ("/nodes/0/config/while", "EXPRESSION_INVALID"),
            ("/nodes/1/config/while", "TEMPLATE_NOT_UPSTREAM"),
        ],
    ),
    Malformed(
        "a join in a body of more edges than there are",
        drawn([loop("l", noop("x"), noop("y", join={"at_least": 2}), edges=[edge("x", "y")])]),
        [(f"{BODY}/nodes/1/join/at_least", "BAD_JOIN")],
    ),
    Malformed(
        "bodies nine deep",
        drawn([nested_loops(9)]),
        [("/nodes/0" + "/config/body/nodes/0" * 8 + "/config/body", "LIMIT_EXCEEDED")],
    ),
    Malformed(
        "what comes later, in a body",
        drawn([loop("l", node("x", "code", language="python"))]),
        [(f"{BODY}/nodes/0/type", "NOT_SUPPORTED")],
    ),
]

OTHERS = [
    Malformed(
        "a workflow of no name and a version that is none",
        drawn([node("a", "sub_workflow", workflowId="a b", version="two")]),
        [
            ("/nodes/0/config/workflowId", "CONFIG_INVALID"),
            ("/nodes/0/config/version", "CONFIG_INVALID"),
        ],
    ),
    Malformed(
        "an event of no type",
        drawn([node("a", "emit_event", data={"x": "{{ input.x"})]),
        [
            ("/nodes/0/config/type", "CONFIG_INVALID"),
            ("/nodes/0/config/data/x", "TEMPLATE_INVALID"),
        ],
    ),
    Malformed(
        "a fallback to nothing and a handler with a config",
        drawn([node("a", "fallback"), node("b", "error_handler", output=1)]),
        [
            ("/nodes/0/config/output", "CONFIG_INVALID"),
            ("/nodes/1/config/output", "CONFIG_INVALID"),
        ],
    ),
    Malformed(
        "joins of a number that is none",
        drawn(
            [
                noop("a", join={"atLeast": 0}),
                noop("b", join={"atLeast": "2"}),
                noop("c", join={"cancelOthers": True}),
                noop("d", join={"atLeast": True, "cancelOthers": 1, "x": 2}),
            ]
        ),
        [
            ("/nodes/0/join/atLeast", "BAD_JOIN"),
            ("/nodes/1/join/atLeast", "BAD_JOIN"),
            ("/nodes/2/join", "BAD_JOIN"),
            ("/nodes/3/join/atLeast", "BAD_JOIN"),
            ("/nodes/3/join/cancelOthers", "SCHEMA_INVALID"),
            ("/nodes/3/join/x", "UNKNOWN_KEY"),
        ],
    ),
    Malformed(
        "a queue that no subject takes",
        drawn([noop("a", queue="g.p.u")]),
        [("/nodes/0/queue", "SCHEMA_INVALID")],
    ),
]

EDGES = [
    Malformed(
        "expressions of edges that are none",
        drawn(
            [noop("a"), noop("b")],
            edge("a", "b", type="EXPRESSION", expression="output.n >"),
            edge("a", "b", type="EXPRESSION", expression="{{ output.n"),
            edge("a", "b", type="EXPRESSION", expression="x" * 4097),
        ),
        [
            ("/edges/0/condition/expression", "EXPRESSION_INVALID"),
            ("/edges/1/condition/expression", "TEMPLATE_INVALID"),
            ("/edges/2/condition/expression", "SCHEMA_INVALID"),
        ],
    ),
    Malformed(
        "an edge that reads more than its source",
        document(edges=[edge("a", "b", type="EXPRESSION", expression="nodes.a.output.n > run.id")]),
        [("/edges/0/condition/expression", "EXPRESSION_INVALID")],
    ),
    Malformed(
        "an edge of a body that reads the item",
        drawn(
            [
                loop(
                    *("l", noop("a"), noop("b")),
                    edges=[edge("a", "b", type="EXPRESSION", expression="output > item")],
                )
            ]
        ),
        [(f"{BODY}/edges/0/condition/expression", "EXPRESSION_INVALID")],
    ),
    Malformed(
        "an edge without its expression, and one with another's",
        document(
            edges=[
                edge("a", "b", type="EXPRESSION"),
                edge("a", "b", type="ALWAYS", expression="true"),
            ]
        ),
        [
            ("/edges/0/condition/expression", "SCHEMA_INVALID"),
            ("/edges/1/condition/expression", "SCHEMA_INVALID"),
        ],
    ),
]

FLOW = [
    Malformed(
        "a concurrency of wrong members",
        document(concurrency={"max": 0, "key": 7, "strategy": "wait", "min": 1}),
        [
            ("/concurrency/max", "SCHEMA_INVALID"),
            ("/concurrency/key", "SCHEMA_INVALID"),
            ("/concurrency/strategy", "SCHEMA_INVALID"),
            ("/concurrency/min", "UNKNOWN_KEY"),
        ],
    ),
    Malformed(
        "a concurrency that is a number",
        document(concurrency=3, rateLimit=[], queuedTimeoutMs=0),
        [
            ("/concurrency", "SCHEMA_INVALID"),
            ("/rateLimit", "SCHEMA_INVALID"),
            ("/queuedTimeoutMs", "SCHEMA_INVALID"),
        ],
    ),
    Malformed(
        "a key that is known too late",
        document(concurrency={"key": "{{ nodes.a.output.x }}"}),
        [("/concurrency/key", "TEMPLATE_NOT_UPSTREAM")],
    ),
    Malformed(
        "a key that cannot be read",
        document(concurrency={"key": "{{ input.a"}),
        [("/concurrency/key", "TEMPLATE_INVALID")],
    ),
    Malformed(
        "a rate given twice, under an older spelling",
        document(rateLimit={"perMinute": 5}, rate_limit_per_minute=6),
        [("/rate_limit_per_minute", "SCHEMA_INVALID")],
    ),
    Malformed(
        "a rate of nothing",
        document(rateLimit={}, rateLimitMaxConcurrent=None),
        [("/rateLimit", "SCHEMA_INVALID")],
    ),
    Malformed(
        "a flat rate that is wrong",
        document(rateLimitMaxConcurrent="many", rateLimitPerMinute=0),
        [("/rateLimitMaxConcurrent", "SCHEMA_INVALID"), ("/rateLimitPerMinute", "SCHEMA_INVALID")],
    ),
    Malformed(
        "an output that cannot be read",
        document(
            output={
                "a": "{{ nodes.ghost.output }}",
                "b": ["{{ item }}", "{{ 1 + }}", "{{ nodes.a.total }}"],
                "c/d": "{{ secrets.x }}",
            }
        ),
        [
            ("/output/a", "TEMPLATE_NOT_UPSTREAM"),
            ("/output/b/0", "TEMPLATE_INVALID"),
            ("/output/b/1", "EXPRESSION_INVALID"),
            ("/output/b/2", "TEMPLATE_INVALID"),
            ("/output/c~1d", "SECRET_NOT_ALLOWED_HERE"),
        ],
    ),
    Malformed(
        "an output of the inside of a loop",
        drawn([loop("l", noop("x"))]) | {"output": "{{ nodes.x.output }}"},
        [("/output", "TEMPLATE_NOT_UPSTREAM")],
    ),
    Malformed(
        "variables and secrets without their names",
        document(output=["{{ vars }}", "{{ vars[input.x] }}"]),
        [("/output/0", "TEMPLATE_INVALID"), ("/output/1", "EXPRESSION_INVALID")],
    ),
]

CONSTRUCTS = [*SWITCHES, *WAITS, *LOOPS, *OTHERS, *EDGES, *FLOW]
