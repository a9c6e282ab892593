"""The documentation names only what exists: pages, modules, metrics, settings, commands."""

import importlib
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

from penstock.client.cli import add_found_commands, app
from penstock.infra.postgres.tables import metadata
from penstock.infra.settings import FILE_SUFFIX, settings_rows
from penstock.infra.telemetry.metrics import REGISTRY
from tests.architecture.tree import ROOT, files, shown

LINK = re.compile(r"\]\(([^)\s]+)\)")
MODULE = re.compile(r"\bpenstock(?:\.[a-z_0-9]+)+\b")
METRIC = re.compile(r"\bpenstock_[a-z]+_[a-z_]+\b")
SETTING = re.compile(r"\bPENSTOCK_[A-Z_0-9]+\b")
COMMAND = re.compile(r"(?:^|\s|/|`)penstock ((?:[a-z]+ ?)+)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
FENCE = re.compile(r"```.*?```", re.DOTALL)

SUBJECTS = ("cmd", "ctl", "dead", "evt", "lease", "live", "log", "reg", "rep", "timer", "work")
"""What comes after `penstock.` in a subject; no package has such a name."""
FILES = ("penstock.json",)
PACKAGES = ("domain", "messages", "infra", "client", "dev")
SERVICES = ("api", "scheduler", "executor", "projector")
ROLES = (
    "penstock_owner",
    "penstock_projector",
    "penstock_api",
    "penstock_scheduler",
    "penstock_executor",
)
ELSEWHERE = {
    "PENSTOCK_URL": "read by the client",
    "PENSTOCK_API_KEY": "read by the client",
    "PENSTOCK_WFINSTANCES": "read by tests",
}
"""Variables that no settings class of a process reads."""


def pages() -> list[Path]:
    """Every Markdown page of the repository."""
    return [path for path in files() if path.suffix == ".md"]


PAGES = [pytest.param(path, id=shown(path)) for path in pages()]


def anchors(path: Path) -> set[str]:
    """The fragments that a page's headings have, as GitHub makes them."""
    found: dict[str, int] = {}
    made = set()
    for line in FENCE.sub("", path.read_text()).splitlines():
        if line.startswith("#"):
            text = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
            made.add(f"{text}-{found[text]}" if text in found else text)
            found[text] = found.get(text, 0) + 1
    return made


def is_there(page: Path, link: str) -> bool:
    """Whether a relative link leads somewhere, to its heading where it names one."""
    target, _, fragment = link.partition("#")
    path = (page.parent / target).resolve() if target else page
    if not path.exists():
        return False
    return not fragment or (path.suffix == ".md" and fragment in anchors(path))


def is_module(name: str) -> bool:
    """Whether a dotted name is a module, something that a module has, or a table."""
    if name in metadata.tables:
        return True
    try:
        if find_spec(name) is not None:
            return True
    except ModuleNotFoundError:
        pass
    parent, _, member = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(parent), member)
    except ModuleNotFoundError:
        return False


def metric_names() -> set[str]:
    """Every name under which a metric is shown, without the suffixes of histograms."""
    families = list(REGISTRY.collect())
    return {f.name for f in families} | {f"{f.name}_total" for f in families if f.type == "counter"}


def commands() -> typer.core.TyperGroup:
    """The `penstock` command with everything that is installed."""
    add_found_commands(app, None)
    found = typer.main.get_command(app)
    assert isinstance(found, typer.core.TyperGroup)
    return found


def is_command(words: list[str]) -> bool:
    """Whether these are a command's name; what follows a command that has no others is free."""
    found = commands().commands.get(words[0])
    if isinstance(found, typer.core.TyperGroup) and words[1:]:
        return words[1] in found.commands
    return found is not None


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(CODE.sub("", page.read_text())) if ":" not in link]
    assert [link for link in links if not is_there(page, link)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_is_named_is_there(page: Path) -> None:
    text = page.read_text()
    named = set(MODULE.findall(FENCE.sub("", text))) - set(FILES)
    modules = {name for name in named if name.split(".")[1] not in SUBJECTS}
    # In examples other things may be called `penstock`: variables, files, tables to come.
    shown_in_code = {m for block in FENCE.findall(text) for m in MODULE.findall(block)}
    modules |= {m for m in shown_in_code if m.split(".")[1] in (*PACKAGES, *SERVICES)}
    assert [name for name in sorted(modules) if not is_module(name)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_metric_that_is_named_is_there(page: Path) -> None:
    named = set(METRIC.findall(page.read_text())) - set(ROLES)
    assert sorted(named - metric_names()) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_that_is_named_is_read_by_a_process(page: Path) -> None:
    known = {row.variable for row in settings_rows()} | ELSEWHERE.keys()
    named = {name.removesuffix(FILE_SUFFIX) for name in SETTING.findall(page.read_text())}
    assert sorted(named - known) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_is_named_is_there(page: Path) -> None:
    code = "\n".join(CODE.findall(page.read_text()))
    named = {words.strip() for words in COMMAND.findall(code)}
    assert [words for words in sorted(named) if not is_command(words.split())] == []


def test_every_decision_has_a_number_of_its_own_and_its_title_says_it() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [path.name.partition("-")[0] for path in decisions]
    assert numbers == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    titles = [path.read_text().partition("\n")[0] for path in decisions]
    assert [title.split(" ")[:2] for title in titles] == [["#", number] for number in numbers]


def test_every_page_can_be_reached_from_the_first() -> None:
    first = ROOT / "docs" / "README.md"
    reached, waiting = {first}, [first]
    while waiting:
        page = waiting.pop()
        for link in LINK.findall(CODE.sub("", page.read_text())):
            target = (page.parent / link.partition("#")[0]).resolve()
            found = sorted(target.glob("*.md")) if target.is_dir() else [target]
            new = [path for path in found if path.suffix == ".md" and path not in reached]
            reached.update(new)
            waiting.extend(path for path in new if path.exists())
    docs = {path for path in pages() if path.is_relative_to(ROOT / "docs")}
    assert sorted(shown(path) for path in docs - reached) == []


# --- the tests see what they should ---------------------------------------------------------------


def test_planted_mistakes_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One thing\n\n## It's `two`\n\n## One thing\n")
    assert is_there(page, "#its-two")
    assert is_there(page, "page.md#one-thing-1")
    assert not is_there(page, "#three")
    assert not is_there(page, "other.md")
    assert is_module("penstock.domain.run.decide")
    assert is_module("penstock.infra.nats.bootstrap.bootstrap")
    assert not is_module("penstock.domain.run.undecided")
    assert not is_module("penstock.undomain.run")
    assert "penstock_scheduler_unowned_runs" in metric_names()
    assert "penstock_executor_lost_total" in metric_names()
    assert "penstock_scheduler_owned_runs" not in metric_names()
    assert is_command(["up"])
    assert is_command(["audit", "verify"])
    assert not is_command(["audit", "vary"])
    assert not is_command(["down"])
