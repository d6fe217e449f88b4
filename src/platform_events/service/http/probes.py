"""What Kubernetes and Prometheus ask a long-running process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from platform_events.process_health import ProcessHealth

_UNAVAILABLE = 503


def make_probes(
    health: ProcessHealth, *, has_metrics: bool, metrics: Callable[[], bytes] | None = None
) -> Starlette:
    """Return the ASGI application that answers `/livez`, `/readyz` and `/metrics`.

    The first two answer in one line: 200, or 503 and why.

    Args:
        health: of the process.
        has_metrics: whether there are any.
        metrics: returns them as text; None: they are those of this process.
    """

    async def answer_livez(_: Request) -> Response:
        if health.is_alive:
            return _line("alive")
        return _line(f"its loop last came round {health.loop_age:.0f} s ago", _UNAVAILABLE)

    async def answer_readyz(_: Request) -> Response:
        obstacle = health.obstacle
        return _line(obstacle, _UNAVAILABLE) if obstacle else _line("ready")

    async def answer_metrics(_: Request) -> Response:
        if not has_metrics:
            return _line("no metrics are kept; PLATFORM_EVENTS_METRICS=true has them kept", 404)
        from platform_events.metrics.exposition import MEDIA_TYPE, metrics_text

        return Response((metrics or metrics_text)(), media_type=MEDIA_TYPE)

    return Starlette(
        routes=[
            Route("/livez", answer_livez),
            Route("/readyz", answer_readyz),
            Route("/metrics", answer_metrics),
        ]
    )


def _line(text: str, status: int = 200) -> Response:
    return PlainTextResponse(" ".join(text.split()) + "\n", status)
