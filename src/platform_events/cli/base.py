"""Click's classes as this program uses them: examples in help, IDs that begin with `-`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_SCHEMA_ID_LENGTH = 22
_ID = re.compile(r"[A-Za-z0-9_-]+=*")
_OPTIONS_NEVER_HAVE = re.compile(r"[A-Z0-9_]")


class Command(click.Command):
    """A command whose help ends with examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **extra: Any) -> None:
        extra.setdefault("context_settings", CONTEXT_SETTINGS)
        super().__init__(*args, **extra)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the examples as they are."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"  {example}\n")


class IdCommand(Command):
    """A command with one argument, an ID, which may begin with `-`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move what is an ID after `--`, where nothing is an option."""
        if "--" not in args:
            ids = [text for text in args if looks_like_id(text)]
            if ids:
                args = [text for text in args if text not in ids] + ["--", *ids]
        return super().parse_args(ctx, args)


class Group(click.Group):
    """A group of commands without options of its own."""

    command_class = Command

    def __init__(self, *args: Any, **extra: Any) -> None:
        extra.setdefault("context_settings", CONTEXT_SETTINGS)
        super().__init__(*args, **extra)


def looks_like_id(text: str) -> bool:
    """Whether an argument that begins with `-` is an ID rather than an option.

    Options are lowercase words after two dashes; IDs are base64url. Only a schema ID has exactly
    22 characters, and no option of a command that takes one does.
    """
    if not text.startswith("-") or text in ("-", "--") or not _ID.fullmatch(text):
        return False
    if len(text.rstrip("=")) == _SCHEMA_ID_LENGTH or _OPTIONS_NEVER_HAVE.search(text):
        return True
    return not text.startswith("--") and len(text) > len("-h")
