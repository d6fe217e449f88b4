"""One call of the Pub/Sub API: who makes it, and how it ends when something fails."""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError

from platform_events.service.access_log import AccessLog
from platform_events.service.errors import INTERNAL, CallError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from platform_events.service.access import Access, Session
    from platform_events.service.errors import Code

_CHECK_EVERY = 1.0
"""Seconds between two looks at whether the callers of streams may still do what they do."""
_BEGUN_AFTER = 0.05
"""Seconds after which a call that was let in is under way."""
_logger = logging.getLogger("platform_events.service")


class Call:
    """A call under way. Messages are bytes: handlers read and write them.

    Args:
        context: gRPC's.
        session: who calls.
        rpc_id: by which the caller and the log name it.
    """

    def __init__(self, context: Any, session: Session, rpc_id: str) -> None:
        self._context = context
        self.session = session
        self.rpc_id = rpc_id

    @property
    def address(self) -> str:
        """Where it comes from."""
        return _address(self._context)

    async def read(self) -> bytes | None:
        """Return the next message of a stream, None once the caller has said that it was the last.

        Raises:
            asyncio.CancelledError: the caller is gone.
        """
        message = await self._context.read()
        return None if message is grpc.aio.EOF else message  # type: ignore[attr-defined]

    async def write(self, message: bytes) -> None:
        """Send a message of a stream; wait while the caller does not take what was sent."""
        await self._context.write(message)

    def metadata(self, name: str) -> str:
        """Return the text of the caller's metadata of that name, empty if there is none."""
        return _metadata(self._context).get(name, "")


Unary: TypeAlias = "Callable[[Call, bytes], Awaitable[bytes]]"
Streaming: TypeAlias = "Callable[[Call], Awaitable[None]]"


@dataclass(eq=False, slots=True)
class _Stream:
    """A stream under way."""

    call: Call
    task: asyncio.Task[Any]
    """Answers it."""
    reason: CallError | None = None
    """Why it is ended; None: it is not."""


class Calls:
    """Makes gRPC's handlers of ours: each knows its caller, and fails as clients understand it.

    Streams end when their callers would not be let in any more, or lack a right that they use.

    Args:
        access: knows callers.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._log = AccessLog()
        self._streams: set[_Stream] = set()
        self._checking: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[Any]] = set()

    async def over(self) -> None:
        """Return as soon as no call is under way, once no more are let in."""
        await asyncio.sleep(_BEGUN_AFTER)
        while self._under_way:
            await asyncio.wait(self._under_way)

    def unary(self, handle: Unary) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Return the handler of one request and one answer."""

        async def run(request: bytes, context: Any) -> Any:
            async def answer(call: Call) -> bytes:
                return await handle(call, request)

            return await self._run(answer, context)

        return grpc.unary_unary_rpc_method_handler(run)

    def streaming(self, handle: Streaming) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Return the handler of a stream in both directions."""

        async def run(_: object, context: Any) -> None:
            await self._run(partial(self._checked, handle), context)

        return grpc.stream_stream_rpc_method_handler(run)

    async def _checked(self, handle: Streaming, call: Call) -> None:
        """Answer a stream for as long as its caller may do what it does."""
        task = asyncio.current_task()
        assert task is not None
        stream = _Stream(call, task)
        self._streams.add(stream)
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check())
        try:
            await handle(call)
        except asyncio.CancelledError:
            # The caller may have gone at the same time.
            if stream.reason is None or task.uncancel():
                raise
            raise stream.reason from None
        finally:
            self._streams.discard(stream)

    async def _check(self) -> None:
        """End streams that may not go on, until there is none."""
        while self._streams:
            await asyncio.sleep(_CHECK_EVERY)
            for stream in self._streams:
                if stream.reason is None:
                    self._check_one(stream)

    def _check_one(self, stream: _Stream) -> None:
        call = stream.call
        try:
            self._access.check(call.session)
        except CallError as error:
            self._log.ended(call.session, call.address, str(error))
            stream.reason = error
            stream.task.cancel()

    async def _run(self, handle: Callable[[Call], Awaitable[Any]], context: Any) -> Any:
        rpc_id = str(uuid.uuid4())
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        # Its status has been sent by then.
        task.add_done_callback(self._under_way.discard)
        try:
            session = self._access.authenticate(_metadata(context), _address(context))
            try:
                return await handle(Call(context, session, rpc_id))
            except CallError:
                if session.refused and not session.used:
                    self._log.right_refused(session, _address(context))
                raise
        except CallError as error:
            failure = error
        except asyncio.CancelledError:
            raise
        except Exception:
            _logger.exception("call %s failed", rpc_id)
            failure = CallError(INTERNAL, "The service failed; its log says why.")
        trailers = {
            "error-code": str(failure.code),
            "rpc-id": rpc_id,
            "type": failure.code.status.name,
            **failure.trailers,
        }
        # It always raises.
        return await context.abort(
            failure.code.status, failure.text(rpc_id), tuple(trailers.items())
        )


def parse(message: Any, data: bytes, code: Code) -> Any:
    """Return a request; one that cannot be read fails the call with `code`.

    Args:
        message: the class of the request.
        data: as it came.
        code: why the call fails.
    """
    try:
        return message.FromString(data)
    except DecodeError:
        raise CallError(code, f"These bytes are no {message.DESCRIPTOR.name}.") from None


def _metadata(context: Any) -> dict[str, str]:
    """Return the caller's metadata by name; the last of a name counts."""
    return {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}


def _address(context: Any) -> str:
    """Return where a call comes from, without the port."""
    kind, _, rest = str(context.peer()).partition(":")
    return unquote(rest).rpartition(":")[0] if kind in ("ipv4", "ipv6") else kind
