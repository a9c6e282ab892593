"""Every package says what it is, and says nothing else on import."""

import ast

from tests.architecture.tree import members, modules, parsed, shown, sources


def test_every_module_begins_with_what_it_is() -> None:
    silent = [
        shown(path)
        for path in modules("libs", "services", "tests", "docs", "examples")
        if not ast.get_docstring(parsed(path))
    ]
    assert silent == []


def test_every_sub_package_is_documented() -> None:
    folders = {path.parent for path in sources() if path.parent.name != "penstock"}
    assert [
        shown(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()
    ] == []


def test_an_init_is_a_docstring_and_nothing_else() -> None:
    busy = [
        shown(path)
        for path in sources()
        if path.name == "__init__.py" and len(parsed(path).body) != 1
    ]
    assert busy == []


def test_penstock_itself_is_a_namespace() -> None:
    """A file there would hide the other members' packages."""
    assert [shown(path) for path in sources() if path.parent.name == "penstock"] == []
    assert [shown(member) for member in members() if not (member / "src/penstock").is_dir()] == []
