"""The import contracts hold, and each turns red when it is broken."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, members, shown, sources

LAYERS = "Services, infra, messages and domain stand on each other in that order"
SERVICES = "Services never import each other, nor the stack that starts them"
DOMAIN = "The domain knows no I/O, clock, randomness or framework"
MESSAGES = "Messages know no I/O"
CLIENT = "The client knows of us no more than penstock.domain.workflow"
BELOW = "Nothing below the command imports the client or the stack"

COMMON = "libs/common/src/penstock"
BROKEN = [
    (f"{COMMON}/domain/planted.py", "import penstock.messages", LAYERS),
    (f"{COMMON}/messages/planted.py", "import penstock.infra", LAYERS),
    (f"{COMMON}/infra/planted.py", "import penstock.scheduler", LAYERS),
    ("services/api/src/penstock/api/planted.py", "import penstock.projector", SERVICES),
    ("libs/dev/src/penstock/dev/planted.py", "import penstock.executor", SERVICES),
    (f"{COMMON}/domain/run/planted.py", "from time import monotonic", DOMAIN),
    (f"{COMMON}/domain/workflow/planted.py", "import pydantic", DOMAIN),
    (f"{COMMON}/messages/planted.py", "from nats.aio.client import Client", MESSAGES),
    ("libs/client/src/penstock/client/planted.py", "import penstock.infra.nats", CLIENT),
    ("libs/client/src/penstock/client/planted.py", "import penstock.domain.run", CLIENT),
    (f"{COMMON}/infra/nats/planted.py", "import penstock.client", BELOW),
    ("services/executor/src/penstock/executor/nodes/planted.py", "import penstock.dev", BELOW),
]
ALLOWED = [
    ("libs/client/src/penstock/client/planted.py", "import penstock.domain.workflow"),
    ("libs/dev/src/penstock/dev/planted.py", "import penstock.client"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The sources and the contracts alone, in a folder of their own."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for path in sources():
        target = tmp_path / shown(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path


def verdict(folder: Path) -> tuple[int, str]:
    """The exit code and the report, on one line, of the contracts of one folder."""
    command = (
        "import sys; from importlinter.cli import lint_imports_command as run; sys.exit(run())"
    )
    paths = [str(folder / shown(member) / "src") for member in members()]
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_the_contracts_hold(copy: Path) -> None:
    code, report = verdict(copy)
    assert (code, "0 broken" in report) == (0, True), report


@pytest.mark.parametrize(("module", "line", "contract"), BROKEN)
def test_a_planted_violation_turns_its_contract_red(
    copy: Path, module: str, line: str, contract: str
) -> None:
    (copy / module).write_text(f'"""Planted."""\n\n{line}\n')
    code, report = verdict(copy)
    assert (code, f"{contract} BROKEN" in report) == (1, True), report


@pytest.mark.parametrize(("module", "line"), ALLOWED)
def test_what_is_allowed_stays_green(copy: Path, module: str, line: str) -> None:
    (copy / module).write_text(f'"""Planted."""\n\n{line}\n')
    code, report = verdict(copy)
    assert code == 0, report
