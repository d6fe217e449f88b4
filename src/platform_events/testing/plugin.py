"""The pytest plugin. It is loaded in every test run, so it imports nothing heavy by itself."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from platform_events.testing import KafkaBroker
from platform_events.testing.sharing import RunBroker

_BROKER = pytest.StashKey[RunBroker]()
_INVITATION = "platform_events_broker"


@pytest.fixture(scope="session")
def kafka_broker(pytestconfig: pytest.Config) -> KafkaBroker:
    """A real Kafka for the whole run: use its `bootstrap_servers`, and `tenant` for isolation.

    The first start on a machine downloads 45 MB.
    """
    invitation = getattr(pytestconfig, "workerinput", {}).get(_INVITATION)
    if invitation is not None:
        from platform_events.testing.desk import ask_for_broker  # not in every test run

        return KafkaBroker(ask_for_broker(invitation))
    return KafkaBroker(pytestconfig.stash[_BROKER].address())


@pytest.fixture
def tenant() -> str:
    """A tenant name that no other test uses, such as `t-5f3a9c01`."""
    return f"t-{secrets.token_hex(4)}"


def pytest_configure(config: pytest.Config) -> None:
    """Prepare for the first test that asks for a broker."""
    config.stash[_BROKER] = RunBroker()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where to ask."""
    node.workerinput[_INVITATION] = node.config.stash[_BROKER].invitation()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the broker, after all workers have ended."""
    config.stash[_BROKER].stop()
