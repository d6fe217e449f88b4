"""How long the service takes to end on SIGTERM while streams are open."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import grpc

from benchmarks.deployment import deployed
from benchmarks.events import FLIGHT
from benchmarks.runner import MeasurementError, Samples, started
from benchmarks.service.encoded import from_latest, topic_of
from benchmarks.service.http2 import METADATA, SERVICE
from benchmarks.service.serving import served

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.rivals.base import Target

STREAMS = 100
_TIMEOUT = 60.0
_EXPECTED = ["UNAVAILABLE", "sfdc.platform.eventbus.grpc.subscription.internal.error"]


def follow_until_end(address: str, topic: str, streams: int) -> list[dict[str, Any]]:
    """Subscribe so many times, each on a connection of its own (runs in a worker).

    It says when each had its first response. Returns of each how it ended, when, on the monotonic
    clock in nanoseconds, and whether its last response said where to go on.
    """
    return asyncio.run(_follow(address, topic, streams))


async def _follow(address: str, topic: str, streams: int) -> list[dict[str, Any]]:
    first = [asyncio.Event() for _ in range(streams)]
    calls = [asyncio.create_task(_follow_one(address, topic, one)) for one in first]
    await asyncio.wait_for(asyncio.gather(*(one.wait() for one in first)), _TIMEOUT)
    print("ready", flush=True)
    return await asyncio.wait_for(asyncio.gather(*calls), _TIMEOUT)


async def _follow_one(address: str, topic: str, first: asyncio.Event) -> dict[str, Any]:
    from platform_events.service.messages import FetchResponse

    options = (("grpc.use_local_subchannel_pool", 1),)
    responses: list[bytes] = []
    async with grpc.aio.insecure_channel(address, options) as channel:
        call = channel.stream_stream(f"/{SERVICE}/Subscribe")(metadata=METADATA)
        await call.write(from_latest(topic))
        try:
            while (response := await call.read()) is not grpc.aio.EOF:
                responses.append(response)
                first.set()
        except grpc.RpcError:
            # It is told below.
            pass
        ended = time.monotonic_ns()
        status = await call.code()
        trailers = dict(await call.trailing_metadata())
    last = FetchResponse.FromString(responses[-1])
    return {
        "ended": ended,
        "how": [status.name, trailers.get("error-code", "")],
        "has_place": len(responses) > 1 and bool(last.latest_replay_id),
    }


def measure_drain(
    bootstrap_servers: str, rounds: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return the seconds from SIGTERM until the last stream ended, and until the process did.

    Raises:
        MeasurementError, RuntimeError: there is nothing to measure.
    """
    streams, process = Samples(), Samples()
    with deployed(bootstrap_servers, [FLIGHT]) as targets:
        for turn in range(rounds):
            progress(f"service: drain {turn + 1}/{rounds}, {STREAMS} streams")
            process.record(lambda: _drain(targets[FLIGHT.event], streams))
    return {"streams": streams.to_json(), "process": process.to_json()}


def _drain(target: Target, streams: Samples) -> float:
    with served(target) as service:
        job = {"address": service.plaintext, "topic": topic_of(target), "streams": STREAMS}
        with started("benchmarks.service.drain:follow_until_end", job) as load:
            if load.hear() != "ready":
                raise MeasurementError("not all streams were opened")
            start = time.monotonic_ns()
            took = service.stop()
            found = load.result()
    wrong = [one for one in found if one["how"] != _EXPECTED or not one["has_place"]]
    if wrong or len(found) != STREAMS:
        raise MeasurementError(
            f"{len(wrong)} of {STREAMS} streams ended otherwise, such as with {wrong[:1]}"
        )
    streams.values.append((max(one["ended"] for one in found) - start) / 1e9)
    return took
