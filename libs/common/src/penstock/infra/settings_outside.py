"""Settings of whoever calls the outside for tenants: what is open, and who is asked."""

from typing import Annotated

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from penstock.infra.settings_values import hosts_and_networks, http_url, listed

PORTS_MAX = 64

Port = Annotated[int, Field(ge=1, le=65535)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
EgressAllow = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(listed), AfterValidator(hosts_and_networks)
]
EgressPorts = Annotated[
    tuple[Port, ...], NoDecode, BeforeValidator(listed), Field(min_length=1, max_length=PORTS_MAX)
]


class OutsideSettings(BaseModel):
    """What steps may reach, and the models that they may ask."""

    egress_allow: EgressAllow = Field(
        (),
        description="Hosts (`host` or `host:port`) and CIDRs that steps may call although private",
    )
    egress_ports: EgressPorts = Field(
        (80, 443, 8080, 8443),
        description="Ports that steps may call by HTTP at public addresses",
    )
    openai_api_key: SecretStr = Field(
        SecretStr(""),
        repr=False,
        validation_alias=AliasChoices("PENSTOCK_OPENAI_API_KEY", "openai_api_key"),
        description="Key that models are asked with for `ai_completion` steps of all tenants that "
        "name no connection (also `OPENAI_API_KEY`); without it a mock answers them",
    )
    openai_base_url: HttpUrl = Field(
        "https://api.openai.com/v1",
        validation_alias=AliasChoices("PENSTOCK_OPENAI_BASE_URL", "openai_base_url"),
        description="Where they are asked (also `OPENAI_BASE_URL`)",
    )
