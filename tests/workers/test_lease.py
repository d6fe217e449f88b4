from __future__ import annotations

from platform_events.workers.lease import Lease


def test_it_lasts_as_long_as_rounds_follow_each_other() -> None:
    lease = Lease(100.0)
    assert lease.renew(100.0) > 102.0
    assert lease.renew(102.0) > 104.0


def test_who_was_stopped_is_in_doubt_for_some_rounds() -> None:
    lease = Lease(100.0)
    assert lease.renew(110.0) == 0
    assert lease.renew(110.5) == 0
    assert lease.renew(111.5) > 113.0


def test_doubt_begins_anew_with_each_stop() -> None:
    lease = Lease(100.0)
    assert lease.renew(110.0) == 0
    assert lease.renew(120.0) == 0
    assert lease.renew(120.9) == 0
    assert lease.renew(121.0) > 123.0
