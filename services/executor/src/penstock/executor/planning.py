"""Plans are made here: of nodes, and of what is evaluated on behalf of steps, loops and runs."""

from collections.abc import Mapping
from typing import Any, assert_never

from msgspec import UNSET
from msgspec.structs import replace

from penstock.domain.payload import Payload
from penstock.domain.run.paths import Evaluation
from penstock.domain.template import Evaluate, Scope
from penstock.domain.workflow.graph import TELLS_FAILURE, Graph
from penstock.domain.workflow.model import AtLeast, Join, Node
from penstock.domain.workflow.node_types import NODE_TYPES
from penstock.domain.workflow.reads import WHILE, template_paths
from penstock.executor.context import StepContext
from penstock.executor.credentials import Wants
from penstock.executor.edges import EdgeTests, edges_of
from penstock.executor.gathering import collected, said_by_sinks
from penstock.executor.inputs import ITEM, NOTHING, RUN_INPUT, Sources, StepInput
from penstock.executor.nodes import condition, fallback
from penstock.executor.nodes.registry import PASSES_ON, Handler, handler_of
from penstock.executor.outcome import Done, StepFault
from penstock.executor.plans import Plan
from penstock.executor.positions import Position, position_of
from penstock.executor.templates import SECRETS, Prepared, prepared
from penstock.messages.envelope import Task

EVALUATION_LIMIT_MS = 60_000
"""Fetching what a loop of the largest size came to takes a while; evaluating does not."""
EVALUATION = "evaluation"
"""What stands for the type of a node where there is none."""
FROM_RUN = Sources(declared=(), forgiving=frozenset())
NO_CONFIG = Prepared.of_paths({}, (), None)


def plan_at(graph: Graph, path: str, evaluate: Evaluate) -> Plan:
    """The plan of what is to be done at a path, good for all iterations that it may stand in.

    Raises StepFault, final, when it cannot be done as it is written.
    """
    position = position_of(path)
    if position.purpose is Evaluation.OUTPUT:
        return plan_of_output(graph, evaluate)
    scopes = drawings(graph, position)
    match position.purpose:
        case None:
            return plan_of(scopes, position.nodes[-1], evaluate)
        case Evaluation.EDGES:
            return plan_of_edges(plan_of(scopes, position.nodes[-1], evaluate))
        case Evaluation.WHILE:
            return plan_of_while(plan_of(scopes, position.nodes[-1], evaluate), evaluate)
        case Evaluation.COLLECT:
            return evaluation_plan(PASSES_ON, NO_CONFIG, gather=collected)
        case _:
            assert_never(position.purpose)


def drawings(graph: Graph, position: Position) -> tuple[Graph, ...]:
    """The graphs around a position, outermost first. Raises StepFault where there is none."""
    around = [graph]
    for loop in position.nodes[:-1]:
        body = around[-1].bodies.get(loop)
        if body is None:
            raise unknown(position)
        around.append(body)
    if position.nodes[-1] not in around[-1].nodes:
        raise unknown(position)
    return tuple(around)


def unknown(position: Position) -> StepFault:
    """The fault of a step that the definition does not have."""
    return StepFault("NODE_UNKNOWN", f"the definition has no node {position.key!r}")


def plan_of(around: tuple[Graph, ...], node_id: str, evaluate: Evaluate) -> Plan:
    """The plan of a node in the last of these graphs, each the body of a loop in the one before."""
    graph = around[-1]
    node = graph.nodes[node_id]
    handler = handler_of(node)
    config = config_of(node, evaluate)
    own_input = None if node.input is UNSET else prepared(node.input, evaluate)
    incoming, outgoing = graph.incoming[node_id], graph.outgoing[node_id]
    sources = Sources(
        declared=graph.predecessors(node_id),
        forgiving=frozenset(e.source for e in incoming if e.condition.type in TELLS_FAILURE),
        root=RUN_INPUT if len(around) == 1 else ITEM,
    )
    ruled = graph.reads[node_id].input
    is_early = node.join is Join.ANY or isinstance(node.join, AtLeast)
    first_come = ruled and is_early and len(sources.declared) > 1
    edges = edges_of(graph, node_id, evaluate)
    looks = handler.looks or own_input is not None or bool(config.roots) or edges is not None
    named = config.nodes | (own_input.nodes if own_input is not None else frozenset())
    return Plan(
        node=node,
        handler=handler,
        limit_ms=graph.timeout_ms(node_id),
        sources=sources,
        config=config,
        input=own_input,
        ruled=ruled,
        passed=None if looks else sources.only,
        tells_input=any(edge.condition.type in TELLS_FAILURE for edge in outgoing),
        own_input=own_input is not None or first_come,
        edges=edges,
        continued=continued(around, named),
        wants=wants_of(node, config),
    )


def wants_of(node: Node, config: Prepared) -> Wants | None:
    """The secrets and the connection that a node names; None for none.

    Raises StepFault, final, for a secret where the node's type allows none.
    """
    kind = NODE_TYPES.get(node.type)
    allowed = () if kind is None else kind.secret_fields
    open_to_all = {name: value for name, value in node.config.items() if name not in allowed}
    if config.secrets and any(path.root == SECRETS for path in template_paths(open_to_all)):
        raise StepFault("SECRET_NOT_ALLOWED_HERE", f"{node.id}: no secret can be read there")
    connection = node.config.get("connection", "") if kind and kind.takes_connection else ""
    if not config.secrets and not connection:
        return None
    return Wants(tuple(sorted(config.secrets)), str(connection))


def config_of(node: Node, evaluate: Evaluate) -> Prepared:
    """A node's config, ready to be filled in."""
    kind = NODE_TYPES.get(node.type)
    if kind is None:
        return prepared(node.config, evaluate)
    expressions, kept = kind.expression_fields, kind.kept_fields
    return prepared(node.config, evaluate, expressions=expressions, kept=kept)


def continued(around: tuple[Graph, ...], names: frozenset[str]) -> frozenset[str]:
    """Those of the named nodes that go on after a failure; the innermost of a name is meant."""
    meant = {
        name: next((graph.nodes[name] for graph in reversed(around) if name in graph.nodes), None)
        for name in names
    }
    return frozenset(n for n, node in meant.items() if node is not None and node.continue_on_error)


# --- evaluations -----------------------------------------------------------------------------


def evaluation_plan(handler: Handler, config: Prepared, **more: Any) -> Plan:
    """The plan of an evaluation that has no node's input."""
    return Plan(
        node=Node(id=EVALUATION, type=EVALUATION),
        handler=handler,
        limit_ms=EVALUATION_LIMIT_MS,
        sources=FROM_RUN,
        config=config,
        **({"ruled": False} | more),
    )


def plan_of_edges(plan: Plan) -> Plan:
    """Which edges of a node hold, whose step came to an end without an executor."""
    if plan.edges is None:
        raise StepFault("NODE_UNKNOWN", f"{plan.node.id!r} has no edges with expressions")
    node_id, tests = plan.node.id, plan.edges

    def said(scope: Scope) -> Any:
        return scope["nodes"][node_id]

    def run(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Done:
        error = config.get("error")
        output = None if error is not None else config.get("output")
        scope = {"input": read(tests, given), "output": output, "error": error}
        found = tests.holding if error is None else tests.holding_after_failure
        return Done(NOTHING, edges=found(scope))

    return behalf_of(
        plan,
        handler=Handler(immediate=run),
        config=Prepared(
            constant=None, roots=frozenset({"nodes"}), nodes=frozenset({node_id}), fill=said
        ),
    )


def read(tests: EdgeTests, given: StepInput) -> Any:
    """The step's input, decoded if an expression reads it."""
    return given.value if "input" in tests.reads else None


def plan_of_while(plan: Plan, evaluate: Evaluate) -> Plan:
    """Whether a loop has one more iteration."""
    condition_of = {"expression": plan.node.config.get(WHILE)}
    return behalf_of(
        plan,
        handler=Handler(immediate=whether),
        config=prepared(condition_of, evaluate, expressions=("expression",)),
        upcoming=True,
    )


def whether(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Done:
    """`true` or `false`; says nothing else."""
    return replace(condition.run(context, config, given), output=NOTHING)


def behalf_of(plan: Plan, **more: Any) -> Plan:
    """The plan of an evaluation that has the input of a node's step."""
    return replace(
        plan,
        node=Node(id=EVALUATION, type=EVALUATION),
        limit_ms=EVALUATION_LIMIT_MS,
        passed=None,
        tells_input=False,
        own_input=False,
        edges=None,
        **more,
    )


def plan_of_output(graph: Graph, evaluate: Evaluate) -> Plan:
    """The run's output: what its template says, else what its sinks said."""
    if graph.output_reads is None:
        only = f"nodes.{graph.sinks[0]}.output" if len(graph.sinks) == 1 else None

        def gather(task: Task, payloads: Mapping[str, Payload]) -> StepInput:
            return said_by_sinks(graph.sinks, payloads)

        return evaluation_plan(PASSES_ON, NO_CONFIG, gather=gather, passed=only)
    config = prepared({"output": graph.definition.output}, evaluate)
    return evaluation_plan(
        Handler(immediate=fallback.run),
        config,
        ruled=graph.output_reads.input,
        continued=continued((graph,), config.nodes),
    )
