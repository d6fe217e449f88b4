"""A router beside other work."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from platform_events.channels.router import Router


class RouterThread:
    """Runs a router in a thread of its own, for the length of a `with`."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="router", daemon=True)

    def check(self) -> None:
        """Raise what ended the router, if anything did."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._router.run(self._stop)
        except Exception as failure:  # noqa: BLE001 - raised again by check()
            self._failure = failure

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if error_type is None:
            self.check()
