"""`penstock keys`: which key-encryption keys wrap the tenants' data keys, and a change of them.

The keys are those of PENSTOCK_KEY_ENCRYPTION_KEY and PENSTOCK_KEY_ENCRYPTION_KEYS_OLD, else the one
that a local stack has made for itself.
"""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from penstock.projector.commands import FAILED, MISUSED, AsJson, DataDir, fail, located

if TYPE_CHECKING:
    from penstock.infra.keyring.keks import Keks
    from penstock.infra.keyring.rotation import Wraps

KEY = "PENSTOCK_KEY_ENCRYPTION_KEY"
KEY_FILE = Path("keys") / "encryption.key"


def add_commands(app: typer.Typer) -> None:
    """Called by the projector's other commands."""
    keys = typer.Typer(help="Look after the keys that wrap the tenants' data keys.")
    keys.command("list")(list_keys)
    keys.command("rewrap")(rewrap_keys)
    app.add_typer(keys, name="keys")


def list_keys(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show which key-encryption keys are in use, and for how many data keys."""
    url, keks = given(data_dir)
    show(asyncio.run(counted(url, keks)), as_json=as_json)


def rewrap_keys(
    data_dir: DataDir = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not tell of each batch")] = False,
) -> None:
    """Wrap every data key with the newest key-encryption key; older ones can then be dropped."""
    from penstock.infra.keyring.keks import KekUnknown, Unopenable
    from penstock.infra.postgres.engine import DatabaseUnavailable

    url, keks = given(data_dir)
    try:
        found = asyncio.run(rewrapped(url, keks, tell=not (quiet or as_json)))
    except (KekUnknown, Unopenable, DatabaseUnavailable) as error:
        fail(f"{error}; what was done before stays done", FAILED)
    show(found, as_json=as_json)
    raise typer.Exit(0 if all(wraps.newest for wraps in found) else FAILED)


async def rewrapped(url: str, keks: "Keks", *, tell: bool) -> "list[Wraps]":
    """Rewrap all; which keys are in use then."""
    from penstock.infra.keyring.rotation import rewrap, wraps
    from penstock.infra.postgres.engine import Engine

    engine = Engine(url, name="penstock-keys", connections_max=1)
    await engine.open()
    try:
        async for done in rewrap(engine, keks):
            if tell:
                typer.echo(f"{done} data keys rewrapped")
        return await wraps(engine, keks)
    finally:
        await engine.close()


async def counted(url: str, keks: "Keks") -> "list[Wraps]":
    """Which keys are in use."""
    from penstock.infra.keyring.rotation import wraps
    from penstock.infra.postgres.engine import DatabaseUnavailable, Engine

    engine = Engine(url, name="penstock-keys", connections_max=1)
    await engine.open()
    try:
        return await wraps(engine, keks)
    except DatabaseUnavailable as error:
        fail(str(error), FAILED)
    finally:
        await engine.close()


def given(data_dir: Path | None) -> "tuple[str, Keks]":
    """The owner's database and the keys; what is wrong or missing ends the command."""
    from penstock.infra.keyring.choice import keks_of
    from penstock.infra.settings import KeyringSettings, SettingsInvalid, load

    url = located(data_dir).database_url
    try:
        if KEY not in os.environ and f"{KEY}_FILE" not in os.environ:
            file = (data_dir or Path(".penstock")) / KEY_FILE
            os.environ[f"{KEY}_FILE"] = str(file)
        os.environ.setdefault("PENSTOCK_DATABASE_URL", url)
        return url, keks_of(load(KeyringSettings))
    except SettingsInvalid as invalid:
        fail(str(invalid), MISUSED)


def show(found: "list[Wraps]", *, as_json: bool) -> None:
    """Tell which keys are in use."""
    if as_json:
        typer.echo(msgspec.json.encode(found))
        return
    for wraps in found:
        note = "newest" if wraps.newest else "older" if wraps.known else "not given here"
        typer.echo(f"{wraps.kek_id}  {wraps.keys} data keys  {note}")
    if not found:
        typer.echo("no data keys yet")
