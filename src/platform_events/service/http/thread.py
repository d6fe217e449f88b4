"""An HTTP server beside other work."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

import uvicorn

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp

    from platform_events.service.certificates import Certificate


class HttpThread:
    """Serves an application in a thread of its own, for the length of a `with`.

    Its end cuts off what is not answered within a tenth of a second.
    """

    def __init__(
        self,
        application: ASGIApp,
        listener: socket.socket,
        certificate: Certificate | None = None,
    ) -> None:
        """Serve at a socket that listens, with TLS if there is a certificate.

        The socket is closed at the end.
        """
        self._listener = listener
        tls: dict[str, Any] = {}
        if certificate is not None:
            tls = {"ssl_certfile": certificate.file, "ssl_keyfile": certificate.key_file}
        self._server = uvicorn.Server(
            uvicorn.Config(
                application,
                # The same parts whatever else is installed.
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=0,
                **tls,
            )
        )
        self._failure: Exception | None = None
        # What it starts are daemons too, so a look-up that hangs does not keep the process.
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def check(self) -> None:
        """Raise what ended the server, if anything did."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        except Exception as failure:  # noqa: BLE001 - raised again by check()
            self._failure = failure

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
        if error_type is None:
            self.check()
