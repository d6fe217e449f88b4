"""Who may do what: principals, and the file that lists them."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from platform_events.errors import ConfigurationError, DefinitionsError
from platform_events.files.common_keys import check_keys
from platform_events.files.document import Node, Report, TooManyProblemsError, decode_text, in_order
from platform_events.files.notation import Key
from platform_events.files.yaml_document import read_yaml
from platform_events.names import Namespace
from platform_events.service.credentials import (
    PASSWORD_RULE,
    SECRET_RULE,
    PasswordHash,
    SecretDigest,
)
from platform_events.wording import one_of, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from platform_events.service.credentials import Credential

Right: TypeAlias = Literal["publish", "subscribe", "manage"]
RIGHTS: tuple[Right, ...] = get_args(Right)
NAME_RULE = "letters, digits and . _ @ + -, at most 80 characters, such as billing"
PATTERN_RULE = "a stream's name in which * stands for any text and ? for one character: 'Order_*'"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,79}")
_PATTERN = re.compile(r"[A-Za-z0-9_*?]{1,80}")
_SECRET, _PASSWORD = "secret_sha256", "password_scrypt"
_KEYS = (
    Key(
        "name", "What it logs in with: a name that no other has, in whatever tenant.", required=True
    ),
    Key("tenant", "The tenant whose events it works with.", required=True),
    Key(_SECRET, "SHA-256 of its secret, as `principal add` writes it."),
    Key(_PASSWORD, "scrypt hash of its password, as `principal add --password` writes it."),
    Key("rights", "What it may do; without it nothing."),
    Key("disabled", "true: it may not log in, and what it has open ends."),
)
_RIGHT_KEYS = (
    Key("allow", "Some of publish, subscribe and manage.", required=True),
    Key("streams", "The streams: " + PATTERN_RULE + ".", required=True),
)


@dataclass(frozen=True, slots=True)
class Grant:
    """Rights to the streams whose bare names a pattern fits."""

    allow: frozenset[Right]
    streams: str
    """Such as `Order_*`."""

    def allows(self, right: Right, stream: str) -> bool:
        """Whether it has this right to a stream."""
        return right in self.allow and _compiled(self.streams).fullmatch(stream) is not None


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who may log in, usually a program."""

    name: str
    tenant: str
    credential: Credential
    grants: tuple[Grant, ...] = ()
    disabled: bool = False

    def may(self, right: Right, stream: str) -> bool:
        """Whether it has a right to a stream, given by its bare name."""
        return any(grant.allows(right, stream) for grant in self.grants)


Principals: TypeAlias = "Mapping[str, Principal]"
"""By their names."""


def is_principal_name(name: str) -> bool:
    """Whether a principal may be called so."""
    return _NAME.fullmatch(name) is not None


def is_stream_pattern(text: str) -> bool:
    """Whether a text may say which streams a right is for."""
    return _PATTERN.fullmatch(text) is not None


def is_tenant_name(name: str) -> bool:
    """Whether a tenant may be called so."""
    try:
        Namespace(tenant=name)
    except ConfigurationError:
        return False
    return True


def read_principals(file: Path, data: bytes) -> Principals:
    """Return the principals in a file's bytes.

    Args:
        file: how messages name it.
        data: what it holds.

    Raises:
        DefinitionsError: with every problem of the file, in the order of lines.
    """
    report = Report(str(file))
    principals: dict[str, Principal] = {}
    with suppress(TooManyProblemsError):
        text = decode_text(data, report)
        root = None if text is None or _is_blank(text) else read_yaml(text, report)
        if root is not None:
            principals = _read_list(root, report)
    if report.problems:
        raise DefinitionsError(in_order(report.problems))
    return principals


def _is_blank(text: str) -> bool:
    """Whether there is nothing but comments: no principals yet."""
    return all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines())


def _read_list(root: Node, report: Report) -> dict[str, Principal]:
    if not isinstance(root.value, tuple):
        report.add(
            root, f"a file of principals is a list, such as - name: billing, not {root.describe()}"
        )
        return {}
    principals: dict[str, Principal] = {}
    lines: dict[str, int] = {}
    for item in root.value:
        if not isinstance(item.value, dict):
            report.add(item, f"a principal is a mapping with name, not {item.describe()}")
            continue
        check_keys(item, _KEYS, report)
        name = _read_name(item, report)
        if name in lines:
            report.add(item.value["name"], f"{name} is a principal already, on line {lines[name]}")
        principal = _read_principal(item, name, report)
        if name is not None:
            lines.setdefault(name, item.value["name"].mark.line)
        if principal is not None:
            principals.setdefault(principal.name, principal)
    return principals


def _read_principal(item: Node, name: str | None, report: Report) -> Principal | None:
    tenant = _read_tenant(item, report)
    credential = _read_credential(item, report)
    grants = _read_grants(item, report)
    disabled = item.get("disabled")
    if disabled is not None and not isinstance(disabled.value, bool):
        report.add_misfit(disabled, "true or false")
        return None
    if name is None or tenant is None or credential is None:
        return None
    return Principal(
        name, tenant, credential, grants, disabled is not None and bool(disabled.value)
    )


def _read_name(item: Node, report: Report) -> str | None:
    node = item.get("name")
    if node is None:
        return None
    if not isinstance(node.value, str) or not is_principal_name(node.value):
        quote = "" if isinstance(node.value, str) else "; put it in quotes"
        report.add(node, f"{node.describe()} cannot name a principal: {NAME_RULE}{quote}")
        return None
    return node.value


def _read_tenant(item: Node, report: Report) -> str | None:
    node = item.get("tenant")
    if node is None:
        return None
    if not isinstance(node.value, str) or not is_tenant_name(node.value):
        report.add(node, f"{node.describe()} cannot name a tenant: use a-z, 0-9 and -")
        return None
    return node.value


def _read_credential(item: Node, report: Report) -> Credential | None:
    secret, password = item.get(_SECRET), item.get(_PASSWORD)
    if secret is not None and password is not None:
        report.add_key(password, f"a principal has {_SECRET} or {_PASSWORD}, not both")
        return None
    node = secret or password
    if node is None:
        report.add(item, f"{_SECRET} or {_PASSWORD} is missing: without it nobody can log in")
        return None
    kind, rule = (
        (SecretDigest, SECRET_RULE) if secret is not None else (PasswordHash, PASSWORD_RULE)
    )
    try:
        # Never shown: somebody may have written the secret itself.
        return kind.read(node.value if isinstance(node.value, str) else "")
    except ValueError:
        report.add(node, f"must be {rule}; `platform-events principal add` writes it")
        return None


def _read_grants(item: Node, report: Report) -> tuple[Grant, ...]:
    node = item.get("rights")
    if node is None:
        return ()
    if not isinstance(node.value, tuple):
        report.add_misfit(node, "a list, such as - {allow: [publish], streams: 'Order_*'}")
        return ()
    grants = []
    for one in node.value:
        if not isinstance(one.value, dict):
            report.add(one, f"a right is a mapping with allow and streams, not {one.describe()}")
            continue
        check_keys(one, _RIGHT_KEYS, report)
        allow, streams = _read_allow(one, report), _read_pattern(one, report)
        if allow and streams is not None:
            grants.append(Grant(allow, streams))
    return tuple(grants)


def _read_allow(one: Node, report: Report) -> frozenset[Right]:
    node = one.get("allow")
    if node is None:
        return frozenset()
    if not isinstance(node.value, tuple) or not node.value:
        report.add_misfit(node, "a list, such as [publish, subscribe]")
        return frozenset()
    allow: set[Right] = set()
    for word in node.value:
        right = next((right for right in RIGHTS if right == word.value), None)
        if right is None:
            guess = suggest(word.value, RIGHTS) if isinstance(word.value, str) else ""
            report.add_misfit(word, one_of(RIGHTS), guess)
        else:
            allow.add(right)
    return frozenset(allow)


def _read_pattern(one: Node, report: Report) -> str | None:
    node = one.get("streams")
    if node is None:
        return None
    if not isinstance(node.value, str) or not is_stream_pattern(node.value):
        bare = "; leave /event/ out" if "/" in str(node.value) else ""
        report.add_misfit(node, PATTERN_RULE, bare)
        return None
    return node.value


@lru_cache(1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))
