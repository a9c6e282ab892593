"""Making a Postgres cluster: initdb, who may log in, the owner's role and the database."""

import shutil
import subprocess
from pathlib import Path

from penstock.dev.accounts import Account
from penstock.dev.errors import ServerFailed
from penstock.dev.kept import kept, password
from penstock.dev.ports import HOST
from penstock.dev.postgres_files import DRAFT_SUFFIX, own, programs
from penstock.dev.process import server_environment

SUPERUSER = "postgres"
OWNER = "penstock_owner"
DATABASE = "penstock"
WITHIN_S = 120.0
CLIENTS = f"host all all {HOST}/32 scram-sha-256\n"
INITDB = (
    f"--username={SUPERUSER}",
    "--auth=reject",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)
SINGLE_USER = (
    *("-c", "unix_socket_directories="),
    *("-c", "password_encryption=scram-sha-256"),
    *("-c", "log_statement=none"),
    *("-c", "log_min_error_statement=panic"),
)
"""No socket, and no password in what the server says about a failed statement."""


def make_cluster(directory: Path, data: Path, account: Account | None, *, durable: bool) -> None:
    """Make `data`, under another name first: a start cut short leaves nothing half-made.

    The passwords are kept in `directory`; `durable=False` does not wait for the disk.
    """
    draft = data.with_name(data.name + DRAFT_SUFFIX)
    shutil.rmtree(draft, ignore_errors=True)
    own(draft, account)
    sync = () if durable else ("--no-sync",)
    run_program("initdb", ("-D", str(draft), *INITDB, *sync), account=account)
    (draft / "pg_hba.conf").write_text(CLIENTS)
    fsync = ("-c", f"fsync={'on' if durable else 'off'}")
    single = ("--single", "-D", str(draft), *SINGLE_USER, *fsync, "postgres")
    said = run_program("postgres", single, account=account, stdin=_provision(directory))
    if "ERROR:" in said or "FATAL:" in said:
        raise ServerFailed(f"postgres could not make its roles:\n{said}")
    draft.rename(data)


def _provision(directory: Path) -> str:
    """One statement a line, as the single-user server reads them.

    The owner makes the services' roles (CREATEROLE lets it grant only what it made itself).
    """
    passwords = {role: role_password(directory, role) for role in (SUPERUSER, OWNER)}
    powers = "LOGIN NOSUPERUSER NOBYPASSRLS CREATEROLE"
    lines = (
        f"ALTER ROLE {SUPERUSER} PASSWORD '{passwords[SUPERUSER]}'",
        f"CREATE ROLE {OWNER} {powers} PASSWORD '{passwords[OWNER]}'",
        f"CREATE DATABASE {DATABASE} OWNER {OWNER}",
    )
    return "".join(f"{line}\n" for line in lines)


def role_password(directory: Path, role: str) -> str:
    """The role's password, made when it is first asked for."""
    return kept(directory / f"{role}.password", password)


def run_program(
    name: str, arguments: tuple[str, ...], *, account: Account | None, stdin: str = ""
) -> str:
    """Run one of the wheel's programs to its end as `account`; what it wrote."""
    done = subprocess.run(
        [str(programs(account) / name), *arguments],
        input=stdin.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=server_environment(),
        cwd="/",
        timeout=WITHIN_S,
        check=False,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    said = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise ServerFailed(f"{name} ended with code {done.returncode}:\n{said}")
    return said
