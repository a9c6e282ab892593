"""Every type of node: its name, version, config schema, output, and how it takes part in a graph.

A type that the language has and this release does not is listed too, as not available: a
definition that uses it is refused for that, not for an unknown name.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from penstock.domain.workflow import config_schemas as configs
from penstock.domain.workflow.model import Node

MINUTE_MS: Final = 60_000
STEP_TIMEOUT_MS: Final = 5 * MINUTE_MS
"""The time limit of any step whose node and type name none."""

DECISION: Final = ("true", "false")
INPUT_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})


class NodeType(Struct, frozen=True, kw_only=True):
    """One type of node.

    branches: the names that a BRANCH edge from any of its nodes may carry; None when it chooses
        none. See `branches_of` for one node's.
    branch_fields: members of its config that name further branches.
    branch_aliases: other spellings of its branches.
    entry: whether it starts a workflow, passing the run's input on.
    secret_fields: members of its config in which `secrets.` may be read.
    takes_connection: whether its `connection` names one of the tenant's.
    expression_fields: members of its config that are expressions as they stand, without braces.
    kept_fields: members of its config that are not rendered when the node is run, but later.
    config_aliases: other spellings of members of its config.
    later: members (with the value that asks for it, None for any) that this release refuses.
    passes: whether its input is used without being named by a template.
    """

    name: str
    description: str
    version: int = 1
    aliases: tuple[str, ...] = ()
    config_schema: Mapping[str, Any] = configs.ANYTHING
    output: str = "any value"
    branches: tuple[str, ...] | None = None
    branch_fields: tuple[str, ...] = ()
    branch_aliases: Mapping[str, str] = {}
    entry: bool = False
    default_timeout_ms: int = STEP_TIMEOUT_MS
    secret_fields: tuple[str, ...] = ()
    takes_connection: bool = False
    expression_fields: tuple[str, ...] = ()
    kept_fields: tuple[str, ...] = ()
    config_aliases: Mapping[str, str] = {}
    later: Mapping[str, str | None] = {}
    passes: bool = True
    available: bool = True


AVAILABLE: Final = (
    NodeType(
        name="http_request",
        aliases=("http",),
        description="Sends an HTTP request; 4xx and 5xx fail the step unless acceptStatus has them",
        config_schema=configs.HTTP_REQUEST,
        output="{status, headers, body}",
        secret_fields=("headers", "query"),
        takes_connection=True,
        passes=False,
    ),
    NodeType(
        name="transform",
        aliases=("text_transform",),
        description="Makes a value of templates and expressions, or transforms a text",
        config_schema=configs.TRANSFORM,
        output="what `output` says, or the transformed text",
        default_timeout_ms=5_000,
        later={"code": None, "language": None},
        passes=False,
    ),
    NodeType(
        name="condition",
        aliases=("conditional",),
        description="Takes the branch `true` or `false`, as its expression says",
        config_schema=configs.CONDITION,
        output="its input",
        branches=DECISION,
        expression_fields=("expression",),
        later={"language": "javascript"},
    ),
    NodeType(
        name="delay",
        description="Waits for a time or until a moment, at most a year; holds no executor",
        config_schema=configs.DELAY,
        output="its input",
    ),
    NodeType(
        name="noop",
        description="Passes its input on",
        output="its input",
    ),
    NodeType(
        name="webhook",
        description="With a url: sends its input there. Without: an entry of the workflow",
        config_schema=configs.WEBHOOK,
        output="{status, headers, body} with a url, else the run's input",
        secret_fields=("headers", "secret"),
        takes_connection=True,
    ),
    NodeType(
        name="trigger",
        description="An entry of the workflow: passes the run's input on",
        output="the run's input",
        entry=True,
    ),
    NodeType(
        name="switch",
        description="Takes the branch that its expression names, else the default",
        config_schema=configs.SWITCH,
        output="its input",
        branches=(),
        branch_fields=("cases", "default"),
        expression_fields=("expression",),
    ),
    NodeType(
        name="loop",
        description="Runs a body for each of its items, or while an expression holds",
        config_schema=configs.LOOP,
        output="a list of the bodies' outputs, in the order of the items",
        kept_fields=("body", "while"),
        passes=False,
    ),
    NodeType(
        name="sub_workflow",
        description="Runs another workflow with its input and waits for it",
        config_schema=configs.SUB_WORKFLOW,
        output="the output of the other run",
    ),
    NodeType(
        name="approval",
        description="Waits for a decision, with a time limit; holds no executor",
        config_schema=configs.APPROVAL,
        output="what came with the decision; {timedOut: true} where onTimeout says what then",
        branches=("approve", "reject"),
        branch_fields=("onTimeout",),
        branch_aliases={"approved": "approve", "rejected": "reject"},
        passes=False,
    ),
    NodeType(
        name="wait_for_signal",
        description="Waits for a signal by name, with a time limit; holds no executor",
        config_schema=configs.WAIT_FOR_SIGNAL,
        output="what came with the signal; {timedOut: true} where onTimeout says what then",
        branches=("received",),
        branch_fields=("onTimeout",),
        config_aliases={"signal": "name", "signalName": "name"},
        passes=False,
    ),
    NodeType(
        name="emit_event",
        description="Publishes an event that triggers can match",
        config_schema=configs.EMIT_EVENT,
        output="the event: {id, type, source, data, time}",
    ),
    NodeType(
        name="error_handler",
        description="Is entered over ON_FAILURE edges with {error, failedNode, input}",
        config_schema=configs.NOTHING,
        output="its input",
    ),
    NodeType(
        name="fallback",
        description="Stands in for a failed node's output",
        config_schema=configs.FALLBACK,
        output="what `output` says; what the failed node's output reads as from then on",
        passes=False,
    ),
    NodeType(
        name="email",
        description="Sends an e-mail over a connection to a server that speaks SMTP",
        config_schema=configs.EMAIL,
        output="{messageId, accepted, rejected}: the recipients that the server took, and those "
        "that it did not, {address, code, message} each",
        takes_connection=True,
        default_timeout_ms=MINUTE_MS,
        passes=False,
    ),
    NodeType(
        name="database_query",
        description="Asks a Postgres database one statement, with parameters, over a connection",
        config_schema=configs.DATABASE_QUERY,
        output="{rows, rowCount, columns}: an object for each row; columns are {name, type}",
        takes_connection=True,
        default_timeout_ms=MINUTE_MS,
        passes=False,
    ),
    NodeType(
        name="ai_completion",
        description="Asks a model over an OpenAI-compatible connection; without one a mock answers",
        config_schema=configs.AI_COMPLETION,
        output="{text, model, usage: {promptTokens, completionTokens, totalTokens}, finishReason}, "
        "json where that is asked for, mock: true where no model was asked",
        takes_connection=True,
    ),
)

LATER: Final = (
    NodeType(
        name="custom_code",
        aliases=("code",),
        description="Runs JavaScript or Python in a sandbox",
        available=False,
    ),
    NodeType(
        name="plugin",
        description="Runs a registered plugin in a process of its own",
        available=False,
    ),
)

NODE_TYPES: Final[Mapping[str, NodeType]] = {kind.name: kind for kind in (*AVAILABLE, *LATER)}

SPELLINGS: Final[Mapping[str, str]] = {
    spelling: kind.name for kind in NODE_TYPES.values() for spelling in (kind.name, *kind.aliases)
}
"""Every name and alias, in lower case, to the canonical name."""


def canonical_name(spelling: str) -> str | None:
    """The type that a name or alias, in any case, stands for; None for an unknown one."""
    return SPELLINGS.get(spelling.lower())


def is_entry(node: Node) -> bool:
    """Whether the node starts the workflow: a trigger, or a webhook that nothing is sent to."""
    return NODE_TYPES[node.type].entry or (node.type == "webhook" and "url" not in node.config)


def branches_of(node: Node) -> tuple[str, ...] | None:
    """The branches that the node may choose, each once; None when it chooses none."""
    kind = NODE_TYPES.get(node.type)
    if kind is None or kind.branches is None:
        return None
    if not kind.branch_fields:
        return kind.branches
    properties = kind.config_schema["properties"]
    named: list[Any] = list(kind.branches)
    for field in kind.branch_fields:
        given = node.config.get(field, properties[field].get("default", []))
        named += given if isinstance(given, list) else [given]
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str)))


def passes_input(node: Node) -> bool:
    """Whether the node uses its input although no template of its names it."""
    if node.type == "http_request":
        method = str(node.config.get("method", "GET")).upper()
        return "body" not in node.config and (method in INPUT_METHODS or "{{" in method)
    if node.type == "transform":
        return "transform" in node.config and "value" not in node.config
    if node.type == "ai_completion":
        return not {"prompt", "messages"} & {*node.config}
    if node.type == "emit_event":
        return "data" not in node.config
    kind = NODE_TYPES.get(node.type)
    return kind is None or kind.passes
