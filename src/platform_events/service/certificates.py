"""The certificates that servers show: those of files, and those of an authority of our own."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from platform_events.errors import ServiceError
from platform_events.service.whole_files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

CA_FILE = "ca.pem"
"""What clients have to trust."""
HOSTS = ("localhost", "127.0.0.1", "::1")
"""What a server of our own authority is called."""
_CA_KEY_FILE = "ca.key"
_FILE = "server.pem"
_KEY_FILE = "server.key"
_CA_VALID = timedelta(days=3650)
_VALID = timedelta(days=397)
_RENEWED = timedelta(days=30)
"""How long before its end a certificate is made again."""
_EARLIER = timedelta(hours=1)
"""Clocks of a machine and of its virtual machines differ."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's certificate and its key, as files of PEM text."""

    file: Path
    """The certificate, then those between it and what clients trust."""
    key_file: Path


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


_Extensions: TypeAlias = "list[tuple[x509.ExtensionType, bool]]"


def load_certificate(file: Path, key_file: Path) -> Certificate:
    """Return a certificate of files, once it is sure that servers can use them.

    Raises:
        ServiceError: they cannot be read, are no PEM text, or do not belong together.
    """
    texts = []
    for path in (file, key_file):
        try:
            texts.append(path.read_bytes())
        except OSError as error:
            raise ServiceError(f"{path} cannot be read ({error.strerror})") from None
    try:
        first, *_ = x509.load_pem_x509_certificates(texts[0])
    except ValueError:
        raise ServiceError(f"{file} is no certificate: give a file of PEM text") from None
    try:
        key = serialization.load_pem_private_key(texts[1], None)
    except (ValueError, TypeError):
        raise ServiceError(
            f"{key_file} is no private key: give a file of PEM text, without a password"
        ) from None
    if first.public_key() != key.public_key():
        raise ServiceError(f"{key_file} is not the key of the certificate in {file}")
    return Certificate(file, key_file)


def own_certificate(directory: Path, now: datetime | None = None) -> Certificate:
    """Return a certificate for this machine, of an authority that is made for one directory.

    What is missing in the directory, damaged, or near its end is made again. The authority lives
    ten years. Of host names it can sign only localhost, so that who trusts it risks little.

    Args:
        directory: keeps them, with the authority's certificate in `ca.pem`.
        now: the time; None is this machine's.
    """
    now = now or datetime.now(UTC)
    directory.mkdir(parents=True, exist_ok=True)
    files = directory / CA_FILE, directory / _CA_KEY_FILE
    authority = _read(*files)
    if authority is None or authority.certificate.not_valid_after_utc < now + _VALID:
        authority = _make_authority(now)
        _write(authority, *files)
    files = directory / _FILE, directory / _KEY_FILE
    server = _read(*files)
    if server is None or not _is_good(server.certificate, authority.certificate, now):
        _write(_make_server(authority, now), *files)
    return Certificate(*files)


def _read(file: Path, key_file: Path) -> _Pair | None:
    """Return what files hold; None if that is no certificate with its key."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    return _Pair(certificate, key) if certificate.public_key() == key.public_key() else None


def _is_good(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return certificate.not_valid_after_utc > now + _RENEWED


def _make_authority(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("platform-events, this machine only")
    constraints = x509.NameConstraints([x509.DNSName("localhost")], None)
    extensions: _Extensions = [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_key_usage(is_authority=True), True),
        (constraints, True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ]
    return _Pair(_sign(name, key, name, key, (now, now + _CA_VALID), extensions), key)


def _make_server(authority: _Pair, now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key = authority.key.public_key()
    extensions: _Extensions = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(is_authority=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName([_host(host) for host in HOSTS]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), False),
    ]
    issuer = authority.certificate.subject
    valid = (now, now + _VALID)
    return _Pair(_sign(_name(HOSTS[0]), key, issuer, authority.key, valid, extensions), key)


def _sign(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    valid: tuple[datetime, datetime],
    extensions: _Extensions,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0] - _EARLIER)
        .not_valid_after(valid[1])
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _write(pair: _Pair, file: Path, key_file: Path) -> None:
    key = pair.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    replace_file(key_file, key, 0o600)
    replace_file(file, pair.certificate.public_bytes(serialization.Encoding.PEM), 0o644)
