"""Each member declares what it imports, and the pure packages import next to nothing."""

import re
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, imports, members, project, shown, sources

PURE = {
    "penstock/domain": {"immutables", "msgspec"},
    "penstock/messages": {"immutables", "msgspec", "pydantic"},
}
# Two halves of one thing: who declares the first may import the second.
IMPLIED = {
    "fastapi": {"starlette"},
    "opentelemetry-sdk": {"opentelemetry-api", "opentelemetry-semantic-conventions"},
    "pydantic": {"pydantic-core"},
}


def canonical(requirement: str) -> str:
    """The distribution a requirement asks for, normalised."""
    name = re.match(r"[\w.\-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def declared(member: Path) -> set[str]:
    """A member's own requirements; with `penstock-common[infra]`, what that extra adds."""
    settings = project(member)["project"]
    extras: dict[str, list[str]] = settings.get("optional-dependencies", {})
    listed: list[str] = [
        *settings["dependencies"],
        *(each for some in extras.values() for each in some),
    ]
    names = {canonical(each) for each in listed}
    if any(each.startswith("penstock-common[infra]") for each in listed):
        names |= declared(ROOT / "libs/common")
    elif "penstock-common" in names:
        names |= {
            canonical(each) for each in project(ROOT / "libs/common")["project"]["dependencies"]
        }
    if member == ROOT / "libs/dev":
        names |= {canonical(each) for each in project(ROOT)["dependency-groups"]["embedded"]}
    return names | {implied for name in names for implied in IMPLIED.get(name, set())}


def third_party(paths: Iterable[Path]) -> dict[str, str]:
    """Top-level packages that are neither Python's nor ours, and where each is imported."""
    return {
        top: shown(path)
        for path in paths
        for name in imports(path)
        if (top := name.split(".")[0]) not in sys.stdlib_module_names and top != "penstock"
    }


@pytest.mark.parametrize("member", members(), ids=shown)
def test_a_member_declares_what_it_imports(member: Path) -> None:
    installed = packages_distributions()
    allowed = declared(member)
    undeclared = {
        where: top
        for top, where in third_party(
            path for path in sources() if path.is_relative_to(member)
        ).items()
        if not {canonical(each) for each in installed.get(top, [top])} & allowed
    }
    assert undeclared == {}


@pytest.mark.parametrize("member", members(), ids=shown)
def test_a_member_declares_the_members_it_imports(member: Path) -> None:
    owner = {
        f"penstock.{package.name}": project(other)["project"]["name"]
        for other in members()
        for package in (other / "src/penstock").iterdir()
    }
    own = project(member)["project"]["name"]
    undeclared = {
        (shown(path), name)
        for path in sources()
        if path.is_relative_to(member)
        for name in imports(path)
        if name.startswith("penstock.")
        and owner.get(".".join(name.split(".")[:2])) not in {own, *declared(member)}
    }
    assert undeclared == set()


@pytest.mark.parametrize("package", PURE)
def test_a_pure_package_imports_next_to_nothing(package: str) -> None:
    found = third_party(path for path in sources() if f"/{package}/" in path.as_posix())
    assert {top: where for top, where in found.items() if top not in PURE[package]} == {}
