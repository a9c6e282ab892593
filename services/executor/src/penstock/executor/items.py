"""What an iteration over items is about.

The items of a loop are one payload. It is taken apart once, not decoded, and an iteration gets the
slice that is its own as the JSON text that it was.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from penstock.domain.payload import PAYLOAD_MAX_BYTES, Payload, inline
from penstock.executor.inputs import ITEMS, raw_of
from penstock.executor.outcome import StepFault
from penstock.executor.positions import position_of

LISTS_MAX: Final = 16
LISTS_BYTES_MAX: Final = PAYLOAD_MAX_BYTES
"""Of all lists together: one of any size fits."""

split = msgspec.json.Decoder(list[Raw]).decode


class Items:
    """The lists that loops went over lately, taken apart."""

    def __init__(self) -> None:
        self._lists: OrderedDict[tuple[str, str], list[Raw]] = OrderedDict()
        self._sizes: dict[tuple[str, str], int] = {}

    def held(self, tenant: str, payload: Payload) -> list[Raw] | None:
        """The items of this payload, when they are at hand."""
        return self._lists.get((tenant, payload.sha256))

    def taken_apart(self, tenant: str, payload: Payload) -> list[Raw]:
        """The items of an opened payload. Raises StepFault where it is no list."""
        key = (tenant, payload.sha256)
        known = self._lists.get(key)
        if known is not None:
            return known
        # A copy, for its slices would keep the whole message alive that it came in.
        data = bytes(raw_of(payload))
        try:
            items = split(data)
        except msgspec.MsgspecError:
            raise StepFault("INPUT_MISSING", "the items of the loop are no list") from None
        self._lists[key], self._sizes[key] = items, len(data)
        while len(self._lists) > LISTS_MAX or self._bytes > LISTS_BYTES_MAX:
            oldest, _ = self._lists.popitem(last=False)
            del self._sizes[oldest]
        return items

    @property
    def _bytes(self) -> int:
        return sum(self._sizes.values())


def with_item(path: str, payloads: Mapping[str, Payload], items: list[Raw]) -> dict[str, Payload]:
    """The payloads with the one item that the step at `path` is about in place of all.

    Raises StepFault where there is no such item.
    """
    index = position_of(path).index
    if index is None or index >= len(items):
        raise StepFault("INPUT_MISSING", f"the loop of {path} has no such item")
    return {**payloads, ITEMS: inline(bytes(items[index]))}
