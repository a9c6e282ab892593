"""Malformed definitions, each with every problem that it has: pointer and code, in any order.

`document(…)` is a sound definition of two nodes; most of these differ from it in one place.
"""

from typing import Any, NamedTuple

Document = Any
Found = list[tuple[str, str]]


class Malformed(NamedTuple):
    """A document that is refused, and why."""

    name: str
    document: Document
    problems: Found


def noop(node_id: str, **members: Any) -> dict[str, Any]:
    """A node that does nothing."""
    return {"id": node_id, "type": "noop", **members}


def edge(source: str, target: str, **condition: Any) -> dict[str, Any]:
    """An edge, with its condition where one is given."""
    ends: dict[str, Any] = {"from": source, "to": target}
    return ends | ({"condition": condition} if condition else {})


def document(**members: Any) -> dict[str, Any]:
    """A sound definition with these members in place of its own."""
    sound = {"name": "w", "nodes": [noop("a"), noop("b")], "edges": [edge("a", "b")]}
    return sound | members


def drawn(nodes: list[Any], *edges: Any) -> dict[str, Any]:
    """A definition of these nodes and edges."""
    return document(nodes=nodes, edges=list(edges))


def one(node_type: str, config: Any, **members: Any) -> dict[str, Any]:
    """A definition of one node."""
    return drawn([{"id": "a", "type": node_type, "config": config, **members}])


def http(**config: Any) -> dict[str, Any]:
    """A definition of one HTTP request."""
    return one("http_request", {"url": "https://x.example/"} | config)


def condition(expression: Any = "input.n > 1", **config: Any) -> dict[str, Any]:
    """A condition `c`."""
    return {"id": "c", "type": "condition", "config": {"expression": expression, **config}}


def nested(depth: int) -> dict[str, Any]:
    """An object in an object in an object."""
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


SHAPES = [
    Malformed("no object", ["a"], [("", "SCHEMA_INVALID")]),
    Malformed("null", None, [("", "SCHEMA_INVALID")]),
    Malformed("no nodes", {"name": "w"}, [("/nodes", "SCHEMA_INVALID")]),
    Malformed("nothing at all", {}, [("/name", "SCHEMA_INVALID"), ("/nodes", "SCHEMA_INVALID")]),
    Malformed("empty", document(nodes=[], edges=[]), [("/nodes", "EMPTY")]),
    Malformed("empty steps", {"name": "w", "steps": []}, [("/steps", "EMPTY")]),
    Malformed("nodes as an object", document(nodes={}, edges=[]), [("/nodes", "SCHEMA_INVALID")]),
    Malformed("a node that is a text", drawn([noop("a"), "b"]), [("/nodes/1", "SCHEMA_INVALID")]),
    Malformed("a name of no characters", document(name=""), [("/name", "SCHEMA_INVALID")]),
    Malformed("a name with U+0000", document(name="a\0b"), [("/name", "SCHEMA_INVALID")]),
    Malformed("an id no URL takes", document(id="a/b"), [("/id", "SCHEMA_INVALID")]),
    Malformed(
        "a node without id and type",
        drawn([{"config": {}}]),
        [("/nodes/0/id", "SCHEMA_INVALID"), ("/nodes/0/type", "SCHEMA_INVALID")],
    ),
    Malformed("an id with a dot", drawn([noop("a.b")]), [("/nodes/0/id", "SCHEMA_INVALID")]),
    Malformed("an id too long", drawn([noop("a" * 65)]), [("/nodes/0/id", "SCHEMA_INVALID")]),
    Malformed("an id that is a number", drawn([noop(7)]), [("/nodes/0/id", "SCHEMA_INVALID")]),  # type: ignore[arg-type]
    Malformed("config as a list", one("noop", []), [("/nodes/0/config", "SCHEMA_INVALID")]),
    Malformed(
        "wrong types all over",
        document(
            timeoutMs="soon",
            description=4,
            nodes=[noop("a", timeoutMs=0, continueOnError="no", queue="a b", name=[])],
            edges={},
        ),
        [
            ("/timeoutMs", "SCHEMA_INVALID"),
            ("/description", "SCHEMA_INVALID"),
            ("/nodes/0/timeoutMs", "SCHEMA_INVALID"),
            ("/nodes/0/continueOnError", "SCHEMA_INVALID"),
            ("/nodes/0/queue", "SCHEMA_INVALID"),
            ("/nodes/0/name", "SCHEMA_INVALID"),
            ("/edges", "SCHEMA_INVALID"),
        ],
    ),
    Malformed(
        "a retry out of bounds",
        document(retry={"maxAttempts": 0, "backoffMs": -1, "jitter": 2, "maxBackoffMs": 1.5}),
        [
            ("/retry/maxAttempts", "SCHEMA_INVALID"),
            ("/retry/backoffMs", "SCHEMA_INVALID"),
            ("/retry/jitter", "SCHEMA_INVALID"),
            ("/retry/maxBackoffMs", "SCHEMA_INVALID"),
        ],
    ),
    Malformed(
        "a number that JSON lacks",
        one("noop", {"x": [float("nan")]}),
        [("/nodes/0/config/x/0", "SCHEMA_INVALID")],
    ),
    Malformed(
        "a value nested too deep",
        one("noop", nested(70)),
        [("/nodes/0/config" + "/a" * 64, "LIMIT_EXCEEDED")],
    ),
    Malformed(
        "an input schema that is none",
        document(inputSchema={"type": "thing"}),
        [("/inputSchema/type", "SCHEMA_INVALID")],
    ),
    Malformed(
        "an input schema that leads elsewhere",
        document(inputSchema={"$ref": "https://x.example/s.json"}),
        [("/inputSchema", "SCHEMA_INVALID")],
    ),
]

SPELLINGS = [
    Malformed(
        "unknown keys at every level",
        document(
            colour="red",
            nodes=[noop("a", x=1), noop("b", retry={"max": 1}), noop("c~/", colour=1)],
            edges=[{"from": "a", "to": "b", "label": "", "condition": {"kind": 1}}],
        ),
        [
            ("/colour", "UNKNOWN_KEY"),
            ("/nodes/0/x", "UNKNOWN_KEY"),
            ("/nodes/1/retry/max", "UNKNOWN_KEY"),
            ("/nodes/2/id", "SCHEMA_INVALID"),
            ("/nodes/2/colour", "UNKNOWN_KEY"),
            ("/edges/0/label", "UNKNOWN_KEY"),
            ("/edges/0/condition/kind", "UNKNOWN_KEY"),
        ],
    ),
    Malformed("a key to escape", document(**{"a/b~c": 1}), [("/a~1b~0c", "UNKNOWN_KEY")]),
    Malformed(
        "one member in two spellings",
        drawn([noop("a", timeoutMs=1, timeout_ms=2)]),
        [("/nodes/0/timeout_ms", "SCHEMA_INVALID")],
    ),
    Malformed(
        "a problem under an older spelling",
        drawn([noop("a", retry_config={"max_attempts": 0})]),
        [("/nodes/0/retry_config/max_attempts", "SCHEMA_INVALID")],
    ),
    Malformed(
        "a flat retry that is wrong",
        document(retryMaxAttempts="many"),
        [("/retryMaxAttempts", "SCHEMA_INVALID")],
    ),
    Malformed(
        "nodes and steps",
        document(steps=[noop("c")]),
        [("/steps", "SCHEMA_INVALID")],
    ),
    Malformed(
        "a step behind its position",
        {"name": "w", "steps": [noop("b", position=2), {"id": "a", "type": "what", "position": 1}]},
        [("/steps/1/type", "UNKNOWN_NODE_TYPE")],
    ),
    Malformed(
        "steps of a condition that are not there",
        {"name": "w", "steps": [condition(trueSteps=["x"], falseSteps=["c2"]), noop("c2")]},
        [("/steps/0/config/trueSteps/0", "EDGE_NODE_MISSING")],
    ),
    Malformed(
        "branches of what is no condition",
        drawn([noop("a", trueSteps=["b"]), noop("b")]),
        [("/nodes/0/trueSteps", "UNKNOWN_KEY")],
    ),
]

GRAPHS = [
    Malformed(
        "an id twice",
        drawn([noop("a"), noop("b"), noop("a")]),
        [("/nodes/2/id", "DUPLICATE_NODE_ID")],
    ),
    Malformed(
        "an edge to nowhere",
        document(edges=[edge("a", "b"), edge("a", "ghost")]),
        [("/edges/1/to", "EDGE_NODE_MISSING")],
    ),
    Malformed(
        "an edge from nowhere to nowhere",
        document(edges=[edge("x", "y")]),
        [("/edges/0/from", "EDGE_NODE_MISSING"), ("/edges/0/to", "EDGE_NODE_MISSING")],
    ),
    Malformed(
        "an edge without ends",
        document(edges=[{}]),
        [("/edges/0/from", "SCHEMA_INVALID"), ("/edges/0/to", "SCHEMA_INVALID")],
    ),
    Malformed("an edge to itself", document(edges=[edge("a", "a")]), [("/edges/0", "SELF_EDGE")]),
    Malformed(
        "a cycle",
        drawn([noop("a"), noop("b"), noop("c")], edge("a", "b"), edge("b", "c"), edge("c", "a")),
        [("/edges/2", "CYCLE")],
    ),
    Malformed(
        "two cycles and what comes after",
        drawn(
            [noop(name) for name in "abcde"],
            *(edge("a", "b"), edge("b", "a"), edge("c", "d"), edge("d", "c"), edge("d", "e")),
        ),
        [("/edges/1", "CYCLE"), ("/edges/3", "CYCLE")],
    ),
    Malformed(
        "a branch that nobody takes",
        drawn([condition(), noop("b")], edge("c", "b", type="BRANCH", branch="maybe")),
        [("/edges/0/condition/branch", "UNKNOWN_BRANCH"), ("/nodes/1", "UNREACHABLE_NODE")],
    ),
    Malformed(
        "a branch of a node without branches",
        document(edges=[edge("a", "b"), edge("a", "b", type="BRANCH", branch="true")]),
        [("/edges/1/condition/branch", "UNKNOWN_BRANCH")],
    ),
    Malformed(
        "a branch without its name",
        document(edges=[edge("a", "b", type="BRANCH")]),
        [("/edges/0/condition/branch", "SCHEMA_INVALID")],
    ),
    Malformed(
        "a branch that YAML made a boolean",
        drawn([condition(), noop("b")], edge("c", "b", type="BRANCH", branch=True)),
        [("/edges/0/condition/branch", "SCHEMA_INVALID")],
    ),
    Malformed(
        "a branch on success",
        document(edges=[edge("a", "b", branch="true")]),
        [("/edges/0/condition/branch", "SCHEMA_INVALID")],
    ),
    Malformed(
        "an edge of an unknown type",
        document(edges=[edge("a", "b", type="SOMETIMES")]),
        [("/edges/0/condition/type", "SCHEMA_INVALID")],
    ),
    Malformed(
        "what waits for the failure of an entry",
        drawn(
            [{"id": "t", "type": "trigger"}, noop("b"), noop("c")],
            *(edge("t", "b", type="ON_FAILURE"), edge("b", "c")),
        ),
        [("/nodes/1", "UNREACHABLE_NODE"), ("/nodes/2", "UNREACHABLE_NODE")],
    ),
    Malformed(
        "a join of no kind",
        drawn([noop("a", join="some"), noop("b", join=3)]),
        [("/nodes/0/join", "BAD_JOIN"), ("/nodes/1/join", "BAD_JOIN")],
    ),
    Malformed(
        "a join of more edges than there are",
        drawn([noop("a"), noop("b", join={"atLeast": 2})], edge("a", "b")),
        [("/nodes/1/join/atLeast", "BAD_JOIN")],
    ),
]

NODES = [
    Malformed("an unknown type", one("teleport", {}), [("/nodes/0/type", "UNKNOWN_NODE_TYPE")]),
    Malformed(
        "a request without and with too much",
        one("http", {"urll": "x", "timeoutMs": "long", "headers": {"a": ["b"]}}),
        [
            ("/nodes/0/config/url", "CONFIG_INVALID"),
            ("/nodes/0/config/urll", "CONFIG_INVALID"),
            ("/nodes/0/config/timeoutMs", "CONFIG_INVALID"),
            ("/nodes/0/config/headers/a", "CONFIG_INVALID"),
        ],
    ),
    Malformed(
        "SQL made of a template, parameters that hold secrets, a mail without a body",
        drawn(
            [
                {
                    "id": "q",
                    "type": "database_query",
                    "config": {
                        "connection": "{{ input.which }}",
                        "sql": "select {{ input.x }}",
                        "params": ["{{ secrets.token }}"],
                    },
                },
                {
                    "id": "m",
                    "type": "email",
                    "config": {"connection": "post", "to": "a@b", "subject": "Hi"},
                },
                {
                    "id": "a",
                    "type": "ai_completion",
                    "config": {"prompt": "Hi", "messages": [{"role": "user", "content": "Hi"}]},
                },
            ]
        ),
        [
            ("/nodes/0/config/connection", "CONFIG_INVALID"),
            ("/nodes/0/config/sql", "CONFIG_INVALID"),
            ("/nodes/0/config/params/0", "SECRET_NOT_ALLOWED_HERE"),
            ("/nodes/1/config", "CONFIG_INVALID"),
            ("/nodes/2/config", "CONFIG_INVALID"),
        ],
    ),
    Malformed(
        "a URL of a file", http(url="file:///x"), [("/nodes/0/config/url", "CONFIG_INVALID")]
    ),
    Malformed(
        "a transform of nothing", one("transform", {}), [("/nodes/0/config", "CONFIG_INVALID")]
    ),
    Malformed(
        "a delay of two kinds",
        one("delay", {"durationMs": 1, "until": "2027-01-01T00:00:00Z"}),
        [("/nodes/0/config", "CONFIG_INVALID")],
    ),
    Malformed(
        "a delay of two years",
        one("delay", {"durationMs": 2 * 366 * 86_400_000}),
        [("/nodes/0/config/durationMs", "CONFIG_INVALID")],
    ),
    Malformed(
        "a condition without an expression",
        one("condition", {}),
        [("/nodes/0/config/expression", "CONFIG_INVALID")],
    ),
]

TEXTS = [
    Malformed(
        "an expression that is none",
        drawn([condition("input.n >")]),
        [("/nodes/0/config/expression", "EXPRESSION_INVALID")],
    ),
    Malformed(
        "an expression of two types",
        drawn([condition("'a' > 1")]),
        [("/nodes/0/config/expression", "EXPRESSION_INVALID")],
    ),
    Malformed(
        "an expression over 4 KiB",
        drawn([condition("input.n > 1 || " * 300 + "true")]),
        [("/nodes/0/config/expression", "EXPRESSION_INVALID")],
    ),
    Malformed(
        "an expression that doubles its text",
        one("transform", {"output": "{{ ['a']" + ".map(x, x + x + x)" * 9 + " }}"}),
        [("/nodes/0/config/output", "EXPRESSION_INVALID")],
    ),
    Malformed(
        "a template inside quotes",
        drawn([condition("'{{ input.state }}' == 'on'")]),
        [("/nodes/0/config/expression", "TEMPLATE_INVALID")],
    ),
    Malformed(
        "templates without end and content",
        one("transform", {"output": ["{{ input.a", "{{ }}", {"x": "{{ a +* b }}"}]}),
        [
            ("/nodes/0/config/output/0", "TEMPLATE_INVALID"),
            ("/nodes/0/config/output/1", "TEMPLATE_INVALID"),
            ("/nodes/0/config/output/2/x", "EXPRESSION_INVALID"),
        ],
    ),
    Malformed(
        "a node read without its output",
        drawn([noop("a"), noop("b", input="{{ nodes.a.total }}")], edge("a", "b")),
        [("/nodes/1/input", "TEMPLATE_INVALID")],
    ),
    Malformed(
        "what a run does not have",
        one("noop", {"x": "{{ run.colour }}"}),
        [("/nodes/0/config/x", "TEMPLATE_INVALID")],
    ),
    Malformed(
        "an item outside a loop",
        one("noop", {"x": "{{ item.name }}"}),
        [("/nodes/0/config/x", "TEMPLATE_INVALID")],
    ),
    Malformed(
        "nodes that are not upstream",
        drawn(
            [
                noop("a", input="{{ nodes.b.output.x }}"),
                noop("b", config={"x": "{{ nodes.b.output }}", "y": "{{ nodes.ghost.output }}"}),
                noop("c", config={"x": "{{ 1 + nodes.a.output.n + nodes.b.output.n }}"}),
            ],
            edge("a", "b"),
            edge("a", "c"),
        ),
        [
            ("/nodes/0/input", "TEMPLATE_NOT_UPSTREAM"),
            ("/nodes/1/config/x", "TEMPLATE_NOT_UPSTREAM"),
            ("/nodes/1/config/y", "TEMPLATE_NOT_UPSTREAM"),
            ("/nodes/2/config/x", "TEMPLATE_NOT_UPSTREAM"),
        ],
    ),
    Malformed(
        "secrets where they may not be, beside one where they may",
        http(
            url="https://x.example/{{ secrets.token }}",
            headers={"authorization": "Bearer {{ secrets.token }}"},
        ),
        [
            ("/nodes/0/config/url", "SECRET_NOT_ALLOWED_HERE"),
        ],
    ),
]

LATER = [
    Malformed(
        "types that come later",
        drawn(
            [
                {"id": f"n{number}", "type": node_type, "config": {"whatever": "{{ item }}"}}
                for number, node_type in enumerate(("Code", "plugin"))
            ]
        ),
        [(f"/nodes/{number}/type", "NOT_SUPPORTED") for number in range(2)],
    ),
    Malformed(
        "parts of nodes that come later",
        drawn(
            [
                noop("a"),
                {"id": "t", "type": "transform", "config": {"code": "1"}},
                condition("x => x.y", language="javascript"),
                {"id": "h", "type": "http", "config": {"url": "http://x/", "auth": {}}},
            ],
        ),
        [
            ("/nodes/1/config/code", "NOT_SUPPORTED"),
            ("/nodes/2/config/language", "NOT_SUPPORTED"),
            ("/nodes/3/config/auth", "CONFIG_INVALID"),
        ],
    ),
]

LARGE = [
    Malformed(
        "too many nodes",
        drawn([noop(f"n{number}") for number in range(10_001)]),
        [("/nodes", "LIMIT_EXCEEDED")],
    ),
    Malformed(
        "too many edges",
        document(edges=[edge("a", "b")] * 50_001),
        [("/edges", "LIMIT_EXCEEDED")],
    ),
    Malformed(
        "too many bytes",
        one("noop", {"x": "a" * 1024 * 1024}),
        [("", "LIMIT_EXCEEDED")],
    ),
]
"""Some of these are larger than the body of a request may be."""

EVERYTHING = Malformed(
    "all at once",
    {
        "name": "",
        "colour": 1,
        "nodes": [
            noop("a", config={"x": "{{ nodes.z.output }}"}),
            {"id": "a", "type": "nope"},
            {"id": "h", "type": "HTTP", "config": {}},
        ],
        "edges": [edge("a", "a"), edge("h", "q", type="BRANCH", branch="b")],
    },
    [
        ("/name", "SCHEMA_INVALID"),
        ("/colour", "UNKNOWN_KEY"),
        ("/nodes/0/config/x", "TEMPLATE_NOT_UPSTREAM"),
        ("/nodes/1/id", "DUPLICATE_NODE_ID"),
        ("/nodes/1/type", "UNKNOWN_NODE_TYPE"),
        ("/nodes/2/config/url", "CONFIG_INVALID"),
        ("/edges/0", "SELF_EDGE"),
        ("/edges/1/to", "EDGE_NODE_MISSING"),
        ("/edges/1/condition/branch", "UNKNOWN_BRANCH"),
    ],
)

MALFORMED = [*SHAPES, *SPELLINGS, *GRAPHS, *NODES, *TEXTS, *LATER, EVERYTHING]
"""Every one of these fits into a request, though not all into JSON."""
