"""All that the API knows people by, made once from the settings."""

from collections.abc import Callable
from dataclasses import dataclass

from penstock.api.credentials import pepper_of
from penstock.api.identity.addresses import Networks, networks
from penstock.api.identity.bearers import Bearers
from penstock.api.identity.failures import Failures
from penstock.api.identity.jwt_keys import KeySet, KeysInvalid, derived_keys, read_keys
from penstock.api.identity.oidc import Oidc
from penstock.api.identity.passwords import Passwords
from penstock.api.identity.people import People
from penstock.api.identity.sweep import Sweep
from penstock.api.identity.tokens import Tokens
from penstock.infra.eventlog.log import EventLog
from penstock.infra.postgres.engine import Engine
from penstock.infra.service import StartRefused
from penstock.infra.settings import ApiSettings, Environment, key_bytes
from penstock.infra.settings_identity import is_registration_open


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """The parts that routes about people work with.

    peppers: the one for new hashes first, then those that older ones may have. proxies: that are
    trusted. may_register: whether whoever comes may have a tenant.
    """

    engine: Engine
    peppers: tuple[bytes, ...]
    people: People
    tokens: Tokens
    bearers: Bearers
    passwords: Passwords
    failures: Failures
    sweep: Sweep
    proxies: Networks
    may_register: bool


def accounts_of(
    settings: ApiSettings, engine: Engine, log: EventLog, is_connected: Callable[[], bool]
) -> Accounts:
    """The parts. Raises StartRefused, naming the variable, for keys that cannot be used."""
    peppers = tuple(pepper_of(key) for key in peppering_keys(settings))
    people = People(log, is_connected)
    tokens = Tokens(token_keys(settings))
    oidc = oidc_of(settings, engine, peppers)
    return Accounts(
        engine=engine,
        peppers=peppers,
        people=people,
        tokens=tokens,
        bearers=Bearers(engine, tokens=tokens, people=people, oidc=oidc),
        passwords=Passwords(),
        failures=Failures(engine, peppers[0]),
        sweep=Sweep(engine, people),
        proxies=networks(settings.trusted_proxies),
        may_register=is_registration_open(
            settings, is_production=settings.env is Environment.PRODUCTION
        ),
    )


def peppering_keys(settings: ApiSettings) -> tuple[bytes, ...]:
    """The keys that peppers follow from, first the one that new hashes are made with.

    A key that is named for it outlives the key-encryption keys, whose time is bounded.
    """
    named = () if settings.pepper_key is None else (key_bytes(settings.pepper_key),)
    return tuple(dict.fromkeys((*named, *encryption_keys(settings))))


def encryption_keys(settings: ApiSettings) -> tuple[bytes, ...]:
    """The key-encryption keys, the present one first."""
    keys = (settings.key_encryption_key, *settings.key_encryption_keys_old)
    return tuple(key_bytes(key) for key in keys)


def token_keys(settings: ApiSettings) -> KeySet:
    """The keys for tokens: the set that is given, else what follows from a secret."""
    given = settings.jwt_keys.get_secret_value()
    if given:
        try:
            return read_keys(given)
        except KeysInvalid as error:
            raise StartRefused(f"PENSTOCK_JWT_KEYS: {error}") from None
    secret = settings.jwt_secret.get_secret_value()
    return derived_keys([secret.encode()] if secret else peppering_keys(settings))


def oidc_of(settings: ApiSettings, engine: Engine, peppers: tuple[bytes, ...]) -> Oidc | None:
    """The issuer that is trusted, if there is one."""
    if not settings.oidc_issuer:
        return None
    return Oidc(
        engine,
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        peppers=peppers,
        may_be_plain=settings.env is not Environment.PRODUCTION,
    )
