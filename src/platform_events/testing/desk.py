"""Where the processes of a test run ask for its broker, and have it cut them off."""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from typing import TYPE_CHECKING, Any

from platform_events.errors import LocalBrokerError, PlatformEventsError
from platform_events.testing import BrokerAccess, KafkaBroker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.testing.proxy import Cut

_HOST = "127.0.0.1"
_BACKLOG = 64


class BrokerDesk:
    """A thread that answers the processes of this run, one after the other.

    Args:
        answer: returns what the function of that name in this module asks for.
    """

    def __init__(self, answer: Callable[[str, Sequence[str]], Any]) -> None:
        self._answer = answer
        self._key = secrets.token_bytes(16)
        self._listener = Listener((_HOST, 0), backlog=_BACKLOG, authkey=self._key)
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="kafka-broker-desk", daemon=True)
        self._thread.start()
        port = self._listener.address[1]
        self.invitation = (str(port), self._key.hex())

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
                question, arguments = asker.recv()
                asker.send(self._say(question, arguments))

    def _say(self, question: str, arguments: Sequence[str]) -> tuple[Any, Exception | None]:
        try:
            return self._answer(question, arguments), None
        except PlatformEventsError as error:
            return None, error
        except Exception as error:  # noqa: BLE001 - the process that asked shows it
            return None, LocalBrokerError(str(error) or type(error).__name__)


def ask_for_broker(invitation: Sequence[str]) -> KafkaBroker:
    """Return another process's broker, as `RunBroker.get` does there.

    Raises:
        PlatformEventsError: it cannot be started.
    """
    address, proxy_address = _ask(invitation, "broker")
    return KafkaBroker(address, proxy_address and BrokerAccess(proxy_address, tuple(invitation)))


def cut_off(invitation: Sequence[str], client_id: str, how: Cut) -> None:
    """Have the proxy of a test run cut off a client, as `BrokerProxy.cut` does there.

    Raises:
        UsageError: it is cut off already, or `how` is no way to do it.
    """
    _ask(invitation, "cut", client_id, how)


def mend(invitation: Sequence[str], client_id: str) -> None:
    """Have the proxy of a test run let a client through again."""
    _ask(invitation, "mend", client_id)


def _ask(invitation: Sequence[str], question: str, *arguments: str) -> Any:
    port, key = invitation
    with Client((_HOST, int(port)), authkey=bytes.fromhex(key)) as connection:
        connection.send((question, arguments))
        answer, failure = connection.recv()
    if failure is not None:
        raise failure
    return answer
