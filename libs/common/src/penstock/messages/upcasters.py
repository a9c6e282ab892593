"""Old events as new ones: one small function per type and version step, JSON object to JSON object.

An upcaster is registered under (kind, type, the version it starts from) and never changes again,
for what it reads is stored for ever. A type's name never changes.
"""

from collections.abc import Callable, Mapping
from typing import Any

from penstock.messages.catalogue import EVENT_TYPES, Catalogue, CatalogueError

Event = dict[str, Any]
Upcaster = Callable[[Event], Event]
Upcasters = Mapping[tuple[str, str, int], Upcaster]

UPCASTERS: Upcasters = {}


def checked(upcasters: Upcasters, catalogue: Catalogue) -> Upcasters:
    """`upcasters` when every version step has one and no other is there, else CatalogueError."""
    steps = {
        (each.kind, each.name, version)
        for each in catalogue.types.values()
        for version in range(1, each.version)
    }
    if steps != set(upcasters):
        raise CatalogueError(f"upcasters missing or in vain: {sorted(steps ^ set(upcasters))}")
    return upcasters


def upcast(event: Event, kind: str, *, under: int, catalogue: Catalogue, by: Upcasters) -> Event:
    """The event in its present shape; `under` is the catalogue number it was written under."""
    known = catalogue.types.get((kind, str(event.get("type"))))
    if known is None:
        return event
    for version in range(known.version_under(under), known.version):
        event = by[kind, known.name, version](event)
    return event


checked(UPCASTERS, EVENT_TYPES)
