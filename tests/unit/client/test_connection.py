"""Where the command finds a Penstock, and what it says when it does not."""

import json
from pathlib import Path

import pytest

from penstock.client.connection import Connection, find
from penstock.client.errors import NotConfigured

STACK = {"apiUrl": "http://a", "adminKey": "admin", "apiKey": "key", "tenantId": "t-1", "more": 1}
ENVIRONMENT = {"PENSTOCK_URL": "http://b", "PENSTOCK_API_KEY": "other"}


def stack_in(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "penstock.json").write_text(json.dumps(STACK))
    return folder


def test_a_data_dir_goes_before_the_environment(tmp_path: Path) -> None:
    assert find(ENVIRONMENT, data_dir=stack_in(tmp_path)) == Connection("http://a", "key")


def test_the_environment_goes_before_the_stack_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stack_in(tmp_path / ".penstock")
    assert find(ENVIRONMENT) == Connection("http://b", "other")
    assert find({}) == Connection("http://a", "key")


def test_another_tenant_is_spoken_for_by_the_admin(tmp_path: Path) -> None:
    folder = stack_in(tmp_path)
    assert find({}, data_dir=folder, tenant="t-1") == Connection("http://a", "key")
    assert find({}, data_dir=folder, tenant="t-2") == Connection("http://a", "admin", "t-2")
    assert find(ENVIRONMENT, tenant="t-2") == Connection("http://b", "other", "t-2")


@pytest.mark.parametrize("missing", ["PENSTOCK_URL", "PENSTOCK_API_KEY"])
def test_half_an_environment_is_named(missing: str) -> None:
    with pytest.raises(NotConfigured, match=f"^{missing} must be set"):
        find({**ENVIRONMENT, missing: ""})


def test_a_url_without_a_scheme_is_refused() -> None:
    with pytest.raises(NotConfigured, match="PENSTOCK_URL"):
        find({**ENVIRONMENT, "PENSTOCK_URL": "localhost:8000"})


@pytest.mark.parametrize("text", ["{", "{}", "\xff", '{"apiUrl": 1}'])
def test_a_file_that_is_not_a_stacks_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "penstock.json").write_text(text, encoding="latin-1")
    with pytest.raises(NotConfigured, match="not a stack's"):
        find({}, data_dir=tmp_path)


def test_nothing_known_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotConfigured, match="penstock up"):
        find({})
    with pytest.raises(NotConfigured, match="no stack has run"):
        find({}, data_dir=tmp_path)


def test_a_key_is_not_shown() -> None:
    assert "other" not in repr(find(ENVIRONMENT))
