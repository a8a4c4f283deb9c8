"""Ports looked at before the start: said by number, by option, by the program that holds them."""

import os
import socket

import pytest

from fleet.embedded.ports import PortsTaken, Wanted, check, free_port


def test_free_ports_pass() -> None:
    check([Wanted("le portail", "--port", "127.0.0.1", free_port()), Wanted("IPv6", "--port", "::1", free_port())])


@pytest.mark.parametrize(
    ("kind", "protocol"), [(socket.SOCK_STREAM, "TCP"), (socket.SOCK_DGRAM, "UDP")], ids=["tcp", "udp"]
)
def test_a_taken_port_is_said_by_name(kind: socket.SocketKind, protocol: str) -> None:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(PortsTaken) as raised:
            check([Wanted("le DNS", "--dns-port", "127.0.0.1", port, "TCP" if protocol == "TCP" else "UDP")])
    said = str(raised.value)
    assert f"Le port {port} ({protocol}, le DNS) est déjà pris par" in said
    assert f"(processus {os.getpid()})" in said
    assert "--dns-port" in said


def test_every_taken_port_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [holder.getsockname()[1] for holder in (one, two)]
        with pytest.raises(PortsTaken) as raised:
            check([Wanted("rien", "--port", "127.0.0.1", port) for port in ports])
    assert all(str(port) in str(raised.value) for port in ports)


def test_connections_that_end_do_not_count() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        client = socket.create_connection(address)
        server.accept()[0].close()  # this side ends first: its port stays in TIME_WAIT
        client.close()
    check([Wanted("le portail", "--port", "127.0.0.1", address[1])])


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(PortsTaken, match=r"192\.0\.2\.1 n’est pas celle de cette machine"):
        check([Wanted("le portail", "--port", "192.0.2.1", free_port())])
