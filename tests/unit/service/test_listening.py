"""Sockets of the service send what they have at once."""

import socket

import pytest

from service.serve import AddressError, listen_on


def test_an_accepted_socket_does_not_wait_for_acknowledgements():
    with listen_on("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_address_in_use_is_told():
    with listen_on("127.0.0.1", 0) as listening, pytest.raises(AddressError, match="cannot be listened on"):
        listen_on("127.0.0.1", listening.getsockname()[1])
