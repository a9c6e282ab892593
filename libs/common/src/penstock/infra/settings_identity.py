"""Settings of whoever tells people apart: keys for tokens, an issuer that is trusted, proxies."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from penstock.infra.settings_values import http_url, listed, networks

JWT_SECRET_CHARACTERS_MIN = 32


def _jwt_secret(value: SecretStr) -> SecretStr:
    if 0 < len(value.get_secret_value()) < JWT_SECRET_CHARACTERS_MIN:
        raise ValueError(f"must have at least {JWT_SECRET_CHARACTERS_MIN} characters")
    return value


JwtSecret = Annotated[SecretStr, AfterValidator(_jwt_secret)]
OidcIssuer = Annotated[str, AfterValidator(http_url)]
Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed), AfterValidator(networks)]


class Registration(StrEnum):
    """Whether tenants are made by whoever comes."""

    OPEN = "open"
    CLOSED = "closed"


class IdentitySettings(BaseModel):
    """What the API needs to know people by."""

    jwt_keys: SecretStr = Field(
        SecretStr(""),
        repr=False,
        description="JWK set of private keys (EC, P-256) for tokens; the first one signs",
    )
    jwt_secret: JwtSecret = Field(
        SecretStr(""),
        repr=False,
        description="32 characters or more that the key for tokens follows from where there is no "
        "set; else it follows from the key-encryption key",
    )
    oidc_issuer: OidcIssuer = Field(
        "", description="URL of an OpenID Connect issuer whose tokens are taken, for users here"
    )
    oidc_audience: str = Field("", description="Whom that issuer's tokens must be made for")
    registration: Registration | None = Field(
        None,
        description="`open`: whoever comes may register a tenant of their own; `closed`: nobody. "
        "Unset, it is closed in production and open elsewhere",
    )
    trusted_proxies: Networks = Field(
        (), description="Addresses and CIDRs whose X-Forwarded-For says who asks"
    )


def issuer_problems(settings: IdentitySettings, *, is_production: bool) -> dict[str, str]:
    """What is wrong with the issuer, by the variable at fault without its prefix."""
    if not settings.oidc_issuer:
        return {}
    if not settings.oidc_audience:
        return {"OIDC_AUDIENCE": "is required where there is an issuer"}
    if is_production and settings.oidc_issuer.startswith("http://"):
        return {"OIDC_ISSUER": "must start with https:// in production"}
    return {}


def is_registration_open(settings: IdentitySettings, *, is_production: bool) -> bool:
    """Whether whoever comes may register."""
    if settings.registration is None:
        return not is_production
    return settings.registration is Registration.OPEN
