"""Plans of nodes in bodies, and of what is evaluated on behalf of steps, loops and runs."""

from typing import Any

import pytest

from penstock.domain.run.events import WaitKind
from penstock.domain.workflow.graph import Graph
from penstock.executor.outcome import Done, Rest, StepFault
from penstock.executor.planning import plan_at
from penstock.executor.plans import Plans
from penstock.messages.envelope import Gathered, Task
from tests.unit.executor.attempts import EVALUATE, NOW, done, drawing, edge, fault, tried

ERROR = {"code": "HTTP_STATUS", "message": "the answer was 500"}
SHOWN = {**ERROR, "retryable": False, "details": None}


def looping(
    *body: dict[str, Any], edges: list[dict[str, Any]] | None = None, goes_on: str = ""
) -> Graph:
    """A loop `l` behind a node `a`, over its input or as long as `goes_on` holds."""
    drawn = {"nodes": list(body), "edges": edges or []}
    more = {"while": goes_on} if goes_on else {"items": "{{ input }}"}
    return drawing(
        {"id": "a", "type": "noop"},
        {"id": "l", "type": "loop", "config": {"body": drawn, **more}},
        edges=[edge("a", "l")],
    )


class Defined:
    """Definitions of which there is one."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def held(self, tenant: str, content_hash: str) -> Graph | None:
        return self._graph

    async def graph(self, tenant: str, content_hash: str) -> Graph:
        return self._graph


def test_ten_thousand_iterations_share_one_plan() -> None:
    made: list[str] = []

    def counted(graph: Graph, path: str, evaluate: Any) -> Any:
        made.append(path)
        return plan_at(graph, path, evaluate)

    plans = Plans(Defined(looping({"id": "x", "type": "noop"})), EVALUATE, counted)
    for n in range(10_000):
        task = Task(run_id="r", step_id=f"l.{n}.x", attempt=1, definition="d", started_at=NOW)
        assert plans.at_hand("acme", task) is not None
    assert made == ["l.0.x"]


def test_a_step_that_the_definition_does_not_have_is_a_fault() -> None:
    graph = looping({"id": "x", "type": "noop"})
    for path in ("none", "l.0.none", "a.0.x", "x", "none@edges", "a@edges", "l.0.none@edges"):
        with pytest.raises(StepFault) as caught:
            plan_at(graph, path, EVALUATE)
        assert (caught.value.code, caught.value.retryable) == ("NODE_UNKNOWN", False)


# --- in bodies ------------------------------------------------------------------------------------


def test_the_root_of_a_body_gets_its_item() -> None:
    graph = looping({"id": "x", "type": "noop"})
    assert done(tried(graph, "l.1.x", items=[5, [6]])[0]) == [6]


def test_item_and_index_are_read_by_name() -> None:
    node = {"id": "x", "type": "transform", "config": {"output": "{{ item.n }} of {{ index }}"}}
    assert done(tried(looping(node), "l.1.x", items=[{"n": 1}, {"n": 7}])[0]) == "7 of 1"


def test_an_inner_loop_goes_over_a_part_of_the_outer_ones_item() -> None:
    inner = {
        "id": "m",
        "type": "loop",
        "config": {
            "items": "{{ item.parts }}",
            "body": {"nodes": [{"id": "x", "type": "noop"}], "edges": []},
        },
    }
    graph = looping(inner)
    found, _ = tried(graph, "l.1.m", items=[{}, {"parts": [1, 2]}])
    assert isinstance(found, Rest)
    assert (found.count, bytes(found.items or b"")) == (2, b"[1,2]")
    assert done(tried(graph, "l.1.m.0.x", items=[1, 2])[0]) == 1


def test_a_node_behind_another_in_a_body_gets_its_output() -> None:
    graph = looping(
        {"id": "x", "type": "noop"}, {"id": "y", "type": "noop"}, edges=[edge("x", "y")]
    )
    assert done(tried(graph, "l.4.y", taken=("x",), nodes__x__output=3)[0]) == 3


def test_the_first_round_of_a_while_gets_null_and_the_next_what_came_before() -> None:
    graph = looping({"id": "x", "type": "noop"}, goes_on="index < 3")
    assert done(tried(graph, "l.0.x")[0]) is None
    assert done(tried(graph, "l.1.x", item=[1])[0]) == [1]
    assert done(tried(graph, "l.1.x", item__p=1, item__q=2)[0]) == {"p": 1, "q": 2}


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ON_FAILURE", "ALWAYS", "EXPRESSION"])
def test_a_handler_is_told_who_failed_of_what_on_what(kind: str) -> None:
    more = {"expression": "true"} if kind == "EXPRESSION" else {}
    graph = drawing(
        {"id": "a", "type": "noop"},
        {"id": "h", "type": "error_handler"},
        edges=[edge("a", "h", kind, **more)],
    )
    failed: dict[str, Any] = {"nodes__a__error": ERROR, "nodes__a__input": {"n": 1}}
    told = {"error": SHOWN, "failedNode": "a", "input": {"n": 1}}
    assert done(tried(graph, "h", taken=("a",), **failed)[0]) == told
    standing_in = tried(graph, "h", taken=("a",), nodes__a__output="a fallback's", **failed)
    assert done(standing_in[0]) == told


def test_a_failure_that_is_gone_on_after_is_an_output_with_an_error() -> None:
    graph = drawing(
        {"id": "a", "type": "noop", "continueOnError": True},
        {"id": "b", "type": "transform", "config": {"output": "{{ nodes.a.output.error.code }}"}},
        {"id": "c", "type": "noop"},
        edges=[edge("a", "b"), edge("a", "c")],
    )
    failed: dict[str, Any] = {"taken": ("a",), "nodes__a__error": ERROR}
    assert done(tried(graph, "b", **failed)[0]) == "HTTP_STATUS"
    assert done(tried(graph, "c", **failed)[0]) == {"error": SHOWN}


def test_no_other_failure_has_an_output_unless_a_fallback_stands_in() -> None:
    output = "{{ nodes.a.output.x }}{{ nodes.a.error.code }}"
    graph = drawing(
        {"id": "a", "type": "noop"},
        {"id": "f", "type": "fallback", "config": {"output": {"x": "{{ nodes.a.error.code }}"}}},
        {"id": "b", "type": "transform", "config": {"output": output}},
        edges=[edge("a", "f", "ON_FAILURE"), edge("f", "b")],
    )
    assert done(tried(graph, "f", nodes__a__error=ERROR)[0]) == {"x": "HTTP_STATUS"}
    assert fault(tried(graph, "b", nodes__a__error=ERROR)[0]).code == "TEMPLATE_ERROR"
    said = tried(graph, "b", nodes__a__error=ERROR, nodes__a__output={"x": 1})[0]
    assert done(said) == "1HTTP_STATUS"


def test_the_innermost_node_of_a_name_is_the_one_that_is_gone_on_after() -> None:
    reads = {"id": "x", "type": "transform", "config": {"output": "{{ nodes.a.output }}"}}
    outer = {"id": "a", "type": "noop", "continueOnError": True}
    body = {"nodes": [reads], "edges": []}
    loop = {"id": "l", "type": "loop", "config": {"items": [], "body": body}}
    graph = drawing(outer, loop, edges=[edge("a", "l")])
    assert done(tried(graph, "l.0.x", nodes__a__error=ERROR)[0]) == {"error": SHOWN}
    shadowed = {"nodes": [{"id": "a", "type": "noop"}, reads], "edges": [edge("a", "x")]}
    graph = drawing(outer, {**loop, "config": {"items": [], "body": shadowed}})
    assert isinstance(tried(graph, "l.0.x", nodes__a__error=ERROR)[0], StepFault)


# --- evaluations ----------------------------------------------------------------------------------


def test_a_while_reads_its_round_and_what_the_last_one_came_to() -> None:
    graph = looping(
        {"id": "x", "type": "noop"}, goes_on="index < 2 && (item == null || item < input.most)"
    )
    rounds: dict[str, Any] = {"taken": ("a",), "nodes__a__output": {"most": 5}}
    assert tried(graph, "l.0@while", **rounds)[0] == Done(done_null(), branch="true")
    assert tried(graph, "l.1@while", item=4, **rounds)[0] == Done(done_null(), branch="true")
    assert tried(graph, "l.1@while", item=5, **rounds)[0] == Done(done_null(), branch="false")
    assert tried(graph, "l.2@while", item=1, **rounds)[0] == Done(done_null(), branch="false")


def done_null() -> Any:
    found, _ = tried(drawing({"id": "a", "type": "noop"}), "a", run__input=None)
    assert isinstance(found, Done)
    return found.output


def test_a_while_in_a_loop_tells_its_own_item_from_the_one_around() -> None:
    inner = {
        "id": "m",
        "type": "loop",
        "input": {"from": "{{ item }}", "at": "{{ index }}"},
        "config": {
            "while": "item == 'last' && input.from == 'b' && input.at == 1 && index == 7",
            "body": {"nodes": [{"id": "x", "type": "noop"}], "edges": []},
        },
    }
    found, _ = tried(looping(inner), "l.1.m.7@while", items=["a", "b"], item="last")
    assert isinstance(found, Done)
    assert found.branch == "true"


@pytest.mark.parametrize("text", ["1", "item.none"])
def test_a_while_that_is_no_boolean_is_final(text: str) -> None:
    graph = looping({"id": "x", "type": "noop"}, goes_on=text)
    found = fault(tried(graph, "l.0@while", taken=("a",), nodes__a__output=1, item={})[0])
    assert found.code in {"EXPRESSION_ERROR", "TEMPLATE_ERROR"}
    assert not found.retryable


def test_a_loop_puts_its_results_together_in_order() -> None:
    graph = looping({"id": "x", "type": "noop"})
    said = tried(
        graph,
        "l@collect",
        gathered=Gathered(count=12),
        results__11__x=[1],
        results__0__x="a",
        results__2__x=None,
    )[0]
    assert done(said) == ["a", *[None] * 10, [1]]


def test_several_sinks_make_an_object_of_a_result_and_none_makes_null() -> None:
    graph = looping({"id": "x", "type": "noop"}, {"id": "y", "type": "noop"})
    said = tried(
        graph,
        "l@collect",
        gathered=Gathered(count=3, keyed=True),
        results__0__x=1,
        results__0__y=2,
        results__2__y=3,
    )[0]
    assert done(said) == [{"x": 1, "y": 2}, None, {"y": 3}]


def test_a_runs_output_is_what_its_template_says() -> None:
    output = {"total": "{{ nodes.a.output.n + input.m }}", "run": "{{ run.id }}"}
    graph = drawing({"id": "a", "type": "noop"}, output=output)
    said = tried(graph, "@output", run__input={"m": 1}, nodes__a__output={"n": 2})[0]
    assert done(said) == {"total": 3, "run": "r-1"}


def test_a_runs_output_without_a_template_is_its_sinks() -> None:
    one = drawing({"id": "a", "type": "noop"})
    assert done(tried(one, "@output", nodes__a__output=5)[0]) == 5
    assert done(tried(one, "@output")[0]) is None
    two = drawing(*({"id": name, "type": "noop"} for name in "ab"))
    assert done(tried(two, "@output", nodes__b__output=5)[0]) == {"b": 5}
    failed = tried(two, "@output", nodes__a__error=ERROR, nodes__b__output=5)[0]
    assert done(failed) == {"b": 5}


def test_the_limit_of_a_node_is_none_of_its_evaluations() -> None:
    graph = drawing(
        {"id": "a", "type": "approval", "timeoutMs": 1000},
        {"id": "b", "type": "noop"},
        edges=[edge("a", "b", "EXPRESSION", expression="true")],
    )
    found, edges = tried(graph, "a", run__input=1)
    assert found == Rest(NOW + 1000, WaitKind.APPROVAL)
    assert edges is None
    assert plan_at(graph, "a@edges", EVALUATE).limit_ms > 1000
