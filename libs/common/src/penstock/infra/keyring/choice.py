"""The key-encryption keys that settings name."""

from penstock.infra.keyring.keks import Keks
from penstock.infra.settings import KeyringSettings, key_bytes


def keks_of(settings: KeyringSettings) -> Keks:
    """What a process wraps and unwraps data keys with."""
    older = map(key_bytes, settings.key_encryption_keys_old)
    return Keks(key_bytes(settings.key_encryption_key), older)
