"""Serving an application, and asking it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from starlette.types import ASGIApp

from platform_events.service.http.thread import HttpThread
from platform_events.service.listener import listen
from tests.support import free_port


class Answer(NamedTuple):
    status: int
    media_type: str
    document: Any


def ask(url: str, method: str = "GET") -> Answer:
    """Send a request; an error's status is an answer too."""
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        media_type = response.headers["content-type"]
        return Answer(response.status, media_type, json.loads(response.read()))


def ask_text(url: str) -> tuple[int, str]:
    """Return status and text of an answer.

    Raises:
        OSError: nobody listens.
    """
    try:
        response = urllib.request.urlopen(url, timeout=60)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return response.status, response.read().decode()


@contextmanager
def served(application: ASGIApp) -> Iterator[str]:
    """Serve an application at the URL that this gives."""
    listener = listen(free_port(), exactly=True)
    host, port = listener.getsockname()
    with HttpThread(application, listener):
        yield f"http://{host}:{port}"
