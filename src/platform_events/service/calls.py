"""One call of the Pub/Sub API: who makes it, and how it ends when something fails."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from platform_events.service.errors import INTERNAL, CallError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from platform_events.service.access import Access, Session
    from platform_events.service.errors import Code

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


class Calls:
    """Makes gRPC's handlers of ours: each knows its caller, and fails as clients understand it.

    Args:
        access: knows callers.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
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
            await self._run(handle, context)

        return grpc.stream_stream_rpc_method_handler(run)

    async def _run(self, handle: Callable[[Call], Awaitable[Any]], context: Any) -> Any:
        rpc_id = str(uuid.uuid4())
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        # Its status has been sent by then.
        task.add_done_callback(self._under_way.discard)
        try:
            session = self._access.authenticate(_metadata(context))
            return await handle(Call(context, session, rpc_id))
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
