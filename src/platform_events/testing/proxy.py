"""A TCP proxy before a Kafka broker that can cut off single clients, known by their client IDs."""

from __future__ import annotations

import asyncio
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from platform_events.errors import UsageError

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Coroutine

Cut: TypeAlias = Literal["refuse", "hang"]
"""How a client is cut off: its connections are closed, or stay open and carry nothing."""
CUTS: tuple[Cut, ...] = ("refuse", "hang")
_Result = TypeVar("_Result")
_HOST = "127.0.0.1"
_CHUNK = 64 * 1024
_LENGTH = struct.Struct(">i")
_HEADER = struct.Struct(">hhih")
"""How each request of Kafka's begins: API, its version, a number, the length of the client ID."""
_LARGEST_GREETING = 64 * 1024
"""Bytes of a first request, which asks for the broker's versions or for metadata."""


@dataclass(eq=False, slots=True)
class _Line:
    """The connections of one client ID, and whether something passes."""

    cut: Cut | None = None
    passing: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared while it hangs."""
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.passing.set()


class BrokerProxy:
    """A proxy on a free port of this machine, from its making to `close()`, in one thread.

    Set `upstream`, host and port of the broker's listener, before anybody is told of `port`.
    The broker has to advertise `port` there, or clients would go past the proxy.
    """

    upstream: tuple[str, int]

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="kafka-broker-proxy", daemon=True
        )
        self._thread.start()
        self._server = self._wait(asyncio.start_server(self._accept, _HOST, 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"{_HOST}:{self.port}"

    def cut(self, client_id: str, how: Cut) -> None:
        """Cut off a client, until it is mended. It is in effect when this returns.

        Raises:
            UsageError: it is cut off already, or `how` is no way to do it.
        """
        if how not in CUTS:
            raise UsageError(f"a broker is broken by {' or '.join(CUTS)}, not by {how!r}")
        self._wait(self._cut(client_id, how))

    def mend(self, client_id: str) -> None:
        """Let a client through again; what was held goes on."""
        self._wait(self._mend(client_id))

    def close(self) -> None:
        """End all connections."""
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _line(self, client_id: str) -> _Line:
        return self._lines.setdefault(client_id, _Line())

    async def _cut(self, client_id: str, how: Cut) -> None:
        line = self._line(client_id)
        if line.cut is not None:
            raise UsageError(f"the broker is broken already, by {line.cut!r}: end that first")
        line.cut = how
        if how == "hang":
            line.passing.clear()
        else:
            await _end(line.connections)

    async def _mend(self, client_id: str) -> None:
        line = self._line(client_id)
        line.cut = None
        line.passing.set()

    async def _close(self) -> None:
        self._server.close()
        await _end(self._connections)

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one connection to its end."""
        try:
            # A client may go at any time, and so may the broker.
            with suppress(OSError, asyncio.IncompleteReadError):
                client_id, greeting = await _read_greeting(reader)
                await self._connect(self._line(client_id), greeting, reader, writer)
        finally:
            writer.transport.abort()

    async def _connect(
        self, line: _Line, greeting: bytes, reader: StreamReader, writer: StreamWriter
    ) -> None:
        if line.cut == "refuse":
            return
        task = asyncio.current_task()
        assert task is not None
        line.connections.add(task)
        answers: asyncio.Task[None] | None = None
        try:
            await line.passing.wait()
            from_broker, to_broker = await asyncio.open_connection(*self.upstream)
            try:
                to_broker.write(greeting)
                answers = asyncio.ensure_future(_pass_answers(from_broker, writer, line))
                await _pass(reader, to_broker, line)
            finally:
                to_broker.transport.abort()
        finally:
            line.connections.discard(task)
            if answers is not None:
                answers.cancel()


async def _read_greeting(reader: StreamReader) -> tuple[str, bytes]:
    """Return the client ID in a connection's first request, and that request.

    Raises:
        ConnectionError: it is no request of a Kafka client.
    """
    length = await reader.readexactly(_LENGTH.size)
    (size,) = _LENGTH.unpack(length)
    if not _HEADER.size <= size <= _LARGEST_GREETING:
        raise ConnectionError("not a Kafka client")
    request = await reader.readexactly(size)
    *_, id_size = _HEADER.unpack_from(request)
    # A length of -1 is none at all.
    client_id = request[_HEADER.size : _HEADER.size + max(id_size, 0)]
    return client_id.decode("utf-8", "replace"), length + request


async def _pass(reader: StreamReader, writer: StreamWriter, line: _Line) -> None:
    """Pass on what comes, to its end; hold it while nothing may pass."""
    while data := await reader.read(_CHUNK):
        await line.passing.wait()
        writer.write(data)
        await writer.drain()


async def _pass_answers(reader: StreamReader, writer: StreamWriter, line: _Line) -> None:
    # That the client is gone must not keep its last requests from the broker.
    with suppress(OSError):
        await _pass(reader, writer, line)
        writer.close()


async def _end(connections: set[asyncio.Task[None]]) -> None:
    ending = list(connections)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
