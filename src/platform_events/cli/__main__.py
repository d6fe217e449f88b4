"""`python -m platform_events.cli` is `platform-events`."""

from platform_events.cli import main

main()
