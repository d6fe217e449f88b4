"""Where the processes of a test run ask for its broker."""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from typing import TYPE_CHECKING

from platform_events.errors import LocalBrokerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HOST = "127.0.0.1"
_BACKLOG = 64


class BrokerDesk:
    """A thread that answers the processes of this run, one after the other."""

    def __init__(self, answer: Callable[[], str]) -> None:
        self._answer = answer
        self._key = secrets.token_bytes(16)
        self._listener = Listener((_HOST, 0), backlog=_BACKLOG, authkey=self._key)
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="kafka-broker-desk", daemon=True)
        self._thread.start()
        port = self._listener.address[1]
        self.invitation = [str(port), self._key.hex()]

    def close(self) -> None:
        """Answer nobody any more; a broker that is being started gets ready first."""
        self._closing = True
        Client(self._listener.address, authkey=self._key).close()  # wakes the thread
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            # Whoever asked may have crashed meanwhile.
            with suppress(OSError, EOFError, AuthenticationError), self._listener.accept() as asker:
                if self._closing:
                    return
                asker.send(self._say())

    def _say(self) -> tuple[str | None, str | None]:
        try:
            return self._answer(), None
        except Exception as error:  # noqa: BLE001 - the process that asked shows it
            return None, str(error) or type(error).__name__


def ask_for_broker(invitation: Sequence[str]) -> str:
    """Return the address of another process's broker, as `RunBroker.address` does there.

    Raises:
        LocalBrokerError: it cannot be started.
    """
    port, key = invitation
    with Client((_HOST, int(port)), authkey=bytes.fromhex(key)) as connection:
        address, failure = connection.recv()
    if failure is not None:
        raise LocalBrokerError(failure)
    return str(address)
