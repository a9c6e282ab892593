"""Who a child process runs as: Postgres refuses root, so root lends it another account."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65_534
"""The id `nobody` has where the system has no such name."""


@dataclass(frozen=True)
class Account:
    """A user and its first group."""

    uid: int
    gid: int


def unprivileged(directory: Path) -> Account | None:
    """The account to drop to: the owner of `directory`, else nobody; None unless we are root."""
    if os.geteuid() != 0:
        return None
    owner = directory.stat()
    if owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return Account(NOBODY, NOBODY)
    return Account(nobody.pw_uid, nobody.pw_gid)


def can_reach(account: Account, path: Path) -> bool:
    """Whether `account` may enter every folder that leads to `path`, and `path` if it is one."""
    resolved = path.resolve()
    folders = [*resolved.parents, *([resolved] if resolved.is_dir() else [])]
    return all(_may_enter(account, folder.stat()) for folder in folders)


def _may_enter(account: Account, folder: os.stat_result) -> bool:
    if folder.st_uid == account.uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == account.gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)
