"""`penstock login` at a stack of `penstock up`: every process a real one."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from penstock.client import signed_in
from penstock.dev.stack import Stack
from tests.e2e.command import Done, penstock
from tests.e2e.conftest import client

PASSWORD, OTHER = "a password of the tests", "another password of the tests"


@pytest.fixture
async def session_file(stack: Stack) -> AsyncIterator[Path]:
    """Where the session is kept. Others share the stack, so nobody is logged in afterwards."""
    path = Path(stack.data_dir) / signed_in.FILE
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
async def editor(stack: Stack) -> str:
    """The address of a user of the stack's tenant."""
    email = f"editor-{uuid4().hex[:8]}@example.org"
    async with client(stack.api_url, stack.api_key) as api:
        made = await api.post(
            "/users", json={"email": email, "role": "editor", "password": PASSWORD}
        )
        assert made.status_code == 201, made.text
    return email


def mode(path: Path) -> int | None:
    """Who may do what with a file; None where there is none."""
    return path.stat().st_mode & 0o777 if path.exists() else None


async def log_in(stack: Stack, email: str, password: str = PASSWORD, *more: str) -> Done:
    words = ("login", "--email", email, "--password-stdin", *more)
    return await penstock(stack, *words, typed=f"{password}\n")


async def whose(stack: Stack) -> str:
    """Who a workflow is made by that a command makes."""
    drawn = {"id": f"k{uuid4().hex[:8]}", "name": "mine", "nodes": [{"id": "a", "type": "noop"}]}
    path = Path(stack.data_dir) / f"{drawn['id']}.json"
    path.write_text(json.dumps(drawn))
    done = await penstock(stack, "apply", str(path), "--json")
    assert done.code == 0, done.err
    got = await penstock(stack, "workflows", "get", str(drawn["id"]), "--json")
    found: str = got.document()["createdBy"]
    return found.partition(":")[0]


async def test_a_session_from_login_to_logout(
    stack: Stack, session_file: Path, editor: str
) -> None:
    assert await whose(stack) == "key"
    done = await log_in(stack, editor)
    assert (done.code, done.err) == (0, ""), done
    assert editor in done.out
    assert PASSWORD not in done.out
    assert mode(session_file) == 0o600
    assert await whose(stack) == "user"
    refused = await penstock(stack, "secrets", "list")
    assert refused.code == 0, "an editor sees which secrets there are"
    refused = await penstock(stack, "secrets", "remove", "nothing")
    assert (refused.code, "FORBIDDEN" in refused.err or "does not have" in refused.err) == (1, True)
    out = await penstock(stack, "logout")
    assert (out.code, mode(session_file)) == (0, None)
    assert await whose(stack) == "key"
    assert (await penstock(stack, "logout")).code == 0


async def test_a_wrong_password_says_so_and_keeps_nothing(
    stack: Stack, session_file: Path, editor: str
) -> None:
    for email in (editor, "nobody@example.org"):
        done = await log_in(stack, email, "a wrong password")
        assert done.code == 1
        assert "email address or password is wrong" in done.err
        assert (done.out, mode(session_file)) == ("", None)
    done = await log_in(stack, editor, "a wrong password", "--json")
    assert json.loads(done.err)["error"]["code"] == "UNAUTHORIZED"
    assert (await penstock(stack, "login", "--nonsense")).code == 2


async def test_a_token_that_runs_out_is_renewed_and_an_ended_session_says_what_to_do(
    stack: Stack, session_file: Path, editor: str
) -> None:
    assert (await log_in(stack, editor)).code == 0
    first = signed_in.kept(session_file)
    assert first is not None
    stale = signed_in.SignedIn(
        url=first.url, token="stale", refresh_token=first.refresh_token, expires_at=0
    )
    signed_in.keep(session_file, stale)
    assert await whose(stack) == "user"
    second = signed_in.kept(session_file)
    assert second is not None
    assert second.refresh_token != first.refresh_token
    signed_in.keep(session_file, stale)
    done = await penstock(stack, "runs", "list")
    assert done.code == 2
    assert "penstock login" in done.err
    signed_in.keep(session_file, second)
    done = await penstock(stack, "runs", "list")
    assert done.code == 1, "the refresh token that came twice has ended the session"
    assert (await log_in(stack, editor)).code == 0
    assert await whose(stack) == "user"


async def test_a_password_is_changed_by_command(
    stack: Stack, session_file: Path, editor: str
) -> None:
    assert (await log_in(stack, editor)).code == 0
    wrong = await penstock(stack, "password", "--stdin", typed=f"wrong\n{OTHER}\n")
    assert (wrong.code, "the old password is wrong" in wrong.err) == (1, True)
    done = await penstock(stack, "password", "--stdin", typed=f"{PASSWORD}\n{OTHER}\n")
    assert (done.code, done.err) == (0, ""), done
    assert PASSWORD not in done.out + done.err
    assert await whose(stack) == "user"
    assert (await log_in(stack, editor)).code == 1
    assert (await log_in(stack, editor, OTHER)).code == 0
