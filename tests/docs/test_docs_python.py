"""The reference of the Python API is what the docstrings say."""

from __future__ import annotations

from tools import api_reference

import platform_events
from platform_events.errors import PlatformEventsError


def test_the_page_is_what_the_docstrings_say() -> None:
    page = api_reference.PAGE.read_text(encoding="utf-8")
    assert page == api_reference.render(), "make it again: python -m tools.api_reference"


def test_every_public_name_is_described() -> None:
    elsewhere = {"Settings", "Problem"}
    for name in set(platform_events.__all__) - elsewhere - set(api_reference.CLASSES):
        assert issubclass(getattr(platform_events, name), PlatformEventsError), name


def test_nothing_public_lacks_a_docstring() -> None:
    lacking = [
        member.path
        for described in api_reference.public_classes()
        for member in api_reference.public_members(described)
        if not member.docstring
    ]
    assert not lacking
