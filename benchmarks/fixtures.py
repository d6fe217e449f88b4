"""What a test pays for `event_bus`, on a broker that runs: `python -m benchmarks.fixtures`."""

from __future__ import annotations

import argparse
import secrets
import statistics
import time
from typing import TYPE_CHECKING

from benchmarks.deployment import running_broker
from benchmarks.runner import ROOT
from platform_events.bus.bus import EventBus
from platform_events.files.loader import load_definitions
from platform_events.testing import KafkaBroker
from platform_events.testing.tenancy import Tenancy

if TYPE_CHECKING:
    from platform_events.definitions.model import Definitions

_ROUNDS = 20
_EVENT = "Order_Placed__e"
_CHANNEL = "Large_Orders__chn"
_ORDER = {"order_id": "A-1", "amount": 1000.0}


def main() -> None:
    """Print the median time of tests that do nothing but get a bus, or read a channel too."""
    arguments = _parse()
    definitions = load_definitions(ROOT / "examples" / "shop" / "schemas")
    with running_broker(arguments.bootstrap_servers) as address:
        broker = KafkaBroker(address)
        _measure(broker, definitions, None)
        _report("without a channel", broker, definitions, None, arguments.rounds)
        _report("with a channel", broker, definitions, _CHANNEL, arguments.rounds)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap-servers", help="a broker that runs; otherwise one is started")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="tests of each kind")
    return parser.parse_args()


def _report(
    label: str, broker: KafkaBroker, definitions: Definitions, channel: str | None, rounds: int
) -> None:
    took = [_measure(broker, definitions, channel) for _ in range(rounds)]
    print(
        f"{label:18} median {statistics.median(took):.2f} s of {rounds}, "
        f"{min(took):.2f} to {max(took):.2f} s"
    )


def _measure(broker: KafkaBroker, definitions: Definitions, channel: str | None) -> float:
    """Return the seconds from before the fixtures are set up until they are gone."""
    start = time.perf_counter()
    tenant = f"t-{secrets.token_hex(4)}"
    with Tenancy(broker, tenant, definitions) as tenancy, EventBus(tenancy.settings) as bus:
        if channel is not None:
            bus.publish(_EVENT, _ORDER)
            (event,) = bus.subscribe(channel, follow=False)
            assert event.payload["order_id"] == _ORDER["order_id"]
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
