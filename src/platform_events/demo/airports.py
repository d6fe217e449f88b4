"""The time zones of the airports that are served from New York.

Flight data has arrivals in local time. Offsets are spelled out because a bare machine may have no
time zone database; the zones are those of the flights in this package, the contiguous United
States, Alaska, Hawaii, Puerto Rico and the Virgin Islands.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from platform_events.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_EASTERN = """
ACK ALB ATL AVL BDL BGR BOS BTV BUF BWI CAE CAK CHO CHS CLE CLT CMH CRW CVG DAY DCA DTW EWR EYW
FLL GRR GSO GSP IAD ILM IND JAX JFK LEX LGA MCO MHT MIA MVY MYR ORF PBI PHL PIT PVD PWM RDU RIC
ROC RSW SAV SBN SDF SRQ SYR TPA TVC TYS
"""
_CENTRAL = """
AUS BHM BNA DFW DSM HOU IAH MCI MDW MEM MKE MSN MSP MSY OKC OMA ORD SAT STL TUL XNA
"""
_ZONES = (
    (-4, -4, "BQN PSE SJU STT"),
    (-5, -4, _EASTERN),
    (-6, -5, _CENTRAL),
    (-7, -6, "ABQ BZN DEN EGE HDN JAC MTJ SLC"),
    (-7, -7, "PHX"),
    (-8, -7, "BUR LAS LAX LGB OAK PDX PSP SAN SEA SFO SJC SMF SNA"),
    (-9, -8, "ANC"),
    (-10, -10, "HNL"),
)
"""Hours from UTC in winter, in summer, and the airports (IATA codes)."""


def _offsets() -> Iterator[tuple[str, tuple[timedelta, timedelta]]]:
    for winter, summer, codes in _ZONES:
        for code in codes.split():
            yield code, (timedelta(hours=winter), timedelta(hours=summer))


_OFFSETS = dict(_offsets())


def utc_offset(airport: str, *, summer: bool) -> timedelta:
    """Return what local time at an airport is ahead of UTC (so it is negative).

    Args:
        airport: IATA code.
        summer: whether New York has daylight saving time then; the other zones change with it.

    Raises:
        UsageError: the airport is not in the table.
    """
    try:
        return _OFFSETS[airport][summer]
    except KeyError:
        raise UsageError(
            f"the time zone of airport {airport} is not known; add it to {__name__}"
        ) from None
