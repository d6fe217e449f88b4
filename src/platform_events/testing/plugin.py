"""The pytest plugin. It is loaded in every test run, so it imports nothing heavy by itself."""

from __future__ import annotations

import secrets

import pytest

from platform_events.testing import KafkaBroker
from platform_events.testing.sharing import BrokerLease

_LEASE = pytest.StashKey[BrokerLease]()


@pytest.fixture(scope="session")
def kafka_broker(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> KafkaBroker:
    """A real Kafka for the whole run: use its `bootstrap_servers`, and `tenant` for isolation.

    The first start on a machine downloads 45 MB.
    """
    is_worker = hasattr(pytestconfig, "workerinput")
    lease = BrokerLease(tmp_path_factory.getbasetemp().parent if is_worker else None)
    address = lease.acquire()
    pytestconfig.stash[_LEASE] = lease
    return KafkaBroker(address)


@pytest.fixture
def tenant() -> str:
    """A tenant name that no other test uses, such as `t-5f3a9c01`."""
    return f"t-{secrets.token_hex(4)}"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give the broker up. Not in the fixture, whose wait for other workers could time out."""
    lease = session.config.stash.get(_LEASE, None)
    if lease is not None:
        lease.release()
