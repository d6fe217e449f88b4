"""What a process counts about itself, for Prometheus.

`meters` has the numbers, which cost nothing to speak of; `exposition` hands them to
prometheus-client, which only processes with the setting `metrics` import.
"""

from platform_events.errors import ConfigurationError
from platform_events.wording import missing_package


def expose_metrics() -> None:
    """Have prometheus-client serve this process's numbers, with those of others in its registry.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        from platform_events.metrics.exposition import register
    except ImportError as error:
        raise ConfigurationError(
            missing_package("the setting metrics", error.name, "metrics")
        ) from None
    register()
