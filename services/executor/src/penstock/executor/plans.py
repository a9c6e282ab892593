"""How a node is run, worked out once per definition and node, then kept.

A plan holds everything that does not change from attempt to attempt: the handler, the time limit,
where the input comes from, and the templates, split and read for names.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from msgspec import UNSET, Struct
from msgspec.structs import replace

from penstock.domain.payload import Payload
from penstock.domain.run.events import WaitKind
from penstock.domain.template import Evaluate, Scope
from penstock.domain.workflow.graph import TELLS_FAILURE, Graph
from penstock.domain.workflow.model import EdgeType, Join, Node
from penstock.domain.workflow.node_types import NODE_TYPES
from penstock.executor.inputs import (
    NOTHING,
    RUN_INPUT,
    VARS,
    Sources,
    StepInput,
    decode,
    error_value,
    input_by_rule,
    needed,
    raw_of,
)
from penstock.executor.moments import moment_text
from penstock.executor.nodes.registry import Handler, handler_of
from penstock.executor.outcome import Outcome, Rest, StepFault
from penstock.executor.patience import tried
from penstock.executor.templates import Prepared, prepared
from penstock.messages.envelope import Task

PLANS_MAX = 20_000
"""Two definitions of the largest size."""

FORGIVING = frozenset({EdgeType.ON_FAILURE, EdgeType.ALWAYS})
"""The edges over which a failure flows on."""

NOTHING_GIVEN = StepInput(raw=NOTHING)
"""The input of a node that has no use for one."""


class Definitions(Protocol):
    """Where definitions come from, by tenant and content hash."""

    def held(self, tenant: str, content_hash: str) -> Graph | None:
        """The graph of a definition that is in memory."""

    async def graph(self, tenant: str, content_hash: str) -> Graph:
        """The graph of a tenant's definition."""


class Plan(Struct, frozen=True, eq=False):
    """One node, ready to be run again and again.

    ruled: whether it is brought what the input rule needs. passed: the payload that is its output
    and that nothing looks into, None where there is no such. tells_input: whether a failure says
    what the step worked on, for those that handle it. own_input: whether every report says it, for
    nobody could tell it later from the input rule and what has become of the predecessors.
    """

    node: Node
    handler: Handler
    limit_ms: int
    sources: Sources
    config: Prepared
    input: Prepared | None
    ruled: bool
    passed: str | None
    tells_input: bool
    own_input: bool

    def limit_under(self, config: Mapping[str, Any]) -> int:
        """The attempt's time limit in ms, now that its config is known.

        What a config's own `timeoutMs` asks for is granted; only the node's `timeoutMs` goes before
        it, for that is the limit that somebody has set for the step.
        """
        asked = config.get("timeoutMs")
        if self.node.timeout_ms is None and type(asked) is int:
            return max(self.limit_ms, asked)
        return self.limit_ms

    def bounded(self, outcome: Outcome, started_at: int) -> Outcome:
        """`outcome` of an attempt that began at `started_at`, ms.

        A rest ends with the node's own time limit at the latest, and then the step is timed out.
        The limit of the type is none for rests: they hold no executor.
        """
        limit_ms = self.node.timeout_ms
        if type(outcome) is not Rest or limit_ms is None:
            return outcome
        latest = started_at + limit_ms
        if 0 < outcome.until <= latest:
            return outcome
        exceeds = outcome.kind is WaitKind.DELAY
        return replace(outcome, until=latest, exceeds=exceeds, on_timeout=None, output=None)

    def given(self, task: Task, payloads: Mapping[str, Payload]) -> StepInput:
        """What the step works on: its `input` template filled in, else the input rule."""
        ruled = NOTHING_GIVEN
        if self.ruled:
            ruled = input_by_rule(self.sources, task.taken, payloads)
        if self.input is None:
            return ruled
        return StepInput.of_value(self.input.value(scope_of(self.input, task, payloads, ruled)))

    def filled(
        self, task: Task, payloads: Mapping[str, Payload], given: StepInput
    ) -> Mapping[str, Any]:
        """The node's config with every template replaced."""
        if self.config.fill is None:
            constant: Mapping[str, Any] = self.config.constant
            return constant
        value: Mapping[str, Any] = self.config.value(scope_of(self.config, task, payloads, given))
        return value


def scope_of(
    template: Prepared, task: Task, payloads: Mapping[str, Payload], given: StepInput
) -> Scope:
    """What the names stand for that `template` reads; only these are decoded."""
    scope: dict[str, Any] = {}
    if "input" in template.roots:
        scope["input"] = given.value
    if "run" in template.roots:
        scope["run"] = run_scope(task, payloads)
    if VARS in template.roots:
        scope[VARS] = decode(raw_of(needed(payloads, VARS)))
    if "nodes" in template.roots:
        scope["nodes"] = {node: node_scope(node, payloads) for node in template.nodes}
    return scope


def run_scope(task: Task, payloads: Mapping[str, Payload]) -> dict[str, Any]:
    """What `run.` reads: the id, the moment of the start (RFC 3339, UTC), the input."""
    run: dict[str, Any] = {"id": task.run_id, "startedAt": moment_text(task.started_at)}
    if RUN_INPUT in payloads:
        run["input"] = decode(raw_of(payloads[RUN_INPUT]))
    return run


def node_scope(node: str, payloads: Mapping[str, Payload]) -> dict[str, Any]:
    """What `nodes.<id>.` reads: an output or an error, neither when the node said nothing."""
    if f"nodes.{node}.output" in payloads:
        return {"output": decode(raw_of(needed(payloads, f"nodes.{node}.output")))}
    if f"nodes.{node}.error" in payloads:
        return {"error": error_value(node, payloads)}
    return {}


def plan_of(graph: Graph, node_id: str, evaluate: Evaluate) -> Plan:
    """The plan of one node. Raises StepFault, final, when it cannot be run as it is written."""
    try:
        node = graph.node(node_id)
    except KeyError:
        raise StepFault("NODE_UNKNOWN", f"the definition has no node {node_id!r}") from None
    handler = handler_of(node)
    kind = NODE_TYPES.get(node.type)
    expressions = () if kind is None else kind.expression_fields
    kept = () if kind is None else kind.kept_fields
    config = prepared(node.config, evaluate, expressions=expressions, kept=kept)
    own_input = None if node.input is UNSET else prepared(node.input, evaluate)
    incoming, outgoing = graph.incoming[node_id], graph.outgoing[node_id]
    sources = Sources(
        declared=graph.predecessors(node_id),
        forgiving=frozenset(e.source for e in incoming if e.condition.type in FORGIVING),
    )
    ruled = graph.reads[node_id].input
    first_come = ruled and node.join is Join.ANY and len(sources.declared) > 1
    looks = handler.looks or own_input is not None or bool(config.roots)
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
    )


class Plans:
    """The plans of the nodes that were run lately."""

    def __init__(self, definitions: Definitions, evaluate: Evaluate) -> None:
        self._definitions = definitions
        self._evaluate = evaluate
        self._plans: dict[tuple[str, str], Plan] = {}

    def at_hand(self, tenant: str, task: Task) -> Plan | None:
        """The plan of the task's node, when its definition is in memory and it can be run."""
        plan = self._plans.get((task.definition, task.step_id))
        if plan is None:
            graph = self._definitions.held(tenant, task.definition)
            if graph is not None:
                with suppress(StepFault):
                    return self._made(graph, task)
        return plan

    async def plan(self, tenant: str, task: Task) -> Plan:
        """The plan of the task's node.

        Raises StepFault: final when the node cannot be run, retryable when the definition is not
        to be had now.
        """
        plan = self._plans.get((task.definition, task.step_id))
        if plan is None:
            graph = await tried(lambda: self._definitions.graph(tenant, task.definition))
            plan = self._made(graph, task)
        return plan

    def _made(self, graph: Graph, task: Task) -> Plan:
        plan = plan_of(graph, node_of(task.step_id), self._evaluate)
        self._plans[task.definition, task.step_id] = plan
        if len(self._plans) > PLANS_MAX:
            del self._plans[next(iter(self._plans))]
        return plan


def node_of(step_id: str) -> str:
    """The node that a step is of: the last part of its path."""
    return step_id.rpartition(".")[2]
