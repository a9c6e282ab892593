"""What is committed installs anywhere: no registry, no machine is named, every pin is hashed."""

import re
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, files, members, project, shown

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
# In parts, so that this file passes its own test.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("pypi", "python", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("anaconda", "org"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
    )
]
HOST = re.compile(
    r"\b(?:" + "|".join(re.escape(name) for name in REGISTRIES) + r")\b", re.IGNORECASE
)
MACHINE_PATH = re.compile(r"(?:^|[\s\"'=(`:])(/(?:root|home|Users|work|opt)/\w)", re.MULTILINE)
LOCKED = re.compile(r"^[\w.\-]+==[^\s;]+(?: ; [^\\]+)? \\$")


def text(path: Path) -> str:
    """A file's text; bytes that are none count as a space each."""
    return path.read_bytes().decode("utf-8", errors="replace")


def test_no_file_names_a_package_registry() -> None:
    assert [shown(path) for path in files() if HOST.search(text(path))] == []


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    named = [
        (shown(path), found.group(1))
        for path in files()
        if (found := MACHINE_PATH.search(text(path)))
    ]
    assert named == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_is_pins_and_hashes_alone(lock: Path) -> None:
    """So no URL, no option (an index, an editable, a link) and no path can be in it."""
    for line in lock.read_text().splitlines():
        if line.startswith("    "):
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", line), line
        else:
            assert LOCKED.match(line), line


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://registry.example/simple",
        "--find-links /somewhere",
        "-e ./libs/common",
        "thing @ https://registry.example/thing.whl \\",
        "thing>=1 \\",
    ],
)
def test_a_lock_with_anything_else_is_refused(line: str) -> None:
    assert not LOCKED.match(line)


def test_no_member_is_in_a_lock() -> None:
    assert [lock.name for lock in LOCKS if "penstock" in lock.read_text()] == []


def test_locks_agree_on_every_version() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in re.findall(r"^([\w.\-]+)==(\S+)", lock.read_text(), re.MULTILINE):
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_make_installs_every_member() -> None:
    makefile = (ROOT / "Makefile").read_text()
    listed = re.search(r"^MEMBERS := (.+)$", makefile, re.MULTILINE)
    assert listed is not None
    assert sorted(listed.group(1).split()) == [shown(member) for member in members()]


def exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def test_make_starts_modules_that_exist() -> None:
    started = re.findall(r"^\t\$\(RUN\) ([\w.]+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert started
    assert [name for name in started if not exists(name)] == []


@pytest.mark.parametrize("member", members(), ids=shown)
def test_a_member_offers_commands_that_exist(member: Path) -> None:
    settings = project(member)["project"]
    offered = {
        **settings.get("scripts", {}),
        **settings.get("entry-points", {}).get("penstock.commands", {}),
    }
    assert all(callable(EntryPoint(name, at, "").load()) for name, at in offered.items())


def test_python_is_never_downloaded() -> None:
    assert 'python-downloads = "never"' in (ROOT / "pyproject.toml").read_text()
