"""The file of principals: changing it, and following its changes."""

from __future__ import annotations

import io
import logging
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from platform_events.errors import PlatformEventsError, ServiceError, UsageError
from platform_events.service.credentials import SecretDigest
from platform_events.service.principals import read_principals
from platform_events.service.whole_files import replace_file
from platform_events.wording import suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from platform_events.service.principals import Principal, Principals

REREAD_EVERY = 2.0
"""Seconds between two looks at the file. Reading a thousand principals takes some seconds more, and
streams have to end within 10 s."""
_WIDTH = 10_000
"""Columns after which a line is broken, that is, never."""
_logger = logging.getLogger("platform_events.service")


def load_principals(file: Path) -> Principals:
    """Return the principals of a file.

    Raises:
        ServiceError: it cannot be read.
        DefinitionsError: something in it is wrong.
    """
    return read_principals(file, _bytes_of(file))


def add_principal(file: Path, principal: Principal) -> None:
    """Add a principal to a file, which is made if there is none. What others wrote stays.

    Raises:
        UsageError: there is one of this name.
        ServiceError: the file cannot be read or written.
        DefinitionsError: something in it is wrong.
    """

    def add(principals: Principals, entries: Any) -> None:
        if principal.name in principals:
            raise UsageError(
                f"there is a principal {principal.name} already: choose another name, or remove it "
                f"from {file} first"
            )
        entries.append(_entry(principal))

    _change(file, add)


def disable_principal(file: Path, name: str) -> None:
    """Have a principal be let in no more. What others wrote stays.

    Raises:
        UsageError: there is none of this name.
        ServiceError: the file cannot be read or written.
        DefinitionsError: something in it is wrong.
    """

    def disable(principals: Principals, entries: Any) -> None:
        if name not in principals:
            guess = suggest(name, principals) or f"; `principal list` shows those of {file}"
            raise UsageError(f"there is no principal {name!r:.80}{guess}")
        for entry in entries:
            if entry["name"] == name:
                entry["disabled"] = True

    if not file.exists():
        raise ServiceError(f"{file} cannot be read (there is no such file)")
    _change(file, disable)


class PrincipalsFile:
    """The principals of a file as it is now, for the length of a `with`.

    It is read again and again. A version that is wrong is logged, and the last good one holds.

    Args:
        file: which.
        every: seconds between two looks.

    Raises:
        ServiceError: it cannot be read.
        DefinitionsError: something in it is wrong.
    """

    def __init__(self, file: Path, every: float = REREAD_EVERY) -> None:
        self._file = file
        self._every = every
        self._data = _bytes_of(file)
        self._trouble = ""
        self.principals = read_principals(file, self._data)
        """Those that hold; replaced as a whole."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="principals", daemon=True)

    def look(self) -> None:
        """Take what the file says now."""
        try:
            data = _bytes_of(self._file)
            if not data.strip():
                # As it is for a moment while an editor writes it, which must end nobody's streams.
                raise ServiceError(f"{self._file} is empty: write [] if nobody is to be let in")
            if data != self._data:
                self.principals = read_principals(self._file, data)
                self._data = data
                _logger.info("%s was read again: %d principals", self._file, len(self.principals))
            self._trouble = ""
        except PlatformEventsError as error:
            # Once for each way in which it is wrong.
            if error.line != self._trouble:
                self._trouble = error.line
                # Where in our code it was found helps nobody.
                _logger.error(  # noqa: TRY400
                    "the principals stay as they were: %s", error.line
                )

    def _follow(self) -> None:
        while not self._stop.wait(self._every):
            self.look()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def _entry(principal: Principal) -> CommentedMap:
    is_secret = isinstance(principal.credential, SecretDigest)
    entry = CommentedMap(name=principal.name, tenant=principal.tenant)
    entry["secret_sha256" if is_secret else "password_scrypt"] = principal.credential.text
    rights = []
    for grant in principal.grants:
        right = CommentedMap(allow=CommentedSeq(sorted(grant.allow)), streams=grant.streams)
        right.fa.set_flow_style()
        rights.append(right)
    if rights:
        entry["rights"] = rights
    return entry


def _change(file: Path, change: Callable[[Principals, Any], None]) -> None:
    """Have somebody change the entries of a file; others see the old version or the new one."""
    # Through symbolic links: what they lead to is replaced.
    target = file.resolve()
    with _locked(target):
        data = _bytes_of(target) if target.exists() else b""
        principals = read_principals(file, data)
        yaml = YAML()
        yaml.width = _WIDTH
        yaml.preserve_quotes = True
        text = data.decode("utf-8-sig")
        entries = yaml.load(text)
        # A file of comments only has no list yet.
        comments = text if entries is None else ""
        entries = CommentedSeq() if entries is None else entries
        change(principals, entries)
        out = io.StringIO()
        yaml.dump(entries, out)
        separator = "\n" if comments and not comments.endswith("\n") else ""
        new = (comments + separator + out.getvalue()).encode()
        # Nothing is written that the service would refuse.
        read_principals(file, new)
        _replace(target, new)


def _replace(file: Path, data: bytes) -> None:
    """Write a file that only its owner can read.

    Raises:
        ServiceError: it cannot be written.
    """
    try:
        replace_file(file, data, 0o600)
    except OSError as error:
        raise ServiceError(f"{file} cannot be written ({error.strerror})") from None


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Let no other program change a file meanwhile, as long as it uses this too.

    Raises:
        ServiceError: its directory is not there, or cannot be locked.
    """
    import fcntl  # not on Windows, where this module can be imported all the same

    try:
        directory = os.open(file.parent, os.O_RDONLY)
    except OSError as error:
        raise ServiceError(f"{file.parent} cannot be opened ({error.strerror})") from None
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ServiceError(f"{file} cannot be read ({error.strerror})") from None
