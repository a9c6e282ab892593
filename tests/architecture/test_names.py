"""Names say what a thing is; these words say only that somebody needed a place."""

import ast
import re

import pytest

from tests.architecture.tree import modules, parsed, shown, sources

DRAWERS = {"helper", "impl", "manager", "misc", "util"}
DRAWER_MODULES = DRAWERS | {"base", "common"}


def words(name: str) -> set[str]:
    """The words of a snake_case or CamelCase name, in the singular."""
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().split("_")
    return {word.removesuffix("s") for word in split}


@pytest.mark.parametrize(
    "name", ["utils", "stream_manager", "EventManager", "StoreImpl", "helpers"]
)
def test_a_drawer_is_recognised(name: str) -> None:
    assert words(name) & DRAWERS


def test_no_module_or_package_is_a_drawer() -> None:
    drawers = [
        shown(path)
        for path in modules("libs", "services", "tests", "examples")
        for part in path.parts[path.parts.index("penstock") if path in sources() else -1 :]
        if words(part.removesuffix(".py")) & DRAWER_MODULES
    ]
    assert drawers == []


def test_no_class_or_function_is_a_drawer() -> None:
    drawers = [
        f"{shown(path)}:{node.lineno} {node.name}"
        for path in sources()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and words(node.name) & DRAWERS
    ]
    assert drawers == []
