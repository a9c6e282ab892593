"""The page about the language: what it shows is a definition, what it lists is what there is."""

import re
from pathlib import Path

import pytest
import yaml

from penstock.domain.workflow.model import EdgeType
from penstock.domain.workflow.node_types import LATER, NODE_TYPES
from penstock.domain.workflow.parse import DEFINITION
from penstock.domain.workflow.parse_edges import CONDITION, EDGE
from penstock.domain.workflow.parse_node import NODE
from penstock.domain.workflow.problems import Code
from penstock.infra.validation import Validation

PAGE = (Path(__file__).parents[4] / "docs" / "language.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_has_no_problem(example: str) -> None:
    assert Validation().check(yaml.safe_load(example)).problems == []


@pytest.mark.parametrize(
    "word",
    [
        *(
            name
            for keys in (DEFINITION, NODE, EDGE, CONDITION)
            for name in sorted(set(keys.names.values()))
        ),
        *NODE_TYPES["loop"].config_schema["properties"],
        *(edge_type.value for edge_type in EdgeType),
        *(code.value for code in Code),
        *(kind.name for kind in LATER),
    ],
)
def test_the_page_names(word: str) -> None:
    assert f"`{word}`" in PAGE or f"{word}:" in PAGE
