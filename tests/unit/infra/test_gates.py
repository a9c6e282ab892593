"""What a definition says of concurrency and rates, as gates."""

from uuid import UUID

import pytest

from penstock.domain.gate.events import GateUse, Rule
from penstock.domain.run.events import Parent
from penstock.domain.workflow.model import Concurrency, Definition, Node, RateLimit, Strategy
from penstock.infra.gates import (
    KEY_MAX,
    RECURSIONS_PER_MINUTE_MAX,
    Asker,
    KeyFailed,
    breaker_of,
    gates_of,
    reads_key,
    scope_of,
)
from penstock.infra.keyring.sealing import Sealer
from penstock.infra.keyring.texts import Marks, opened

SEALER = Sealer(str(UUID(int=1)), UUID(int=2), b"k" * 32)
MARKS = Marks(SEALER)
ASKER = Asker("acme", "w-1", "orders")
PARENT = Parent(run_id="p", step_id="again", attempt=1, depth=2, root="r", workflows=("w-0", "w-1"))


def defined(
    concurrency: Concurrency | None = None, rate_limit: RateLimit | None = None
) -> Definition:
    """A definition with these limits."""
    nodes = (Node(id="a", type="noop"),)
    return Definition(name="orders", nodes=nodes, concurrency=concurrency, rate_limit=rate_limit)


def gates(key: str, given: object = None, variables: object = None) -> tuple[GateUse, ...]:
    """The gates of a run whose workflow has a key."""
    scope = scope_of("r-1", given, variables)
    return gates_of(defined(Concurrency(max=2, key=key)), ASKER, scope, MARKS)


def label_of(gate: GateUse) -> str:
    """What people are shown of it."""
    return opened(gate.label, {SEALER.name: SEALER})


def test_a_definition_without_limits_has_no_gate() -> None:
    assert gates_of(defined(), ASKER, None) == ()
    assert not reads_key(defined(Concurrency(max=1)))


def test_the_gate_of_the_key_comes_before_that_of_the_rate() -> None:
    concurrency = Concurrency(max=1, strategy=Strategy.SKIP)
    whole, rate = gates_of(defined(concurrency, RateLimit(per_minute=60)), ASKER, None)
    assert whole.rule == Rule(most=1, strategy=Strategy.SKIP)
    assert rate.rule == Rule(per_minute=60)
    assert whole.gate_id != rate.gate_id


def test_runs_with_the_same_key_meet_at_one_gate_and_others_do_not() -> None:
    (seven,) = gates("{{ input.customer }}", {"customer": 7})
    (same,) = gates("{{ input.customer }}", {"customer": 7, "more": True})
    (eight,) = gates("{{ input.customer }}", {"customer": 8})
    assert seven == same
    assert seven.gate_id != eight.gate_id
    assert label_of(seven) == "the key 7 of orders"


def test_a_key_is_not_told_to_the_log_and_is_another_gate_under_another_tenants_keys() -> None:
    (ours,) = gates("{{ input }}", "somebody@example.org")
    assert "somebody" not in ours.label
    other = Marks(Sealer(str(UUID(int=1)), UUID(int=2), b"l" * 32))
    definition = defined(Concurrency(max=2, key="{{ input }}"))
    scope = scope_of("r-1", "somebody@example.org", None)
    (theirs,) = gates_of(definition, ASKER, scope, other)
    assert theirs.gate_id != ours.gate_id


def test_an_empty_key_is_not_the_gate_of_all_runs() -> None:
    (keyed,) = gates("{{ input }}", "")
    (whole,) = gates_of(defined(Concurrency(max=2)), ASKER, None)
    assert keyed.gate_id != whole.gate_id


def test_a_key_reads_input_run_and_vars_and_may_be_an_expression() -> None:
    (found,) = gates("{{ vars.region }}-{{ run.id }}-{{ input.n + 1 }}", {"n": 1}, {"region": "eu"})
    assert "eu-r-1-2" in label_of(found)


@pytest.mark.parametrize(
    ("key", "given", "code"),
    [
        ("{{ input.customer }}", {}, "PATH_MISSING"),
        ("{{ input.n / 0 }}", {"n": "x"}, "EXPRESSION_FAILED"),
        ("{{ input.long }}", {"long": "x" * (KEY_MAX + 1)}, "LIMIT_EXCEEDED"),
    ],
)
def test_a_key_that_comes_to_nothing_says_why(key: str, given: object, code: str) -> None:
    with pytest.raises(KeyFailed) as failed:
        gates(key, given)
    assert failed.value.code == code


def test_only_a_child_whose_workflow_is_above_it_passes_the_breaker() -> None:
    assert breaker_of(ASKER._replace(workflow_id="w-2"), PARENT) == ()
    (breaker,) = breaker_of(ASKER, PARENT)
    assert breaker.rule == Rule(per_minute=RECURSIONS_PER_MINUTE_MAX, strategy=Strategy.SKIP)
