"""A connection is looked at again once it stands: its far end is the address that was checked."""

from typing import Any

import httpcore
import pytest

from penstock.executor.transport import only_to
from penstock.infra.egress.urls import EgressRefused


class Stream(httpcore.AsyncNetworkStream):
    """A stream that says where its far end is."""

    def __init__(self, far_end: tuple[Any, ...] | None) -> None:
        self.far_end = far_end
        self.is_closed = False

    def get_extra_info(self, info: str) -> Any:
        return self.far_end if info == "server_addr" else None

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    ("far_end", "address"),
    [(("8.8.8.8", 80), "8.8.8.8"), (("2620:fe::fe%eth0", 80, 0, 2), "2620:fe::fe")],
)
async def test_a_connection_to_the_checked_address_is_taken(
    far_end: tuple[Any, ...], address: str
) -> None:
    stream = Stream(far_end)
    assert await only_to(stream, address) is stream
    assert not stream.is_closed


@pytest.mark.parametrize("far_end", [("127.0.0.1", 80), None])
async def test_a_connection_to_any_other_is_closed(far_end: tuple[Any, ...] | None) -> None:
    stream = Stream(far_end)
    with pytest.raises(EgressRefused):
        await only_to(stream, "8.8.8.8")
    assert stream.is_closed
