"""What a long-running process answers to probes."""

from __future__ import annotations

import pytest

from platform_events import process_health
from platform_events.metrics import expose_metrics
from platform_events.process_health import ProcessHealth
from platform_events.service.http.probes import make_probes
from tests.service.serving import ask_text, served


def test_each_is_one_line_and_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    health = ProcessHealth()
    with served(make_probes(health, has_metrics=False)) as url:
        assert ask_text(f"{url}/livez") == (200, "alive\n")
        assert ask_text(f"{url}/readyz") == (503, "it is starting\n")
        health.obstacle = "no Kafka broker\nanswers"
        assert ask_text(f"{url}/readyz") == (503, "no Kafka broker answers\n")
        health.obstacle = ""
        assert ask_text(f"{url}/readyz") == (200, "ready\n")
        monkeypatch.setattr(process_health, "BEATS_WITHIN", 0.0)
        status, text = ask_text(f"{url}/livez")
        assert (status, text.count("\n")) == (503, 1)
        status, text = ask_text(f"{url}/metrics")
        assert status == 404
        assert "PLATFORM_EVENTS_METRICS=true" in text
        assert ask_text(f"{url}/nothing")[0] == 404


def test_metrics_are_what_prometheus_reads() -> None:
    expose_metrics()
    with served(make_probes(ProcessHealth(), has_metrics=True)) as url:
        status, text = ask_text(f"{url}/metrics")
    assert status == 200
    assert 'platform_events_build_info{version="' in text
