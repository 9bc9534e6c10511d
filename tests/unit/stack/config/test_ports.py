"""Choosing ports: real sockets on the loopback."""

import os
import socket

import pytest

from evergreen.errors import SettingsError
from evergreen.stack.config.ports import HOST, PREFERRED, Ports, is_free, variable


@pytest.fixture
def listener():
    """A socket somebody else listens on."""
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_remembered_ports_are_taken_again():
    free = []
    for _ in PREFERRED:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            free.append(probe.getsockname()[1])
    remembered = dict(zip(PREFERRED, free, strict=True))
    ports = Ports(remembered, {})
    ports.release()
    assert ports.chosen == remembered


def test_a_taken_port_gives_way_to_a_free_one(listener):
    ports = Ports({"airflow": listener}, {})
    ports.release()
    assert ports.chosen["airflow"] != listener


def test_a_demanded_port_that_is_taken_names_its_holder(listener):
    with pytest.raises(SettingsError) as caught:
        Ports({}, {variable("mlflow"): str(listener)})
    message = str(caught.value)
    assert f"EVERGREEN_PORT_MLFLOW demands port {listener}" in message
    assert f"process {os.getpid()}" in message


@pytest.mark.parametrize("given", ["http", "0", "65536", "-1", "80a"])
def test_a_demanded_port_that_is_none_is_refused(given):
    with pytest.raises(SettingsError, match="is not a port"):
        Ports({}, {variable("smtp"): given})


def test_two_choices_at_once_never_agree_on_a_port():
    first, second = Ports({}, {}), Ports({}, {})
    first.release()
    second.release()
    assert not set(first.chosen.values()) & set(second.chosen.values())
    assert len(set(first.chosen.values())) == len(PREFERRED)


def test_a_reserved_port_can_still_be_served_by_our_own_service():
    ports = Ports({}, {})
    try:
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((HOST, ports.chosen["smtp"]))
            server.listen()
            assert not is_free(ports.chosen["smtp"])
    finally:
        ports.release()


def test_remains_of_a_closed_connection_do_not_make_a_port_taken():
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every service of ours does
        server.bind((HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        client = socket.create_connection((HOST, port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first keeps the port in TIME_WAIT
        client.close()
    assert is_free(port)
