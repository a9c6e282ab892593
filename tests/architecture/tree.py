"""The files of this repository, as the architecture tests see them: tracked, or about to be."""

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NEVER_TRACKED = {".git", ".venv", ".tools", "node_modules", "__pycache__"}


@cache
def files() -> tuple[Path, ...]:
    """Every file git tracks or would add; without a usable git, every file there is."""
    listing = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode == 0:
        found = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        found = [path for path in ROOT.rglob("*") if not NEVER_TRACKED & {*path.parts}]
    return tuple(sorted(path for path in found if path.is_file()))


def modules(*folders: str) -> list[Path]:
    """The Python files below these folders of the repository."""
    return [
        path
        for path in files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders
    ]


def sources() -> list[Path]:
    """The Python files that are shipped."""
    return [path for path in modules("libs", "services") if "src" in path.relative_to(ROOT).parts]


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of one Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def members() -> list[Path]:
    """The folders of the workspace's members."""
    return sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))


def project(folder: Path) -> dict[str, Any]:
    """One folder's pyproject.toml."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """The dotted names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def shown(path: Path) -> str:
    """A path as a reader of a failure wants it."""
    return path.relative_to(ROOT).as_posix()
