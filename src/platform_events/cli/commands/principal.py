"""`platform-events principal`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from platform_events.cli.arguments import CONTEXT_SETTINGS, Command, CommandGroup, json_option
from platform_events.cli.terminal.messages import note
from platform_events.cli.terminal.output import print_json, print_line, print_table
from platform_events.errors import UsageError
from platform_events.wording import listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.service.credentials import Credential
    from platform_events.service.principals import Principal, Right

_Decorated = TypeVar("_Decorated", bound="Callable[..., Any]")
_LEAST_PASSWORD = 12
"""Characters: others can be tried."""


def _file_option(command: _Decorated) -> _Decorated:
    return click.option(
        "--principals",
        "file",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        required=True,
        envvar="PLATFORM_EVENTS_SERVE_PRINCIPALS",
        show_envvar=True,
        help="The file of principals.",
    )(command)


@click.group(cls=CommandGroup, context_settings=CONTEXT_SETTINGS)
def principal() -> None:
    """Say who may log in to a service, and do what."""


@principal.command(
    cls=Command,
    examples=(
        "platform-events principal add billing --principals principals.yaml --tenant shop \\",
        "  --allow subscribe --streams 'Order_*'",
        "platform-events principal add me@example.com --principals principals.yaml \\",
        "  --tenant shop --allow publish --allow subscribe --password",
    ),
)
@click.argument("name")
@_file_option
@click.option("--tenant", required=True, metavar="NAME", help="The tenant that it works with.")
@click.option(
    "--allow",
    type=click.Choice(["publish", "subscribe", "manage"]),
    multiple=True,
    help="What it may do. May be repeated.",
)
@click.option(
    "--streams",
    metavar="PATTERN",
    default="*",
    show_default=True,
    help="With which streams: * stands for any text, ? for one character.",
)
@click.option(
    "--password",
    "has_password",
    is_flag=True,
    help="Ask for a password, or take the first line of stdin, instead of making a secret.",
)
def add(
    name: str, file: Path, tenant: str, allow: tuple[Right, ...], streams: str, has_password: bool
) -> None:
    """Add a principal to a file, which is made if there is none.

    Prints its secret, which is kept nowhere: the file has a hash of it. Services that run have the
    principal within 5 seconds. More rights are written into the file.
    """
    from platform_events.service.credentials import PasswordHash, SecretDigest, make_secret
    from platform_events.service.principals import Grant, Principal
    from platform_events.service.principals_file import add_principal

    _check(name, tenant, streams)
    grants = (Grant(frozenset(allow), streams),) if allow else ()
    secret = _ask_password() if has_password else make_secret()
    kept: Credential = PasswordHash.of(secret) if has_password else SecretDigest.of(secret)
    add_principal(file, Principal(name, tenant, kept, grants))
    note(f"{file} has the principal {name}" + ("" if allow else ", which may do nothing yet"))
    if not has_password:
        print_line(secret)


@principal.command(
    "list", cls=Command, examples=("platform-events principal list --principals principals.yaml",)
)
@_file_option
@json_option
def list_(file: Path, as_json: bool) -> None:
    """List the principals of a file: tenant, rights, and whether they are let in."""
    from platform_events.service.principals_file import load_principals

    principals = load_principals(file).values()
    if as_json:
        print_json([_document(one) for one in principals])
    else:
        columns = ["NAME", "TENANT", "MAY", "STATE"]
        print_table(columns, [_row(one) for one in principals])


@principal.command(
    cls=Command,
    examples=("platform-events principal disable billing --principals principals.yaml",),
)
@click.argument("name")
@_file_option
def disable(name: str, file: Path) -> None:
    """Let a principal in no more.

    Services that run refuse it, and end what it has open, within 10 seconds. To let it in again,
    remove `disabled` from the file.
    """
    from platform_events.service.principals_file import disable_principal

    disable_principal(file, name)
    note(f"{name} is disabled")


def _check(name: str, tenant: str, streams: str) -> None:
    from platform_events.service.principals import (
        NAME_RULE,
        PATTERN_RULE,
        is_principal_name,
        is_stream_pattern,
        is_tenant_name,
    )

    if not is_principal_name(name):
        raise UsageError(f"{name!r:.80} cannot name a principal: {NAME_RULE}")
    if not is_tenant_name(tenant):
        raise UsageError(f"--tenant {tenant!r:.80} cannot name a tenant: use a-z, 0-9 and -")
    if not is_stream_pattern(streams):
        raise UsageError(f"--streams {streams!r:.80} is not {PATTERN_RULE}")


def _ask_password() -> str:
    if sys.stdin.isatty():
        password = str(
            click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        )
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if len(password) < _LEAST_PASSWORD:
        raise UsageError(f"a password has at least {_LEAST_PASSWORD} characters")
    if any(character in password for character in "&<"):
        note("some clients cannot log in with a password that has & or <")
    return password


def _document(one: Principal) -> dict[str, Any]:
    return {
        "name": one.name,
        "tenant": one.tenant,
        "credential": "password" if one.credential.is_slow else "secret",
        "rights": [
            {"allow": sorted(grant.allow), "streams": grant.streams} for grant in one.grants
        ],
        "disabled": one.disabled,
    }


def _row(one: Principal) -> list[str]:
    rights = [f"{'+'.join(sorted(grant.allow))} {grant.streams}" for grant in one.grants]
    state = "disabled" if one.disabled else "let in"
    return [one.name, one.tenant, listed(rights) or "nothing", state]
