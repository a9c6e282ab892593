"""The gates that a run passes before it starts, as the definition of its workflow asks for them.

Whoever begins a run asks here, once: the API, and for child runs the scheduler. What a key comes to
is part of the run's history from then on, and nobody evaluates it again. History says it closed;
which runs have the same one, a keyed digest says, from which the gate's id follows.
"""

import json
from functools import cache
from typing import Final, NamedTuple

from penstock.domain.expression import ExpressionError
from penstock.domain.gate.events import GateUse, Rule
from penstock.domain.ids import derived
from penstock.domain.run.events import Parent
from penstock.domain.template import Scope, TemplateError, render
from penstock.domain.tenant.events import Limits
from penstock.domain.workflow.model import Concurrency, Definition, Strategy
from penstock.infra.expressions import Expressions
from penstock.infra.keyring.texts import Marks

KEY_MAX: Final = 1024
"""Characters of what a key comes to."""

KEY_SHOWN_MAX: Final = 100
"""Characters of it that people are shown."""

RECURSIONS_PER_MINUTE_MAX: Final = 120
"""How often a minute all of what one run has begun may begin one workflow inside of itself."""

POINTER: Final = "/concurrency/key"


class KeyFailed(Exception):
    """The key of a workflow's concurrency comes to nothing; `code` says how."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Asker(NamedTuple):
    """Whose run it is: the tenant's, of a workflow with this id and (closed) name."""

    tenant: str
    workflow_id: str
    workflow_name: str


def reads_key(definition: Definition) -> bool:
    """Whether `gates_of` needs to know what the run works on."""
    return definition.concurrency is not None and definition.concurrency.key is not None


def scope_of(run_id: str, given: object, variables: object) -> Scope:
    """What a key may read: the run's input, its id, the tenant's variables."""
    return {"input": given, "run": {"id": run_id, "input": given}, "vars": variables or {}}


def gates_of(
    definition: Definition, asker: Asker, scope: Scope | None, marks: Marks | None = None
) -> tuple[GateUse, ...]:
    """The gates in the order in which the run passes them: its key's, then its workflow's rate.

    scope: as `scope_of` makes it; marks: what closes the key, which the tenant has said. None will
    do for both where `reads_key` says so. Raises `KeyFailed`.
    """
    found: list[GateUse] = []
    if definition.concurrency is not None:
        found.append(concurrency_gate(definition.concurrency, asker, scope, marks))
    limit = definition.rate_limit
    if limit is not None:
        found.append(
            GateUse(
                gate_id=derived(asker.tenant, "gate", asker.workflow_id, "rate"),
                rule=Rule(most=limit.max_concurrent, per_minute=limit.per_minute),
                label=f"the rate limit of {asker.workflow_name}",
            )
        )
    return tuple(found)


def breaker_of(asker: Asker, parent: Parent) -> tuple[GateUse, ...]:
    """The gate of a child run whose workflow is one of those above it; none for any other."""
    if asker.workflow_id not in parent.workflows:
        return ()
    return (
        GateUse(
            gate_id=derived(asker.tenant, "gate", asker.workflow_id, "recursion", parent.root),
            rule=Rule(per_minute=RECURSIONS_PER_MINUTE_MAX, strategy=Strategy.SKIP),
            label=f"how often {asker.workflow_name} begins itself",
        ),
    )


def tenant_gate(asker: Asker, limits: Limits) -> tuple[GateUse, ...]:
    """The gate of all that a tenant runs at once; none for a tenant without that limit.

    It comes after those of the workflow: whoever waits there takes up nobody's place here. Child
    runs do not pass it, for they belong to a run that has: it would wait for itself.
    """
    if limits.max_concurrent_runs is None:
        return ()
    return (
        GateUse(
            gate_id=derived(asker.tenant, "gate", "tenant", "runs"),
            rule=Rule(most=limits.max_concurrent_runs),
            label="the tenant's limit of concurrent runs",
        ),
    )


def concurrency_gate(
    concurrency: Concurrency, asker: Asker, scope: Scope | None, marks: Marks | None
) -> GateUse:
    """The gate of all runs of a workflow, or of those with the same key."""
    rule = Rule(most=concurrency.max, strategy=concurrency.strategy)
    tenant, workflow_id, name = asker
    if concurrency.key is None:
        gate_id = derived(tenant, "gate", workflow_id, "all")
        return GateUse(gate_id=gate_id, rule=rule, label=f"the concurrency of {name}")
    assert scope is not None, "a key is evaluated in the scope of its run"
    assert marks is not None, "a key is not told to the log"
    key = key_text(concurrency.key, scope)
    shown = key if len(key) <= KEY_SHOWN_MAX else f"{key[:KEY_SHOWN_MAX]}…"
    gate_id = derived(tenant, "gate", workflow_id, "key", marks.digest(key))
    return GateUse(gate_id=gate_id, rule=rule, label=f"the key {marks.closed(shown)} of {name}")


def key_text(template: str, scope: Scope) -> str:
    """What a key comes to, as text. Raises `KeyFailed`."""
    try:
        value = render(template, scope, expressions().evaluate)
    except (TemplateError, ExpressionError) as error:
        raise KeyFailed(error.code, f"the key of the concurrency: {error}") from error
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if len(text) > KEY_MAX:
        said = f"the key of the concurrency has {len(text)} characters, {KEY_MAX} is the most"
        raise KeyFailed("LIMIT_EXCEEDED", said)
    return text


@cache
def expressions() -> Expressions:
    """Made when the first key is evaluated: most processes never need one."""
    return Expressions()
