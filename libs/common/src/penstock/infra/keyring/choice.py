"""The key-encryption keys that settings name."""

from penstock.infra.keyring.data_keys import DataKeys
from penstock.infra.keyring.keks import Keks
from penstock.infra.keyring.payloads import Seals
from penstock.infra.postgres.engine import Engine
from penstock.infra.settings import KeyringSettings, key_bytes


def keks_of(settings: KeyringSettings) -> Keks:
    """What a process wraps and unwraps data keys with."""
    older = map(key_bytes, settings.key_encryption_keys_old)
    return Keks(key_bytes(settings.key_encryption_key), older)


def seals_of(settings: KeyringSettings, engine: Engine) -> Seals:
    """What a process seals and opens payloads with; data keys are found through `engine`."""
    return Seals(data_keys_of(settings, engine))


def data_keys_of(settings: KeyringSettings, engine: Engine) -> DataKeys:
    """The data keys that a process uses; they are found through `engine`."""
    return DataKeys(engine, keks_of(settings))
