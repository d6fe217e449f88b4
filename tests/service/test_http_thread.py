"""The HTTP server's port, its end, and what becomes of its failures."""

from __future__ import annotations

import http.client
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from platform_events.bus.bus import EventBus
from platform_events.errors import ServiceError
from platform_events.service.http.application import make_application
from platform_events.service.http.thread import HttpThread
from platform_events.service.listener import listen
from tests.service.serving import ask
from tests.support import free_port, wait_until

GUID = "e5bfcf9f-9966-7719-7285-83e865d0f120"


class SlowCatalog:
    """A catalog whose answer is waited for."""

    def __init__(self) -> None:
        self.asked, self.answer = threading.Event(), threading.Event()

    def schema(self, _: str) -> SimpleNamespace:
        self.asked.set()
        assert self.answer.wait(60)
        return SimpleNamespace(text="{}")


def status_of(host: str, port: int, path: str) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def raises(thread: HttpThread) -> bool:
    try:
        thread.check()
    except OSError:
        return True
    return False


def test_a_look_up_that_hangs_holds_up_neither_other_requests_nor_the_end() -> None:
    catalog = SlowCatalog()
    bus: EventBus = SimpleNamespace(catalog=catalog)  # type: ignore[assignment]
    before = set(threading.enumerate())
    listener = listen(free_port(), exactly=True)
    host, port = listener.getsockname()
    idle = http.client.HTTPConnection(host, port)
    with ThreadPoolExecutor(1) as client:
        with HttpThread(make_application(bus), listener):
            idle.request("GET", "/")
            assert idle.getresponse().read()
            waiting = client.submit(status_of, host, port, f"/schemas/guids/{GUID}")
            assert catalog.asked.wait(60)
            assert ask(f"http://{host}:{port}/").status == 404
        assert waiting.result(60) == 500
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host, port)).close()
        catalog.answer.set()
    idle.close()
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_an_end_right_after_the_start_leaves_nothing() -> None:
    before = set(threading.enumerate())
    listener = listen(free_port(), exactly=True)
    bus = EventBus(bootstrap_servers="127.0.0.1:1")
    with HttpThread(make_application(bus), listener):
        pass
    assert set(threading.enumerate()) <= before
    assert listener.fileno() == -1


def test_what_ended_the_server_is_raised() -> None:
    listener = listen(free_port(), exactly=True)
    listener.close()
    thread = HttpThread(make_application(EventBus(bootstrap_servers="127.0.0.1:1")), listener)
    thread.__enter__()
    wait_until(lambda: raises(thread))
    with pytest.raises(OSError, match="descriptor"):
        thread.__exit__(None)


def test_it_does_not_hide_what_went_wrong_beside_it() -> None:
    listener = listen(free_port(), exactly=True)
    listener.close()
    bus = EventBus(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(LookupError), HttpThread(make_application(bus), listener):
        raise LookupError


def test_a_port_that_is_taken_gives_the_next_one_unless_it_was_asked_for() -> None:
    port = free_port()
    with listen(port, exactly=True) as first:
        assert first.getsockname() == ("127.0.0.1", port)
        with listen(port, exactly=False) as second:
            assert port < second.getsockname()[1] < port + 100
        with pytest.raises(ServiceError, match=rf"port {port} .*in use.*--http-plain-port"):
            listen(port, exactly=True)


def test_ports_of_kafka_are_left_to_it() -> None:
    port = free_port()
    brokers = range(port, port + 3)
    with listen(port, exactly=False, brokers=brokers) as listener:
        assert listener.getsockname()[1] >= port + 3
    with pytest.raises(ServiceError, match=r"a broker gets it.*--http-plain-port"):
        listen(port, exactly=True, brokers=brokers)


def test_the_last_ports_are_tried_and_no_further() -> None:
    with pytest.raises(ServiceError, match="each of the ports 65500 to 65535"):
        listen(65_500, exactly=False, brokers=range(65_500, 65_536))


class TestListening:
    def test_addresses_of_both_kinds_and_names_are_taken(self) -> None:
        for host in ("127.0.0.1", "localhost", "::1", "[::1]"):
            with listen(free_port(), host, exactly=True) as listener:
                assert listener.getsockname()[1] > 0

    def test_what_is_no_address_of_this_machine_is_said_so(self) -> None:
        with pytest.raises(ServiceError, match=r"no address of this machine .*HEALTH_HOST"):
            listen(free_port(), "no.such.host.invalid", exactly=True, setting="HEALTH_{}")
