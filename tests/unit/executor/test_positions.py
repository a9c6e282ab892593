"""Where a step stands, by its path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.run.paths import Evaluation
from penstock.executor.positions import Position, key_at, position_of


@pytest.mark.parametrize(
    ("path", "position"),
    [
        ("price", Position(("price",))),
        ("loop.3.inner", Position(("loop", "inner"), 3)),
        ("a.0.b.12.c", Position(("a", "b", "c"), 12)),
        ("price@edges", Position(("price",), None, Evaluation.EDGES)),
        ("loop.3.inner@edges", Position(("loop", "inner"), 3, Evaluation.EDGES)),
        ("loop.4@while", Position(("loop",), None, Evaluation.WHILE, 4)),
        ("a.2.loop.4@while", Position(("a", "loop"), 2, Evaluation.WHILE, 4)),
        ("a.2.loop@collect", Position(("a", "loop"), 2, Evaluation.COLLECT)),
        ("@output", Position(("",), None, Evaluation.OUTPUT)),
    ],
)
def test_a_path_says_where_its_step_stands(path: str, position: Position) -> None:
    assert position_of(path) == position
    assert key_at(path) == position.key


def test_all_iterations_of_a_node_share_one_key() -> None:
    assert {key_at(f"loop.{n}.inner") for n in range(1000)} == {"loop.inner"}
    assert {key_at(f"a.{n}.loop.{n}@while") for n in range(1000)} == {"a.loop@while"}


NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)


@given(st.lists(NAMES, min_size=1, max_size=5), st.integers(0, 9999))
def test_a_key_is_made_of_the_nodes_alone(nodes: list[str], index: int) -> None:
    assert key_at(f".{index}.".join(nodes)) == ".".join(nodes)
