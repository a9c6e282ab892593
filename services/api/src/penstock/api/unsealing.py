"""What was said in events and rows as it is shown: opened, where it is sealed.

Whoever answers a client opens here what read models and histories hold closed. Of a tenant whose
keys are destroyed it stays closed.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Raw

from penstock.domain.payload import UNSEALED, Payload
from penstock.infra.keyring.data_keys import KeyGone
from penstock.infra.keyring.payloads import Seals
from penstock.infra.postgres.engine import Row

Shown = dict[str, Any]

DEEPEST = 3
"""How far inside an event a payload may stand: in the error of what starts with it."""


async def opened(seals: Seals, tenant_id: str, events: Iterable[Shown]) -> list[Shown]:
    """The events with their texts and payloads opened.

    Texts come first: what a payload says is the tenant's, whatever it looks like.

    Raises DatabaseUnavailable, Unopenable.
    """
    shown = [
        event | {"data": await seals.texts.shown(tenant_id, event["data"])} for event in events
    ]
    sealed = [held for event in shown for held in sealed_in(event["data"], DEEPEST)]
    try:
        await seals.have(tenant_id, {held["enc"] for held in sealed})
    except KeyGone:
        return shown
    for held in sealed:
        held["inline"] = await value_of(seals, tenant_id, held)
    return shown


async def rows_opened(seals: Seals, rows: Iterable[Row], *columns: str) -> list[Row]:
    """Rows with the texts in some of their columns opened, each by its own tenant's keys.

    A column holds text, a list of texts, or JSON as bytes. Raises DatabaseUnavailable.
    """
    texts = seals.texts
    found = []
    for row in rows:
        changed, tenant_id = {}, str(row["tenant_id"])
        for column in columns:
            held = row[column]
            if isinstance(held, bytes):
                changed[column] = await texts.json(tenant_id, held)
            elif held:
                changed[column] = await texts.shown(tenant_id, held)
        found.append({**row, **changed})
    return found


def sealed_in(data: Shown, deep: int) -> Iterator[Shown]:
    """The sealed payloads in what an event says that carry themselves."""
    for value in data.values():
        if not isinstance(value, dict):
            continue
        if isinstance(value.get("inline"), str) and value.get("enc", UNSEALED) != UNSEALED:
            yield value
        elif deep:
            yield from sealed_in(value, deep - 1)


async def value_of(seals: Seals, tenant_id: str, held: Shown) -> Any:
    """What a payload says, as a JSON value."""
    stored = msgspec.json.encode(held["inline"])
    payload = Payload(size=held["size"], sha256=held["sha256"], enc=held["enc"], inline=Raw(stored))
    return msgspec.json.decode(await seals.text(tenant_id, payload, stored))
