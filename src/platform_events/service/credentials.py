"""Secrets and passwords: how they are made, kept and compared."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Protocol

_SECRET_PREFIX = "pe_"  # noqa: S105 - tools that look for leaked secrets find them by it
_SECRET_BYTES = 32
_SALT_BYTES = 16
_HASH_BYTES = 32
_LOG_N, _R, _P = 15, 8, 1
"""What a new password costs: 32 MiB and some 0.1 s."""
_LEAST_LOG_N, _MOST_LOG_N = 14, 17
_MOST_R, _MOST_P = 16, 8
_MOST_MEMORY = 1 << 28
SECRET_RULE = "64 hexadecimal digits, the SHA-256 of the secret"  # noqa: S105 - no secret
PASSWORD_RULE = "of the form $scrypt$ln=15,r=8,p=1$SALT$HASH"  # noqa: S105 - no password
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SCRYPT = re.compile(
    r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,2}),p=([0-9]{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)


class Credential(Protocol):
    """What is kept of a secret or password."""

    @property
    def is_slow(self) -> bool:
        """Whether a comparison takes a tenth of a second, and so a thread of its own."""

    @property
    def text(self) -> str:
        """How it is written."""

    def matches(self, given: str) -> bool:
        """Whether it was made of this text."""


@dataclass(frozen=True, slots=True)
class SecretDigest:
    """The SHA-256 of a secret. Secrets are random, so that nobody can try them all."""

    text: str
    """In hexadecimal digits."""
    is_slow = False

    @classmethod
    def read(cls, text: str) -> SecretDigest:
        """Return what a file says; raises ValueError if that is no digest."""
        if not _DIGEST.fullmatch(text):
            raise ValueError(SECRET_RULE)
        return cls(text)

    @classmethod
    def of(cls, secret: str) -> SecretDigest:
        """Return what is kept of a secret."""
        return cls(hashlib.sha256(_bytes(secret)).hexdigest())

    def matches(self, given: str) -> bool:
        """Whether it was made of this text, in the same time whatever the text is."""
        return hmac.compare_digest(self.of(given).text, self.text)


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """The scrypt hash of a password, which people choose, so that trying has to cost something."""

    log_n: int
    r: int
    p: int
    salt: bytes
    digest: bytes
    is_slow = True

    @classmethod
    def read(cls, text: str) -> PasswordHash:
        """Return what a file says; raises ValueError if that is no hash, or costs too much."""
        found = _SCRYPT.fullmatch(text)
        if found is None:
            raise ValueError(PASSWORD_RULE)
        log_n, r, p = (int(found[group]) for group in (1, 2, 3))
        try:
            salt, digest = (
                base64.b64decode(found[at] + "=" * (-len(found[at]) % 4)) for at in (4, 5)
            )
        except binascii.Error:
            raise ValueError(PASSWORD_RULE) from None
        is_possible = (
            _LEAST_LOG_N <= log_n <= _MOST_LOG_N and 1 <= r <= _MOST_R and 1 <= p <= _MOST_P
        )
        if not is_possible or len(salt) < _SALT_BYTES or len(digest) < _HASH_BYTES:
            raise ValueError(PASSWORD_RULE)
        return cls(log_n, r, p, salt, digest)

    @classmethod
    def of(cls, password: str) -> PasswordHash:
        """Return what is kept of a password."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return cls(_LOG_N, _R, _P, salt, _scrypt(password, salt, _LOG_N, _R, _P, _HASH_BYTES))

    @property
    def text(self) -> str:
        """How it is written."""
        salt, digest = (
            base64.b64encode(part).decode().rstrip("=") for part in (self.salt, self.digest)
        )
        return f"$scrypt$ln={self.log_n},r={self.r},p={self.p}${salt}${digest}"

    def matches(self, given: str) -> bool:
        """Whether it was made of this text. Takes a tenth of a second."""
        made = _scrypt(given, self.salt, self.log_n, self.r, self.p, len(self.digest))
        return hmac.compare_digest(made, self.digest)


def make_secret() -> str:
    """Return a new secret. It needs no escaping, neither in XML nor in forms."""
    return _SECRET_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def _scrypt(password: str, salt: bytes, log_n: int, r: int, p: int, length: int) -> bytes:
    return hashlib.scrypt(
        _bytes(password), salt=salt, n=1 << log_n, r=r, p=p, maxmem=_MOST_MEMORY * 2, dklen=length
    )


def _bytes(text: str) -> bytes:
    # Half of a surrogate pair matches nothing, but is no reason to fail.
    return text.encode(errors="surrogatepass")
