"""The pytest plugin. It is loaded in every test run, so it imports nothing heavy by itself."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from platform_events.testing.sharing import RunBroker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from platform_events.bus.aio import AsyncEventBus
    from platform_events.bus.bus import EventBus
    from platform_events.definitions.model import Definitions
    from platform_events.replay import ReplayId
    from platform_events.testing import KafkaBroker
    from platform_events.testing.proxy import Cut
    from platform_events.testing.tenancy import Tenancy

SCHEMAS_OPTION = "platform_events_schemas"
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

        return ask_for_broker(invitation)
    return pytestconfig.stash[_BROKER].get()


@pytest.fixture
def tenant() -> str:
    """A tenant name that no other test uses, such as `t-5f3a9c01`."""
    return f"t-{secrets.token_hex(4)}"


@pytest.fixture
def event_bus(_tenancy: Tenancy) -> Iterator[EventBus]:
    """An `EventBus` of a tenant of its own, with the definitions of `schemas/` applied.

    `EventBus()`, in the code under test, is the same tenant's. The ini option
    `platform_events_schemas` names another directory, relative to pytest's rootdir.
    """
    from platform_events.bus.bus import EventBus

    with EventBus(_tenancy.settings) as bus:
        yield bus


@pytest.fixture
def async_event_bus(_tenancy: Tenancy) -> Iterator[AsyncEventBus]:
    """An `AsyncEventBus` of the same tenant as `event_bus`; made and closed without a loop."""
    import asyncio

    from platform_events.bus.aio import AsyncEventBus

    bus = AsyncEventBus(_tenancy.settings)
    yield bus
    # A loop that is nobody's: what a plug-in for asyncio has set up stays as it is.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(bus.close())


@pytest.fixture
def expire(_tenancy: Tenancy) -> Callable[[ReplayId | bytes | str], None]:
    """Delete events as retention does: `expire(replay_id)`.

    What goes are the events of that ID's stream that a subscriber at it has read, its own event
    included. So it is good still, and every older ID of the stream is EXPIRED.
    """
    return _tenancy.expire


@pytest.fixture
def break_broker(_tenancy: Tenancy) -> Callable[[Cut], AbstractContextManager[None]]:
    """Cut this test's buses off from the broker, for the length of a `with`.

    `with break_broker("refuse"):` closes their connections and every new one; `"hang"` leaves them
    open and lets nothing through, and what was held goes on at the end. Nobody else's buses notice.
    """
    return _tenancy.break_broker


@pytest.fixture
def _tenancy(
    request: pytest.FixtureRequest,
    _definitions: Definitions,
    kafka_broker: KafkaBroker,
    tenant: str,
) -> Iterator[Tenancy]:
    from platform_events.testing.tenancy import Tenancy

    is_breakable = "break_broker" in request.fixturenames
    with Tenancy(kafka_broker, tenant, _definitions, is_breakable=is_breakable) as tenancy:
        yield tenancy


@pytest.fixture(scope="session")
def _definitions(pytestconfig: pytest.Config) -> Definitions:
    """What the user's files define; what is wrong with them is said before a broker starts."""
    from platform_events.errors import DefinitionsError
    from platform_events.files.loader import load_definitions

    directory = pytestconfig.rootpath / pytestconfig.getini(SCHEMAS_OPTION)
    if not directory.is_dir():
        pytest.fail(
            f"the fixtures event_bus and async_event_bus apply the definitions in {directory}, and "
            f"there is no such directory: `platform-events init` makes one, or name yours, relative"
            f" to {pytestconfig.rootpath}, with the ini option {SCHEMAS_OPTION}",
            pytrace=False,
        )
    try:
        return load_definitions(directory)
    except DefinitionsError as error:
        problems = "\n".join(map(str, error.problems))
    pytest.fail(f"the definitions in {directory} are not valid:\n{problems}", pytrace=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the ini option."""
    parser.addini(
        SCHEMAS_OPTION,
        "directory of event and channel definitions for event_bus, relative to rootdir",
        default="schemas",
    )


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
