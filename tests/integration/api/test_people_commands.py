"""`penstock login`, `logout` and `seed` as processes, against a running API."""

import asyncio
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.client import signed_in
from tests.architecture.tree import ROOT
from tests.integration.api.houses import ADMIN_KEY, House
from tests.integration.api.people import PASSWORD, log_in, registered

DEMO_ROLES = ["viewer", "member", "editor", "admin"]


class Shell:
    """The command, with a folder of settings of its own."""

    def __init__(self, home: Path, **more: str) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
        self.home = home
        self.environ = clean | {"XDG_CONFIG_HOME": str(home)} | more

    async def run(self, *words: str, typed: str = "") -> tuple[int, str, str]:
        """Exit code and what was written."""
        program = "from penstock.client.cli import main; main()"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, *words),
            cwd=self.home,
            env=self.environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(typed.encode())
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


async def test_whoever_logs_in_is_who_other_commands_act_as(house: House, shell: Shell) -> None:
    found = await registered(house)
    said = ("--url", house.url, "--email", found["email"], "--password-stdin")
    code, _, err = await shell.run("login", *said, typed="a wrong password\n")
    assert (code, "UNAUTHORIZED" in err) == (1, True)
    code, out, err = await shell.run("login", *said, typed=PASSWORD + "\n")
    assert code == 0, err
    assert PASSWORD not in out
    path = shell.home / "penstock" / "session.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    code, _, err = await shell.run("variables", "set", "mine", "1")
    assert code == 0, err
    async with house.caller(found["token"]) as admin:
        made = (await admin.get("/api/variables/mine")).json()
        assert made["createdBy"] == f"user:{found['user']['id']}"
    assert (await shell.run("logout"))[0] == 0
    assert not path.exists()
    assert (await shell.run("variables", "list"))[0] != 0


async def test_a_token_that_runs_out_is_renewed_once_by_commands_at_once(
    house: House, shell: Shell
) -> None:
    found = await registered(house)
    tokens = (await log_in(house, found["email"])).json()
    path = shell.home / "penstock" / "session.json"
    session = signed_in.SignedIn(
        url=house.url, token="stale", refresh_token=tokens["refreshToken"], expires_at=0
    )
    signed_in.keep(path, session)
    answers = await asyncio.gather(*(shell.run("variables", "list") for _ in range(3)))
    assert [code for code, _, _ in answers] == [0, 0, 0], answers
    renewed = msgspec.json.decode(path.read_bytes(), type=signed_in.SignedIn)
    assert renewed.refresh_token != session.refresh_token
    signed_in.keep(path, session)
    code, _, err = await shell.run("variables", "list")
    assert code != 0
    assert "penstock login" in err


async def test_seed_makes_a_demo_once(house: House, tmp_path: Path) -> None:
    shell = Shell(tmp_path, PENSTOCK_URL=house.url, PENSTOCK_API_KEY=ADMIN_KEY)
    words = ("seed", "--json", "--examples", str(ROOT / "examples"))
    code, out, err = await shell.run(*words)
    assert code == 0, err
    first: dict[str, Any] = json.loads(out)
    assert [each["role"] for each in first["users"]] == DEMO_ROLES
    assert len(first["workflows"]) >= 5
    assert {each["change"] for each in first["workflows"]} == {"created"}
    for user in first["users"]:
        assert (await log_in(house, user["email"], user["password"])).status_code == 200
    again = json.loads((await shell.run(*words))[1])
    assert (again["tenantId"], again["apiKey"]) == (first["tenantId"], first["apiKey"])
    assert {each["password"] for each in again["users"]} == {None}
    assert {each["change"] for each in again["workflows"]} == {"unchanged"}
    code, out, _ = await shell.run("seed", "--examples", str(tmp_path))
    assert (code, "was there before" in out, "--examples" in out) == (0, True, True)
