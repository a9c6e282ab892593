"""How a node is run, worked out once per definition and node, then kept.

A plan holds everything that does not change from attempt to attempt: the handler, the time limit,
where the input comes from, and the templates, split and read for names. What has to be evaluated
on behalf of a step, a loop or a run has a plan as well.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.payload import Payload
from penstock.domain.run.events import WaitKind
from penstock.domain.template import Evaluate
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Node
from penstock.executor.credentials import Wants
from penstock.executor.edges import EdgeTests
from penstock.executor.inputs import NOTHING, Sources, StepInput, input_by_rule
from penstock.executor.nodes.registry import Handler
from penstock.executor.outcome import Outcome, Rest, StepFault
from penstock.executor.patience import tried
from penstock.executor.positions import key_at
from penstock.executor.scopes import scope_of
from penstock.executor.templates import SECRETS, Prepared
from penstock.messages.envelope import Task

PLANS_MAX = 20_000
"""Two definitions of the largest size."""

NOTHING_GIVEN = StepInput(raw=NOTHING)
"""The input of a node that has no use for one."""

Gather = Callable[[Task, Mapping[str, Payload]], StepInput]
MakePlan = Callable[[Graph, str, Evaluate], "Plan"]


class Definitions(Protocol):
    """Where definitions come from, by tenant and content hash."""

    def held(self, tenant: str, content_hash: str) -> Graph | None:
        """The graph of a definition that is in memory."""

    async def graph(self, tenant: str, content_hash: str) -> Graph:
        """The graph of a tenant's definition."""


class Plan(Struct, frozen=True, eq=False, kw_only=True):
    """One node, or one evaluation, ready to be run again and again.

    ruled: whether it is brought what the input rule needs. gather: what makes its input instead.
    passed: the payload that is its output and that nothing looks into, None where there is no
    such. tells_input: whether a failure says what the step worked on, for those that handle it.
    own_input: whether every report says it, for nobody could tell it later from the input rule and
    what has become of the predecessors. edges: the expressions of the edges that leave it.
    continued: what it reads of nodes that go on after a failure. upcoming: whether its config is
    about the next iteration of the loop that it is the `while` of. wants: the secrets and the
    connection that it names, None for none.
    """

    node: Node
    handler: Handler
    limit_ms: int
    sources: Sources
    config: Prepared
    input: Prepared | None = None
    ruled: bool
    gather: Gather | None = None
    passed: str | None = None
    tells_input: bool = False
    own_input: bool = False
    edges: EdgeTests | None = None
    continued: frozenset[str] = frozenset()
    upcoming: bool = False
    wants: Wants | None = None

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
        elif self.gather is not None:
            ruled = self.gather(task, payloads)
        if self.input is None:
            return ruled
        scope = scope_of(self.input, task, payloads, ruled, continued=self.continued)
        return StepInput.of_value(self.input.value(scope))

    def filled(
        self,
        task: Task,
        payloads: Mapping[str, Payload],
        given: StepInput,
        secrets: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """The node's config with every template replaced. secrets: those that it names."""
        if self.config.fill is None:
            constant: Mapping[str, Any] = self.config.constant
            return constant
        scope = scope_of(
            self.config, task, payloads, given, continued=self.continued, upcoming=self.upcoming
        )
        if secrets is not None:
            scope = {**scope, SECRETS: secrets}
        value: Mapping[str, Any] = self.config.value(scope)
        return value


class Plans:
    """The plans of the nodes that were run lately. make: of the node at a position."""

    def __init__(self, definitions: Definitions, evaluate: Evaluate, make: MakePlan) -> None:
        self._definitions = definitions
        self._evaluate = evaluate
        self._make = make
        self._plans: dict[tuple[str, str], Plan] = {}

    def at_hand(self, tenant: str, task: Task) -> Plan | None:
        """The plan of the task's node, when its definition is in memory and it can be run."""
        plan = self._plans.get((task.definition, task.step_id)) or self._known(task)
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
        plan = self._known(task)
        if plan is None:
            graph = await tried(lambda: self._definitions.graph(tenant, task.definition))
            plan = self._made(graph, task)
        return plan

    def _known(self, task: Task) -> Plan | None:
        return self._plans.get((task.definition, key_at(task.step_id)))

    def _made(self, graph: Graph, task: Task) -> Plan:
        plan = self._make(graph, task.step_id, self._evaluate)
        self._plans[task.definition, key_at(task.step_id)] = plan
        if len(self._plans) > PLANS_MAX:
            del self._plans[next(iter(self._plans))]
        return plan
