"""The pure packages ask no clock, no dice and no environment; the linter sees it when they do."""

import subprocess
import sys

import pytest

from tests.architecture.tree import ROOT

DOMAIN = "libs/common/src/penstock/domain"
IMPURE = {
    "from datetime import datetime\n\nvalue = datetime.now()",
    "import datetime\n\nvalue = datetime.datetime.now(datetime.UTC)",
    "import datetime\n\nvalue = datetime.date.today()",
    "from uuid import uuid4\n\nvalue = uuid4()",
    "import uuid\n\nvalue = uuid.uuid4()",
    "import random\n\nvalue = random.random()",
    "from secrets import token_hex\n\nvalue = token_hex()",
    "import time\n\nvalue = time.monotonic()",
    "import os\n\nvalue = os.environ",
    "from uuid_utils import uuid7\n\nvalue = uuid7()",
}


def lint(code: str, path: str) -> subprocess.CompletedProcess[str]:
    """What ruff's banned names say about `code`, were it in the file `path`."""
    return subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select=TID251", "--stdin-filename", path, "-"],
        cwd=ROOT,
        input=code,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("code", sorted(IMPURE))
@pytest.mark.parametrize("package", [DOMAIN, "libs/common/src/penstock/messages"])
def test_the_outside_world_is_refused_in_a_pure_package(package: str, code: str) -> None:
    refused = lint(code, f"{package}/planted.py")
    assert (refused.returncode, "TID251" in refused.stdout or "banned-api" in refused.stdout) == (
        1,
        True,
    )


def test_the_shell_may_ask_it() -> None:
    allowed = lint(
        "from uuid import uuid4\n\nvalue = uuid4()", "services/api/src/penstock/api/planted.py"
    )
    assert allowed.returncode == 0, allowed.stdout


def test_the_domain_asks_nothing() -> None:
    clean = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select=TID251,T20", "--no-cache", DOMAIN],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert clean.returncode == 0, clean.stdout
