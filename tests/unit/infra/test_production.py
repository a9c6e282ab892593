"""A production process does not start with what is unsafe, and says what that is."""

import base64
import os
import secrets
from pathlib import Path

import pytest

from penstock.infra.settings import (
    FILE_SUFFIX,
    ApiSettings,
    ExecutorSettings,
    ProjectorSettings,
    SettingsInvalid,
    SharedSettings,
    UpSettings,
    load,
    settings_rows,
)

SAFE = {
    "PENSTOCK_ENV": "production",
    "PENSTOCK_DATABASE_URL": f"postgresql://u:{secrets.token_urlsafe(16)}@db/penstock",
    "PENSTOCK_NATS_URL": f"nats://u:{secrets.token_urlsafe(16)}@nats:4222",
    "PENSTOCK_ADMIN_KEY": secrets.token_hex(32),
    "PENSTOCK_KEY_ENCRYPTION_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "PENSTOCK_CORS_ORIGINS": "https://app.example,https://other.example:8443",
    "PENSTOCK_EGRESS_ALLOW": "10.0.0.0/8,crm.internal:8080,fd00::/8",
    "PENSTOCK_NATS_SYNC_INTERVAL": "always",
}
ORDERED = base64.urlsafe_b64encode(bytes(range(32))).decode()


@pytest.fixture(autouse=True)
def _production(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [row.variable for row in settings_rows()]:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name + FILE_SUFFIX, raising=False)
    for name, value in SAFE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def test_what_is_safe_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in (ApiSettings, ExecutorSettings, ProjectorSettings):
        load(settings)
    monkeypatch.delenv("PENSTOCK_NATS_URL")
    load(UpSettings)


@pytest.mark.parametrize(
    ("settings", "variable", "value"),
    [
        (ApiSettings, "ADMIN_KEY", "short"),
        (ApiSettings, "ADMIN_KEY", "a" * 40),
        (ApiSettings, "ADMIN_KEY", f"change-me-{'0123456789abcdefghij' * 2}"),
        (ApiSettings, "KEY_ENCRYPTION_KEY", ""),
        (ApiSettings, "KEY_ENCRYPTION_KEY", "hunter2"),
        (ApiSettings, "KEY_ENCRYPTION_KEY", base64.b64encode(bytes(32)).decode()),
        (ApiSettings, "KEY_ENCRYPTION_KEY", ORDERED),
        (ExecutorSettings, "KEY_ENCRYPTION_KEY", ""),
        (ApiSettings, "KEY_ENCRYPTION_KEYS_OLD", ORDERED),
        (ApiSettings, "DATABASE_URL", "postgresql://postgres:postgres@db/penstock"),
        (ProjectorSettings, "DATABASE_URL", "postgresql://u:my-password-is-long@db/penstock"),
        (ApiSettings, "NATS_URL", "nats://u:short@nats:4222"),
        (ApiSettings, "LOG_LEVEL", "debug"),
        (ExecutorSettings, "LOG_LEVEL", "debug"),
        (ApiSettings, "CORS_ORIGINS", "*"),
        (ApiSettings, "CORS_ORIGINS", "https://app.example,http://app.example"),
        (ExecutorSettings, "EGRESS_ALLOW", "0.0.0.0/0"),
        (ExecutorSettings, "EGRESS_ALLOW", "::/0"),
        (ExecutorSettings, "EGRESS_ALLOW", "128.0.0.0/1,10.0.0.1"),
    ],
)
def test_what_is_unsafe_does_not(
    monkeypatch: pytest.MonkeyPatch, settings: type[SharedSettings], variable: str, value: str
) -> None:
    monkeypatch.setenv(f"PENSTOCK_{variable}", value)
    with pytest.raises(SettingsInvalid) as refused:
        load(settings)
    assert refused.value.names == (f"PENSTOCK_{variable}",)
    if value and variable.endswith(("KEY", "OLD", "URL")):
        assert value not in str(refused.value)
        assert "my-password" not in str(refused.value)
    monkeypatch.setenv("PENSTOCK_ENV", "development")
    if value not in {"", "hunter2"}:
        load(settings)


def test_a_server_of_ours_waits_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_NATS_SYNC_INTERVAL")
    load(UpSettings)
    monkeypatch.delenv("PENSTOCK_NATS_URL")
    with pytest.raises(SettingsInvalid, match="PENSTOCK_NATS_SYNC_INTERVAL: must be always"):
        load(UpSettings)
    load(UpSettings, nats_sync_interval="always")


def test_nobody_is_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for settings in (ApiSettings, ProjectorSettings):
        with pytest.raises(SettingsInvalid, match="PENSTOCK_ENV: production does not run as root"):
            load(settings)


def test_a_file_of_secrets_is_closed_to_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "admin"
    secret.write_text(SAFE["PENSTOCK_ADMIN_KEY"])
    origins = tmp_path / "origins"
    origins.write_text("https://app.example")
    origins.chmod(0o644)
    monkeypatch.delenv("PENSTOCK_ADMIN_KEY")
    monkeypatch.setenv("PENSTOCK_ADMIN_KEY_FILE", str(secret))
    monkeypatch.setenv("PENSTOCK_CORS_ORIGINS_FILE", str(origins))
    for mode, is_open in ((0o600, False), (0o640, False), (0o644, True), (0o604, True)):
        secret.chmod(mode)
        if not is_open:
            load(ApiSettings)
            continue
        with pytest.raises(SettingsInvalid, match="chmod") as refused:
            load(ApiSettings)
        assert refused.value.names == ("PENSTOCK_ADMIN_KEY_FILE",)


def test_all_that_is_unsafe_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_ADMIN_KEY", "short")
    monkeypatch.setenv("PENSTOCK_LOG_LEVEL", "debug")
    monkeypatch.setenv("PENSTOCK_CORS_ORIGINS", "*")
    with pytest.raises(SettingsInvalid) as refused:
        load(ApiSettings)
    wrong = {"PENSTOCK_ADMIN_KEY", "PENSTOCK_LOG_LEVEL", "PENSTOCK_CORS_ORIGINS"}
    assert set(refused.value.names) == wrong
