"""Secrets made once and kept."""

from pathlib import Path

from penstock.dev.kept import kept, password, write_private


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    first = kept(tmp_path / "secret", password)
    assert kept(tmp_path / "secret", password) == first


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", "text")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_passwords_need_no_escaping_and_differ() -> None:
    assert password().isalnum()
    assert password() != password()
