"""A module fits a short sitting and a function one screen; there is no list of exemptions."""

import ast

from tests.architecture.tree import modules, parsed, shown, sources

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
PARAMETERS_MAX = 6

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def lines(function: Function) -> int:
    """From the first decorator to the last line, docstring included."""
    first = min([function.lineno, *(each.lineno for each in function.decorator_list)])
    return (function.end_lineno or function.lineno) - first + 1


def parameters(function: Function) -> int:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return len([each for each in named if each.arg not in {"self", "cls"}])


def test_a_module_has_at_most_400_lines() -> None:
    counted = {shown(path): len(path.read_text().splitlines()) for path in sources()}
    assert {path: count for path, count in counted.items() if count > MODULE_LINES_MAX} == {}


def test_a_function_has_at_most_60_lines() -> None:
    too_long = {
        f"{shown(path)}:{function.lineno} {function.name}": lines(function)
        for path in modules("libs", "services", "tests", "docs", "examples")
        for function in functions(parsed(path))
        if lines(function) > FUNCTION_LINES_MAX
    }
    assert too_long == {}


def test_a_function_has_at_most_6_parameters() -> None:
    too_many = {
        f"{shown(path)}:{function.lineno} {function.name}": parameters(function)
        for path in sources()
        for function in functions(parsed(path))
        if parameters(function) > PARAMETERS_MAX
    }
    assert too_many == {}


def test_a_long_function_is_seen() -> None:
    body = "\n".join("    pass" for _ in range(FUNCTION_LINES_MAX))
    (function,) = functions(ast.parse(f"@decorated\nasync def long():\n{body}\n"))
    assert lines(function) == FUNCTION_LINES_MAX + 2
