"""Make a cache of Kafka's loaded classes, with which an embedded broker starts in half the time.

    python -m tools.java_cache CACHE

Java reads it when JDK_JAVA_OPTIONS says so, as `make test` has it, and goes on without it when it
does not fit. A broker that has done some work writes it when it stops, which takes some 10 s.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from platform_events import EventBus, Start
from platform_events.catalog.apply import apply, plan_options
from platform_events.files.loader import load_definitions
from platform_events.kafka.local import LocalKafka, node
from platform_events.settings import Settings

SCHEMAS = Path(__file__).parents[1] / "schemas"
EVENT = "Order_Placed__e"


def work(settings: Settings) -> None:
    """Have the broker do what most tests have it do."""
    definitions = load_definitions(SCHEMAS)
    apply(settings, definitions, plan_options(settings))
    with EventBus(settings) as bus:
        bus.publish_many(EVENT, ({"order_id": str(n), "amount": 1.0} for n in range(2_000)))
        with bus.subscribe(EVENT, Start.EARLIEST, follow=False) as events:
            assert len(list(events)) == 2_000


def main() -> None:
    """Run a broker that writes the cache."""
    cache = Path(sys.argv[1]).absolute()
    partial = cache.with_suffix(".partial")
    os.environ["JDK_JAVA_OPTIONS"] = f"-XX:AOTCacheOutput={partial} -Xlog:disable"
    # By default a broker that takes longer to end is killed.
    node.GRACE_SECONDS = 120.0
    # A broker whose data are not kept is killed when it stops.
    with (
        tempfile.TemporaryDirectory() as directory,
        LocalKafka(data_dir=Path(directory) / "data") as kafka,
    ):
        work(Settings(bootstrap_servers=kafka.bootstrap_servers))
    partial.replace(cache)


if __name__ == "__main__":
    main()
