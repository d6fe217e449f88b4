"""The proxy that cuts off single clients, before a server that sends everything back."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Self

import pytest

from platform_events.errors import UsageError
from platform_events.testing.proxy import BrokerProxy

SILENCE = 0.2
"""Seconds for which nothing comes where nothing may."""


class Echo:
    """A server on a free port."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def close(self) -> None:
        self._listener.close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(Echo()) as echo:
        yield echo


@pytest.fixture
def proxy(echo: Echo) -> Iterator[BrokerProxy]:
    with closing(BrokerProxy()) as proxy:
        proxy.upstream = echo.address
        yield proxy


def greeting(client_id: str | None) -> bytes:
    text = (client_id or "").encode()
    header = struct.pack(">hhih", 18, 3, 1, -1 if client_id is None else len(text))
    request = header + text + b"body"
    return struct.pack(">i", len(request)) + request


class Client:
    def __init__(self, proxy: BrokerProxy, client_id: str | None) -> None:
        self.greeting = greeting(client_id)
        self.socket = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
        self.socket.sendall(self.greeting)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (more := self.socket.recv(size - len(data))):
            data += more
        return data

    def is_greeted(self) -> bool:
        return self.receive(len(self.greeting)) == self.greeting

    def is_closed(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def is_silent(self) -> bool:
        self.socket.settimeout(SILENCE)
        try:
            self.socket.recv(1)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(20)
        return False


@pytest.mark.parametrize(
    "client_id", ["a", "ä" * 100, "", None], ids=["usual", "long", "empty", "none"]
)
def test_everything_passes(proxy: BrokerProxy, client_id: str | None) -> None:
    data = bytes(range(256)) * 4096
    with Client(proxy, client_id) as client:
        assert client.is_greeted()
        threading.Thread(target=client.send, args=[data], daemon=True).start()
        assert client.receive(len(data)) == data


def test_the_end_of_one_side_is_the_end_of_the_other(proxy: BrokerProxy, echo: Echo) -> None:
    with Client(proxy, "a") as client:
        assert client.is_greeted()
        echo.connections[0].shutdown(socket.SHUT_RDWR)
        assert client.is_closed()
    with Client(proxy, "a") as client:
        assert client.is_greeted()
        client.socket.shutdown(socket.SHUT_WR)
        assert client.is_closed()


@pytest.mark.parametrize("greeting", [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x01x"])
def test_who_speaks_no_kafka_is_not_served(proxy: BrokerProxy, echo: Echo, greeting: bytes) -> None:
    stranger = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
    with closing(stranger):
        stranger.sendall(greeting)
        with suppress(ConnectionResetError):
            assert stranger.recv(1) == b""
    assert not echo.connections


def test_refusing_ends_the_connections_of_that_client_alone(proxy: BrokerProxy) -> None:
    with Client(proxy, "a") as client, Client(proxy, "b") as other:
        assert client.is_greeted()
        assert other.is_greeted()
        proxy.cut("a", "refuse")
        assert client.is_closed()
        with Client(proxy, "a") as late:
            assert late.is_closed()
        other.send(b"still there")
        assert other.receive(11) == b"still there"
        proxy.mend("a")
        with Client(proxy, "a") as again:
            assert again.is_greeted()


def test_what_hangs_goes_on_after_it(proxy: BrokerProxy, echo: Echo) -> None:
    with Client(proxy, "a") as client, Client(proxy, "b") as other:
        assert client.is_greeted()
        assert other.is_greeted()
        proxy.cut("a", "hang")
        client.send(b"held")
        with Client(proxy, "a") as late:
            assert late.is_silent()
            assert client.is_silent()
            other.send(b"passes")
            assert other.receive(6) == b"passes"
            assert len(echo.connections) == 2
            proxy.mend("a")
            assert client.receive(4) == b"held"
            assert late.is_greeted()


def test_what_hangs_reaches_the_broker_although_the_client_is_gone(
    proxy: BrokerProxy, echo: Echo
) -> None:
    proxy.cut("a", "hang")
    with Client(proxy, "a") as client:
        assert client.is_silent()
    assert not echo.connections
    proxy.mend("a")
    with Client(proxy, "b") as other:
        assert other.is_greeted()
    assert len(echo.connections) == 2


def test_a_client_is_cut_off_in_one_way_at_a_time(proxy: BrokerProxy) -> None:
    with pytest.raises(UsageError, match="refuse or hang, not by 'slow'"):
        proxy.cut("a", "slow")  # type: ignore[arg-type]
    proxy.cut("a", "hang")
    with pytest.raises(UsageError, match="broken already, by 'hang'"):
        proxy.cut("a", "refuse")
    proxy.cut("b", "refuse")


def test_closing_ends_what_hangs(echo: Echo) -> None:
    proxy = BrokerProxy()
    proxy.upstream = echo.address
    proxy.cut("a", "hang")
    with Client(proxy, "a") as hanging, Client(proxy, "b") as client:
        assert client.is_greeted()
        proxy.close()
        assert hanging.is_closed()
        assert client.is_closed()
