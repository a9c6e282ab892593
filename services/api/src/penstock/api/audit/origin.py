"""From where a request comes: its address and what it says it was sent by, closed for its tenant.

Both are somebody's own, and the log cannot forget: they stand in it closed with the data key of the
tenant that the request is about. The id of the request is in the clear, as correlation id.
"""

from typing import Any

from starlette.requests import HTTPConnection

from penstock.api.audit.window import BETWEEN
from penstock.api.identity.addresses import Networks, address_of, normal_address
from penstock.infra.keyring.data_keys import KeyGone
from penstock.infra.keyring.payloads import Seals
from penstock.infra.keyring.texts import BEGIN
from penstock.infra.postgres.engine import DatabaseUnavailable
from penstock.infra.telemetry import logs

AGENT_CHARACTERS_MAX = 200
"""What is kept of a User-Agent: enough to tell programs apart."""

_log = logs.logger(__name__)


def origin_of(connection: HTTPConnection, trusted: Networks) -> str:
    """Where a request comes from, in the clear. trusted: proxies."""
    agent = connection.headers.get("user-agent", "")[:AGENT_CHARACTERS_MAX]
    return f"{normal_address(address_of(connection, trusted))}{BETWEEN}{agent}"


async def closed(seals: Seals, tenant_id: str, origin: str) -> str:
    """The origin as the log keeps it; empty where the tenant's key cannot be had.

    What is asked for does not fail for that: of a deleted tenant there is no key, and while
    Postgres is away nobody can have one that is not at hand.
    """
    found = seals.texts.at_hand(tenant_id, origin)
    if found is not None:
        return found
    try:
        return await seals.texts.closed(tenant_id, origin)
    except (KeyGone, DatabaseUnavailable) as error:
        _log.warning("an origin is not kept", tenant=tenant_id, error=repr(error))
        return ""


async def shown(seals: Seals, tenant_id: str, origin: str) -> dict[str, Any] | None:
    """Where something came from, as auditors see it; None where nobody said, or it is closed.

    Raises DatabaseUnavailable.
    """
    opened = await seals.texts.opened(tenant_id, origin)
    if not opened or opened.startswith(BEGIN):
        return None
    address, _, agent = opened.partition(BETWEEN)
    return {"address": address, "userAgent": agent}
