"""Ports: which are taken, and what is said about it."""

import socket
from collections.abc import Iterator

import pytest

from medqueue.errors import ConfigurationError
from medqueue.operate import ports
from medqueue.settings import Settings


@pytest.fixture
def free() -> list[int]:
    return ports.find_free(3)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def with_ports(dimse: int, http: int, flower: int, **changes: str) -> Settings:
    (mllp,) = ports.find_free(1)
    return Settings(dimse_port=dimse, mllp_port=mllp, http_port=http, flower_port=flower, **changes)


def test_free_ports_are_no_fault(free: list[int]) -> None:
    ports.require_free(with_ports(*free))


def test_a_taken_port_is_named_by_its_setting(free: list[int], taken: int) -> None:
    with pytest.raises(ConfigurationError, match=f"MEDQUEUE_HTTP_PORT: port {taken}") as caught:
        ports.require_free(with_ports(free[0], taken, free[2]))
    assert "MEDQUEUE_DIMSE_PORT" not in caught.value.detail


def test_an_address_of_another_machine_is_named(free: list[int]) -> None:
    settings = with_ports(*free, bind="192.0.2.1")
    with pytest.raises(ConfigurationError, match="MEDQUEUE_BIND"):
        ports.require_free(settings)


def test_our_own_doors_are_reached_over_loopback_when_every_address_is_bound() -> None:
    assert ports.base_url(Settings(bind="0.0.0.0"), 80) == "http://127.0.0.1:80"  # noqa: S104
    assert ports.base_url(Settings(bind="::"), 80) == "http://[::1]:80"


def test_only_a_listener_accepts_connections(free: list[int], taken: int) -> None:
    assert ports.accepts_connections(Settings(), taken)
    assert not ports.accepts_connections(Settings(), free[0])


def test_nobody_on_the_port_is_no_http_answer(free: list[int]) -> None:
    assert not ports.answers_http(Settings(), free[0], "/readyz")


def test_free_ports_are_all_different() -> None:
    assert len(set(ports.find_free(5))) == 5
