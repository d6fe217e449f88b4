"""A gRPC client that does the least, so that the load takes little of the cores it shares.

It speaks as much of HTTP/2 as a server of gRPC's C core wants to hear, and decodes neither headers
nor messages. It lets the server send as much as it likes, and sends requests that fit into the
windows. How a call fails it cannot tell: where that counts, gRPC's own client is used.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

SERVICE = "eventbus.v1.PubSub"
METADATA = (("accesstoken", "token"), ("instanceurl", "https://localhost"), ("tenantid", "00D1"))
"""Of every call."""
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_LARGEST_WINDOW = 2**31 - 1
_FIRST_WINDOW = 65_535
_LARGEST_FRAME = 2**24 - 1
_HEAD = 9
_PREFIX = 5
_READ = 2**18
_TIMEOUT = 60.0


class ConnectionEndedError(Exception):
    """The server has ended the connection, or says that it will."""


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return b"%b%c%c%b%b" % (
        len(payload).to_bytes(3),
        kind,
        flags,
        stream.to_bytes(4),
        payload,
    )


def _literal(name: str, value: str) -> bytes:
    """Return a header that no table is needed for; both texts are short."""
    return b"\0%c%b%c%b" % (len(name), name.encode(), len(value), value.encode())


class Connection:
    """One connection, with any number of calls.

    Args:
        address: `host:port`.
        context: for TLS.
    """

    def __init__(self, address: str, context: ssl.SSLContext | None = None) -> None:
        host, _, port = address.rpartition(":")
        plain = socket.create_connection((host, int(port)), _TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = plain if context is None else context.wrap_socket(plain, server_hostname=host)
        self._scheme = "http" if context is None else "https"
        self._address = address
        self._left = bytearray()
        """What came and is no whole frame yet."""
        self._messages: dict[int, bytearray] = {}
        """By call, what came and is no whole message yet."""
        self._next = 1
        self._window = _FIRST_WINDOW
        """Bytes of messages that the server takes."""
        self._received = 0
        settings = b"".join(
            number.to_bytes(2) + value.to_bytes(4)
            for number, value in ((2, 0), (4, _LARGEST_WINDOW), (5, _LARGEST_FRAME))
        )
        more = (_LARGEST_WINDOW - _FIRST_WINDOW).to_bytes(4)
        self.socket.sendall(
            _PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW, 0, 0, more)
        )

    def open(self, method: str, message: bytes) -> int:
        """Begin a call with its first message; return its number."""
        headers = (
            (":method", "POST"),
            (":scheme", self._scheme),
            (":path", f"/{SERVICE}/{method}"),
            (":authority", self._address),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *METADATA,
        )
        block = b"".join(_literal(*header) for header in headers)
        number, self._next = self._next, self._next + 2
        self._messages[number] = bytearray()
        self.socket.sendall(
            _frame(_HEADERS, _END_HEADERS, number, block) + self._data(number, message)
        )
        return number

    def send(self, call: int, message: bytes) -> None:
        """Send one more message."""
        self.socket.sendall(self._data(call, message))

    @property
    def can_send(self) -> bool:
        """Whether the server takes a few more messages."""
        return self._window > _FIRST_WINDOW // 4

    def receive(self) -> Iterator[tuple[int, bytes | None]]:
        """Wait for something; yield call and message, or None where a call has ended.

        Raises:
            ConnectionEndedError: nothing more comes.
            TimeoutError: nothing came for a minute.
        """
        data = self.socket.recv(_READ)
        if not data:
            raise ConnectionEndedError("the server has closed the connection")
        left = self._left
        left += data
        at = 0
        while len(left) - at >= _HEAD:
            length = int.from_bytes(left[at : at + 3])
            if len(left) - at < _HEAD + length:
                break
            kind, flags = left[at + 3], left[at + 4]
            call = int.from_bytes(left[at + 5 : at + _HEAD])
            at += _HEAD + length
            yield from self._take(kind, flags, call, bytes(left[at - length : at]))
        del left[:at]

    def close(self) -> None:
        """Cut the connection."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(
        self, kind: int, flags: int, call: int, payload: bytes
    ) -> Iterator[tuple[int, bytes | None]]:
        if kind == _DATA:
            self._grant(len(payload))
            yield from self._join(call, payload)
        elif kind == _SETTINGS and not flags & _ACK:
            self.socket.sendall(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self.socket.sendall(_frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW and not call:
            self._window += int.from_bytes(payload)
        elif kind == _GOAWAY:
            raise ConnectionEndedError(f"the server ends the connection: {payload[8:]!r}")
        has_ended = kind in (_DATA, _HEADERS) and flags & _END_STREAM
        if (has_ended or kind == _RESET) and self._messages.pop(call, None) is not None:
            yield call, None

    def _join(self, call: int, payload: bytes) -> Iterator[tuple[int, bytes]]:
        message = self._messages[call]
        message += payload
        while len(message) >= _PREFIX:
            end = _PREFIX + int.from_bytes(message[1:_PREFIX])
            if len(message) < end:
                break
            yield call, bytes(message[_PREFIX:end])
            del message[:end]

    def _grant(self, number: int) -> None:
        """Let the server send on for ever."""
        self._received += number
        if self._received > _LARGEST_WINDOW // 2:
            self.socket.sendall(_frame(_WINDOW, 0, 0, self._received.to_bytes(4)))
            self._received = 0

    def _data(self, call: int, message: bytes) -> bytes:
        payload = b"\0" + len(message).to_bytes(4) + message
        self._window -= len(payload)
        return _frame(_DATA, 0, call, payload)
