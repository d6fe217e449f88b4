"""A runtime that hands the events of a stream to a worker one by one, and commits nothing.

Whoever imports it has workers run by it, unless there is a real one.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from platform_events import Context, Start, WorkerStoppedError
from platform_events.process_health import ProcessHealth

_TICK = 0.05


class Runtime:
    def __init__(self, app: Any, bus: Any, *, stop: Any, instance_id: Any, grace: float) -> None:
        self.health = ProcessHealth()
        self._app, self._bus, self._stop, self._grace = app, bus, stop, grace
        self.instance_id = instance_id

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        start = Start.EARLIEST
        subscription = await asyncio.to_thread(self._bus.subscribe, self._app.stream, start)
        self.health.obstacle = ""
        try:
            while not self._stop.is_set():
                self.health.beat()
                for event in await asyncio.to_thread(subscription.take, 1, _TICK):
                    await self._handle(event, loop)
        finally:
            await asyncio.to_thread(subscription.close)

    async def _handle(self, event: Any, loop: Any) -> None:
        spec = self._app.handlers.find(event.type)
        context = Context(1, self._app.name, 0, None, False, event)
        if spec.is_async:
            handling = asyncio.ensure_future(spec.function(event, context))
        else:
            handling = loop.create_future()

            def call() -> None:
                try:
                    spec.function(event, context)
                except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                    loop.call_soon_threadsafe(handling.set_exception, error)
                else:
                    loop.call_soon_threadsafe(handling.set_result, None)

            threading.Thread(target=call, daemon=True).start()
        left = self._grace
        while not handling.done():
            self.health.beat()
            await asyncio.wait([handling], timeout=_TICK)
            left -= _TICK if self._stop.is_set() else 0
            if left < 0:
                handling.cancel()
                return
        if error := handling.exception():
            raise WorkerStoppedError(f"{self._app.name} stops: {error!r}")


if find_spec("platform_events.workers.runtime") is None:
    module = ModuleType("platform_events.workers.runtime")
    module.Runtime = Runtime  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
