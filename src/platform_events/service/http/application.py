"""What is served over HTTP, and what is answered when something fails."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from platform_events.errors import BrokerError, ClosedError, PlatformEventsError
from platform_events.service.http.answers import refuse
from platform_events.service.http.registry import registry_routes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from platform_events.bus.bus import EventBus
    from platform_events.service.http.registry import BusOf

_NOT_FOUND = 404
_logger = logging.getLogger("platform_events")


def make_application(bus: EventBus | BusOf, others: Sequence[Route] = ()) -> Starlette:
    """Return the ASGI application that serves schemas.

    Args:
        bus: is asked for schemas, whoever wants them; or returns the bus of who sends a request.
        others: what is served beside them, such as logging in.
    """

    async def same(_: Request) -> EventBus:
        assert not callable(bus)
        return bus

    application = Starlette(
        routes=[*registry_routes(bus if callable(bus) else same), *others],
        exception_handlers={
            HTTPException: _refuse_request,
            PlatformEventsError: _report_failure,
            Exception: _report_failure,
        },
    )
    application.router.redirect_slashes = False
    return application


async def _refuse_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"{error.detail}: {request.method} {request.url.path}"
    if error.status_code == _NOT_FOUND:
        what += "; schemas are served at /schemas/guids/GUID"
    return refuse(error.status_code, what, headers=error.headers)


async def _report_failure(request: Request, error: Exception) -> Response:
    if isinstance(error, BrokerError | ClosedError):
        return refuse(503, str(error))
    if isinstance(error, PlatformEventsError):
        return refuse(500, str(error))
    _logger.error("answering %s failed: %r", request.url.path, error, exc_info=error)
    return refuse(500, "this is a defect of platform-events; its log says more")
