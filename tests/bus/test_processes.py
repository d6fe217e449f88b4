"""A bus among forks, green threads and ends of processes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from types import ModuleType

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.values import PublishStatus
from platform_events.channels.router import Router
from platform_events.errors import ForkedError, UsageError
from platform_events.settings import Settings
from tests.bus.orders import order_ids

EVENT = "Order_Placed__e"
PERSISTED = PublishStatus.PERSISTED


class TestProcesses:
    def run(self, bus_settings: Settings, code: str) -> subprocess.CompletedProcess[str]:
        prelude = f"""
            import os, sys
            from platform_events.bus.bus import EventBus
            from platform_events.errors import ForkedError
            bus = EventBus(bootstrap_servers={bus_settings.bootstrap_servers!r},
                           tenant={bus_settings.tenant!r})
        """
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(prelude) + textwrap.dedent(code)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def test_a_forked_child_is_told_and_exits_cleanly(
        self, bus: EventBus, settings: Settings
    ) -> None:
        outcome = self.run(
            settings,
            """
            bus.publish("Order_Placed__e", {"order_id": "parent"})
            subscription = bus.subscribe("Order_Placed__e")
            pid = os.fork()
            if pid == 0:
                for use in (lambda: bus.publish("Order_Placed__e", {"order_id": "x"}),
                            lambda: bus.subscribe("Order_Placed__e"),
                            lambda: next(subscription)):
                    try:
                        use()
                    except ForkedError:
                        print("forked", flush=True)
                bus.close()
                sys.exit(7)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
            bus.publish("Order_Placed__e", {"order_id": "parent again"})
            """,
        )
        assert outcome.stderr == ""
        assert outcome.stdout.split() == ["forked", "forked", "forked", "7"]
        assert order_ids(bus) == ["parent", "parent again"]

    @pytest.mark.parametrize(
        ("module", "question", "way_out"),
        [
            ("gevent.monkey", "is_module_patched", r"gevent\.monkey\.patch_all\(thread=False\)"),
            ("eventlet.patcher", "is_monkey_patched", r"eventlet\.monkey_patch\(thread=False\)"),
        ],
    )
    def test_a_stream_is_not_followed_among_green_threads(
        self, bus: EventBus, monkeypatch: pytest.MonkeyPatch, module: str, question: str,
        way_out: str,
    ) -> None:  # fmt: skip
        """The client would wait in C, and nothing else would run."""
        patched = {"socket", "time"}
        patcher = ModuleType(module)
        setattr(patcher, question, patched.__contains__)
        monkeypatch.setitem(sys.modules, module, patcher)
        bus.subscribe(EVENT).close()
        patched.update(("thread", "threading"))
        with pytest.raises(UsageError, match=way_out):
            bus.subscribe(EVENT)
        with pytest.raises(UsageError, match=way_out):
            Router(bus.settings)
        assert bus.publish(EVENT, {"order_id": "A"}).status is PERSISTED
        assert order_ids(bus) == ["A"]

    def test_an_unused_bus_works_in_children_and_parent(
        self, bus: EventBus, settings: Settings
    ) -> None:
        outcome = self.run(
            settings,
            """
            for name in ("child", "other"):
                pid = os.fork()
                if pid == 0:
                    if name == "other" and os.fork():
                        sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
                    bus.submit("Order_Placed__e", {"order_id": name})
                    sys.exit(7)
                print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
            bus.submit("Order_Placed__e", {"order_id": "parent"})
            """,
        )
        assert (outcome.stdout.split(), outcome.stderr) == (["7", "7"], "")
        assert order_ids(bus) == ["child", "other", "parent"]

    def test_a_fork_amid_the_first_use_is_told(self) -> None:
        outcome = self.run(
            Settings(),
            """
            with bus._connection.starting:
                if os.fork() == 0:
                    try:
                        bus.publish("Order_Placed__e", {"order_id": "x"})
                    except ForkedError:
                        sys.exit(7)
            print(os.waitstatus_to_exitcode(os.wait()[1]))
            """,
        )
        assert (outcome.stdout.split(), outcome.stderr) == (["7"], "")

    def test_a_forgotten_bus_is_closed_at_exit(self, bus: EventBus, settings: Settings) -> None:
        outcome = self.run(
            settings,
            """
            for number in range(3000):
                bus.submit("Order_Placed__e", {"order_id": str(number)})
            subscription = bus.subscribe("Order_Placed__e")
            """,
        )
        assert (outcome.returncode, outcome.stderr) == (0, "")
        assert len(order_ids(bus)) == 3000

    def test_a_forked_child_is_told_by_every_bus_of_a_used_cluster(
        self, bus: EventBus, settings: Settings
    ) -> None:
        outcome = self.run(
            settings,
            """
            from platform_events import Cluster
            cluster = Cluster(bus.settings)
            used, unused = (cluster.bus(bus.settings.tenant) for _ in range(2))
            used.publish("Order_Placed__e", {"order_id": "parent"})
            if os.fork() == 0:
                for use in (lambda: used.publish("Order_Placed__e", {"order_id": "x"}),
                            lambda: unused.publish("Order_Placed__e", {"order_id": "x"}),
                            lambda: cluster.bus("other")):
                    try:
                        use()
                    except ForkedError:
                        print("forked", flush=True)
                used.close()
                cluster.close()
                sys.exit(7)
            print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
            unused.publish("Order_Placed__e", {"order_id": "parent again"})
            """,
        )
        assert outcome.stderr == ""
        assert outcome.stdout.split() == ["forked", "forked", "forked", "7"]
        assert order_ids(bus) == ["parent", "parent again"]

    def test_an_unused_cluster_works_in_a_child_and_is_closed_at_exit_if_forgotten(
        self, bus: EventBus, settings: Settings
    ) -> None:
        outcome = self.run(
            settings,
            """
            from platform_events import Cluster
            cluster = Cluster(bus.settings)
            shop = cluster.bus(bus.settings.tenant)
            if os.fork():
                sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
            for number in range(3000):
                shop.submit("Order_Placed__e", {"order_id": str(number)})
            """,
        )
        assert (outcome.returncode, outcome.stderr) == (0, "")
        assert len(order_ids(bus)) == 3000

    def test_forked_error_has_a_code(self) -> None:
        assert ForkedError.code == "FORKED"
