"""Which folders an account may enter."""

from pathlib import Path

from penstock.dev.accounts import Account, can_reach

STRANGER = Account(uid=54_321, gid=54_321)


def test_a_closed_folder_on_the_way_keeps_an_account_out(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    assert not can_reach(STRANGER, inner)


def test_open_folders_let_every_account_in() -> None:
    assert can_reach(STRANGER, Path("/usr/bin"))


def test_the_owner_may_enter_what_is_closed_to_others(tmp_path: Path) -> None:
    inner = tmp_path / "mine"
    inner.mkdir(mode=0o700)
    owner = inner.stat()
    assert can_reach(Account(owner.st_uid, owner.st_gid), inner)
