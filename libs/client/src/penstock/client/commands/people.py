"""`penstock login`, `logout` and `seed`: people, from the command's side."""

import dataclasses
import os
import secrets
import sys
from collections.abc import Iterable
from getpass import getpass
from pathlib import Path
from typing import Final

from rich.table import Table

from penstock.client import signed_in, tenants, users
from penstock.client.client import Client
from penstock.client.commands.failure import WrongUse
from penstock.client.commands.session import Session
from penstock.client.connection import DATA_DIR, STACK_FILE, URL, Connection, platform
from penstock.client.definition_file import SUFFIXES, read
from penstock.client.errors import Conflict, NotConfigured
from penstock.client.models import Tenant

ROLES: Final = ("viewer", "member", "editor", "admin")
DEMO: Final = "demo"
SEED_KEY: Final = "penstock seed: demo tenant"
"""The request's key: a repetition gets the same tenant and the same key of its admin."""
WORKFLOWS_MAX: Final = 50
PASSWORD_BYTES: Final = 15


def log_in(session: Session, email: str | None, *, url: str | None, from_stdin: bool) -> int:
    """`penstock login`: ask for a password, keep the tokens."""
    place, server = place_of(session, url)
    address = email or input("email: ")
    password = sys.stdin.readline().rstrip("\n") if from_stdin else getpass()
    with Client(server, "none") as client:
        tokens = client.send(users.log_in(address, password))
    signed_in.keep(place, signed_in.of_tokens(server, tokens))
    if session.as_json:
        session.answer({"url": server, "email": address, "file": str(place)})
    else:
        session.say(f"logged in at {server} as {address}")
    return 0


def log_out(session: Session) -> int:
    """`penstock logout`: end the session, forget the tokens."""
    place, _ = place_of(session, None, needs_url=False)
    found = signed_in.kept(place)
    if found is not None:
        with Client(found.url, "none") as client:
            client.send(users.log_out(found.refresh_token))
        place.unlink(missing_ok=True)
    session.say("logged out" if found is not None else "nobody was logged in")
    return 0


def change_password(session: Session, *, from_stdin: bool) -> int:
    """`penstock password`: the old one and a new one, as whoever is logged in."""
    if from_stdin:
        old, new = (sys.stdin.readline().rstrip("\n") for _ in range(2))
    else:
        old, new = getpass("old password: "), getpass("new password: ")
        if getpass("new password, again: ") != new:
            raise WrongUse("the new passwords are not the same")
    session.client.send(users.change_password(old, new))
    if session.as_json:
        session.answer({"changed": True})
    else:
        session.say("the password is changed; your other sessions are over")
    return 0


def place_of(session: Session, url: str | None, *, needs_url: bool = True) -> tuple[Path, str]:
    """Where a session is kept, and the server that it is of. Raises NotConfigured."""
    named = url or os.environ.get(URL, "")
    folder = session.data_dir
    if folder is None and not named and (DATA_DIR / STACK_FILE).exists():
        folder = DATA_DIR
    if folder is not None:
        return folder / signed_in.FILE, platform({}, data_dir=folder).url
    if needs_url and not named.startswith(("http://", "https://")):
        raise NotConfigured(f"name the server with --url or {URL}")
    return signed_in.user_file(), named


def seed(session: Session, folder: Path) -> int:
    """`penstock seed`: a tenant to try things with. What is there already is left as it is."""
    found = platform(os.environ, data_dir=session.data_dir)
    with Client(found.url, found.api_key) as admin:
        tenant = demo_tenant(admin)
    assert tenant.admin_api_key is not None, "the answer that makes a tenant has its key"
    with Client(found.url, tenant.admin_api_key) as client:
        people = [person(client, role) for role in ROLES]
        made = list(examples(client, folder))
    told = {
        "url": found.url,
        "tenantId": tenant.id,
        "apiKey": tenant.admin_api_key,
        "users": people,
        "workflows": made,
    }
    if session.as_json:
        session.answer(told)
    else:
        tell(session, found, tenant, people, made)
    return 0


def demo_tenant(admin: Client) -> Tenant:
    """The tenant, made at the first time."""
    call = tenants.create_tenant(DEMO)
    headers = {**call.headers, "Idempotency-Key": SEED_KEY}
    return admin.send(dataclasses.replace(call, headers=headers))


def person(client: Client, role: str) -> dict[str, str | None]:
    """A user of a role, with a password that is told this once; None for one who was there."""
    email, password = f"{role}@demo.example", secrets.token_urlsafe(PASSWORD_BYTES)
    try:
        client.send(users.create_user(email, role=role, name=f"Demo {role}", password=password))
    except Conflict as error:
        if error.code != "EMAIL_TAKEN":
            raise
        return {"email": email, "role": role, "password": None}
    return {"email": email, "role": role, "password": password}


def examples(client: Client, folder: Path) -> Iterable[dict[str, str]]:
    """The definitions in a folder as workflows: new ones, or as they are."""
    paths = sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES)
    for path in paths[:WORKFLOWS_MAX]:
        imported = client.workflows.import_(read(path).document)
        yield {"key": imported.key, "change": imported.change}


def tell(
    session: Session,
    found: Connection,
    tenant: Tenant,
    people: list[dict[str, str | None]],
    made: list[dict[str, str]],
) -> None:
    """What was made, for people."""
    session.say(f"tenant {tenant.name} {tenant.id} at {found.url}")
    session.say(f"PENSTOCK_API_KEY={tenant.admin_api_key}")
    table = Table("email", "role", "password, shown once", box=None)
    for each in people:
        table.add_row(each["email"], each["role"], each["password"] or "(was there before)")
    session.say(table)
    for workflow in made:
        session.say(f"workflow {workflow['key']} {workflow['change']}")
    if not made:
        session.say("no workflows: name a folder of definitions with --examples")
