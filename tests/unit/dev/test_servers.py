"""The servers of a stack: how NATS is told to treat the disk."""

import json
from pathlib import Path

import pytest

from penstock.dev.credentials import Credentials
from penstock.dev.options import StackOptions, StackSettings
from penstock.dev.servers import servers
from penstock.infra.nats.users import OWNER, USERS
from penstock.infra.settings import SyncInterval

KEYS = Credentials(
    admin_key="a",
    key_encryption_key="k",
    nats_passwords=dict.fromkeys((OWNER, *USERS), "n"),
    role_passwords={},
)
DATABASE = "postgresql://penstock_owner@127.0.0.1/penstock"


@pytest.mark.parametrize(
    ("option", "setting", "said"),
    [
        (None, SyncInterval.EVERY_TWO_MINUTES, None),
        (None, SyncInterval.ALWAYS, "always"),
        (SyncInterval.ALWAYS, SyncInterval.EVERY_TWO_MINUTES, "always"),
        (SyncInterval.EVERY_TWO_MINUTES, SyncInterval.ALWAYS, None),
    ],
)
async def test_an_option_goes_before_the_setting(
    tmp_path: Path, option: SyncInterval | None, setting: SyncInterval, said: str | None
) -> None:
    settings = StackSettings(database_url=DATABASE, nats_sync_interval=setting)
    found = await servers(tmp_path, StackOptions(sync_interval=option), settings, KEYS)
    for unit in found.units:
        unit.prepare()
    config = json.loads((tmp_path / "nats" / "nats.conf").read_text())
    assert config["jetstream"].get("sync_interval") == said
