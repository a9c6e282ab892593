"""Ports: each process has one of its own, the API the one that was asked for."""

import socket
from pathlib import Path

import pytest
from pydantic import SecretStr

from penstock.dev.errors import PortTaken
from penstock.dev.options import StackOptions, StackSettings
from penstock.dev.places import places
from penstock.dev.ports import PORTS, free_port, is_free


def settings(port: int) -> StackSettings:
    return StackSettings(api_port=port, admin_key=SecretStr("an admin"))


def test_api_processes_take_the_port_and_those_after_it() -> None:
    first = free_port()
    found = places(StackOptions(data_dir=Path("unused"), api=2), settings(first))
    assert [place.port for place in found if place.service == "api"] == [first, first + 1]


def test_an_option_goes_before_the_setting() -> None:
    asked = free_port()
    found = places(StackOptions(port=asked), settings(8000))
    assert found[0].name == "api-0"
    assert found[0].port == asked


def test_no_port_is_given_twice() -> None:
    options = StackOptions(port=0, api=3, schedulers=2, executors=5)
    found = places(options, settings(8000))
    ports = [port for place in found for port in (place.port, place.spare_port)]
    assert len(found) == 11
    assert len(set(ports)) == len(ports)
    assert all(port in PORTS for port in ports)


def test_a_taken_port_is_named() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(PortTaken, match=str(port)):
            places(StackOptions(port=port), settings(8000))
