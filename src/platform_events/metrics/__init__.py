"""What a process counts about itself, for Prometheus.

`meters` has the numbers, which cost nothing to speak of; `exposition` hands them to
prometheus-client, which only processes with the setting `metrics` import; `merging` adds up those
of several processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_events.errors import ConfigurationError
from platform_events.wording import missing_package

if TYPE_CHECKING:
    from platform_events.metrics.merging import MergedMetrics


def expose_metrics() -> None:
    """Have prometheus-client serve this process's numbers, with those of others in its registry.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        from platform_events.metrics.exposition import register
    except ImportError as error:
        raise _missing(error) from None
    register()


def merge_metrics() -> MergedMetrics:
    """Return what adds up the numbers of several processes.

    Raises:
        ConfigurationError: prometheus-client is not installed.
    """
    try:
        from platform_events.metrics.merging import MergedMetrics
    except ImportError as error:
        raise _missing(error) from None
    return MergedMetrics()


def _missing(error: ImportError) -> ConfigurationError:
    return ConfigurationError(missing_package("the setting metrics", error.name, "metrics"))
