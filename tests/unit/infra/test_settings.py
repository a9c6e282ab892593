"""Settings: read from the environment or files, and wrong values stop the start by name."""

import base64
from pathlib import Path

import pytest

from penstock.infra import settings as module
from penstock.infra.keyring.choice import keks_of
from penstock.infra.keyring.keks import kek_id
from penstock.infra.settings import (
    ApiSettings,
    Environment,
    ExecutorSettings,
    MigrateSettings,
    ProjectorSettings,
    SettingsInvalid,
    key_bytes,
    load,
    settings_rows,
)

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [row.variable for row in settings_rows()]:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name + module.FILE_SUFFIX, raising=False)


def for_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "postgresql://u:secret@127.0.0.1/penstock")
    monkeypatch.setenv("PENSTOCK_ADMIN_KEY", "an admin")
    monkeypatch.setenv("PENSTOCK_KEY_ENCRYPTION_KEY", KEY)


def for_an_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "postgresql://u:secret@127.0.0.1/penstock")
    monkeypatch.setenv("PENSTOCK_KEY_ENCRYPTION_KEY", KEY)


def test_an_api_reads_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for_the_api(monkeypatch)
    monkeypatch.setenv("PENSTOCK_API_PORT", "8123")
    monkeypatch.setenv("PENSTOCK_CORS_ORIGINS", "http://one.test, http://two.test")
    settings = load(ApiSettings)
    assert settings.api_port == 8123
    assert settings.cors_origins == ("http://one.test", "http://two.test")
    assert key_bytes(settings.key_encryption_key) == bytes(range(32))
    assert settings.env is Environment.DEVELOPMENT


def test_every_wrong_variable_is_named_at_once_and_no_value_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for_the_api(monkeypatch)
    monkeypatch.setenv("PENSTOCK_API_PORT", "99999")
    monkeypatch.setenv("PENSTOCK_LOG_LEVEL", "loud")
    monkeypatch.setenv("PENSTOCK_KEY_ENCRYPTION_KEY", "hunter2")
    with pytest.raises(SettingsInvalid) as caught:
        load(ApiSettings)
    wrong = {"PENSTOCK_API_PORT", "PENSTOCK_LOG_LEVEL", "PENSTOCK_KEY_ENCRYPTION_KEY"}
    assert set(caught.value.names) == wrong
    assert all(name in str(caught.value) for name in wrong)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PENSTOCK_NATS_URL", "localhost:4222"),
        ("PENSTOCK_ENV", "staging"),
        ("PENSTOCK_INSTANCE", "executor 0"),
        ("PENSTOCK_METRICS_PORT", "zero"),
        ("PENSTOCK_EXECUTOR_CONCURRENCY", "0"),
        ("PENSTOCK_EGRESS_ALLOW", "10.0.0.0/33"),
        ("PENSTOCK_EGRESS_ALLOW", "http://example.test"),
        ("PENSTOCK_EGRESS_ALLOW", "example.test:port"),
        ("PENSTOCK_EGRESS_ALLOW", ":80"),
        ("PENSTOCK_EGRESS_PORTS", "80,0"),
        ("PENSTOCK_EGRESS_PORTS", "http"),
        ("PENSTOCK_EGRESS_PORTS", ","),
        ("PENSTOCK_KEY_ENCRYPTION_KEYS_OLD", "hunter2"),
        ("PENSTOCK_KEY_ENCRYPTION_KEYS_OLD", ",".join([KEY] * 9)),
    ],
)
def test_a_wrong_value_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsInvalid, match=variable):
        load(ExecutorSettings)


@pytest.mark.parametrize(
    "value", ["app.example", "https://app.example/", "ftp://app.example", "https://u@app.example"]
)
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for_the_api(monkeypatch)
    monkeypatch.setenv("PENSTOCK_CORS_ORIGINS", value)
    with pytest.raises(SettingsInvalid, match="PENSTOCK_CORS_ORIGINS"):
        load(ApiSettings)


def test_hosts_addresses_and_networks_may_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    for_an_executor(monkeypatch)
    monkeypatch.setenv("PENSTOCK_EGRESS_ALLOW", "127.0.0.1, 10.0.0.0/8,::1,intra.example.test")
    allowed = load(ExecutorSettings).egress_allow
    assert allowed == ("127.0.0.1", "10.0.0.0/8", "::1", "intra.example.test")


def test_several_keys_may_wrap_data_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for_an_executor(monkeypatch)
    older = [base64.urlsafe_b64encode(bytes([n]) * 32).decode() for n in (1, 2)]
    monkeypatch.setenv("PENSTOCK_KEY_ENCRYPTION_KEYS_OLD", ", ".join(older))
    settings = load(ExecutorSettings)
    ids = {kek_id(key) for key in (bytes(range(32)), b"\1" * 32, b"\2" * 32)}
    assert keks_of(settings).ids == ids
    assert keks_of(settings).newest == kek_id(bytes(range(32)))
    assert not any(key in repr(settings) for key in (KEY, *older))


def test_a_missing_required_variable_is_named() -> None:
    with pytest.raises(SettingsInvalid, match="PENSTOCK_DATABASE_URL: is required"):
        load(ProjectorSettings)


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for_an_executor(monkeypatch)
    monkeypatch.setenv("PENSTOCK_NATS_URL", "")
    assert load(ExecutorSettings).nats_url == "nats://127.0.0.1:4222"


def test_a_value_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://owner:pw@db/penstock\n")
    monkeypatch.setenv("PENSTOCK_DATABASE_URL_FILE", str(secret))
    assert load(MigrateSettings).database_url == "postgresql://owner:pw@db/penstock"


def test_an_unreadable_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PENSTOCK_DATABASE_URL_FILE", str(tmp_path / "absent"))
    with pytest.raises(SettingsInvalid, match="PENSTOCK_DATABASE_URL_FILE"):
        load(MigrateSettings)


def test_a_credential_is_not_in_the_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    for_the_api(monkeypatch)
    shown = repr(load(ApiSettings))
    assert "secret" not in shown
    assert "an admin" not in shown
    assert KEY not in shown


def test_every_variable_is_described() -> None:
    assert all(row.description for row in settings_rows())


def test_a_bucket_may_be_all_that_is_said_about_the_object_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for_the_api(monkeypatch)
    assert load(ApiSettings).s3_bucket == ""
    monkeypatch.setenv("PENSTOCK_S3_BUCKET", "payloads")
    assert load(ApiSettings).s3_bucket == "payloads"


@pytest.mark.parametrize(
    ("given", "missing"), [("S3_ACCESS_KEY", "S3_SECRET_KEY"), ("S3_SECRET_KEY", "S3_ACCESS_KEY")]
)
def test_half_of_a_key_is_none(monkeypatch: pytest.MonkeyPatch, given: str, missing: str) -> None:
    for_the_api(monkeypatch)
    monkeypatch.setenv(f"PENSTOCK_{given}", "hunter2")
    with pytest.raises(SettingsInvalid, match=f"PENSTOCK_{missing}") as caught:
        load(ApiSettings)
    assert "hunter2" not in str(caught.value)
