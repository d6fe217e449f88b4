"""Workers of one process share a connection."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import pytest

from platform_events import ClosedError, Settings
from platform_events.bus.bus import EventBus
from platform_events.workers.sharing import shared_bus
from tests.support import ORDER, apply_texts


@pytest.fixture(autouse=True)
def _defined(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    apply_texts(settings, tmp_path_factory.mktemp("schemas"), ORDER)


def test_the_same_cluster_is_connected_once(settings: Settings) -> None:
    other = settings.of_tenant("another")
    with shared_bus(settings) as bus, shared_bus(settings) as same, shared_bus(other) as another:
        assert bus is not same
        assert bus.admin is same.admin is another.admin


def test_each_has_the_bus_of_its_own_tenant(settings: Settings) -> None:
    other = settings.of_tenant("another", "urn:another")
    with shared_bus(settings) as bus, shared_bus(other) as another:
        assert (bus.settings.tenant, another.settings.tenant) == (settings.tenant, "another")
        assert another.settings.source == "urn:another"
        assert bus.publish("Order_Placed__e", {"order_id": "A-1"}).event_id


def test_the_connection_ends_with_its_last_user(settings: Settings) -> None:
    with shared_bus(settings) as first:
        with shared_bus(settings) as second:
            second.publish("Order_Placed__e", {"order_id": "A-1"})
        with pytest.raises(ClosedError):
            second.publish("Order_Placed__e", {"order_id": "A-2"})
        first.publish("Order_Placed__e", {"order_id": "A-3"})
    with pytest.raises(ClosedError):
        first.publish("Order_Placed__e", {"order_id": "A-4"})
    with shared_bus(settings) as later:
        later.publish("Order_Placed__e", {"order_id": "A-5"})


def test_other_settings_are_another_connection(settings: Settings) -> None:
    impatient = settings.model_copy(update={"request_timeout": 5.0})
    with shared_bus(settings) as bus:
        with shared_bus(impatient) as other:
            assert other.settings.request_timeout == 5.0
            other.publish("Order_Placed__e", {"order_id": "A-1"})
        bus.publish("Order_Placed__e", {"order_id": "A-2"})


def test_many_threads_may_come_and_go(settings: Settings) -> None:
    failures: list[BaseException] = []

    def use() -> None:
        try:
            for _ in range(5):
                with shared_bus(settings) as bus:
                    bus.publish("Order_Placed__e", {"order_id": "A-1"})
        except BaseException as failure:  # noqa: BLE001 - it is looked at below
            failures.append(failure)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with EventBus(settings) as bus:
        assert len(list(bus.subscribe("Order_Placed__e", follow=False))) == 20


def test_a_forked_child_has_a_connection_of_its_own(settings: Settings) -> None:
    code = f"""
        import os
        from platform_events import Settings
        from platform_events.workers.sharing import shared_bus
        settings = Settings(bootstrap_servers={settings.bootstrap_servers!r},
                            tenant={settings.tenant!r})
        with shared_bus(settings) as bus:
            child = os.fork()
            if not child:
                with shared_bus(settings) as own:
                    own.publish("Order_Placed__e", {{"order_id": "A-1"}})
                os._exit(7)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("7\n", "")
