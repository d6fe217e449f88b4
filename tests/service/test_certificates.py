"""The authority of a directory, the certificates that it signs, and those that are given."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from platform_events.errors import ServiceError
from platform_events.service.certificates import (
    CA_FILE,
    Certificate,
    load_certificate,
    own_certificate,
)

NOW = datetime.now(UTC)


def verify(certificate: Certificate, authority: Path, host: str) -> None:
    """Shake hands as clients do; raises `ssl.SSLError` if that fails."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate.file, certificate.key_file)
    trusting = ssl.create_default_context(cafile=authority)
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            served.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with trusting.wrap_socket(ours, server_hostname=host):
            pass
    finally:
        ours.close()
        thread.join()


def texts(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_who_trusts_the_authority_trusts_this_machine(tmp_path: Path, host: str) -> None:
    certificate = own_certificate(tmp_path / "tls")
    verify(certificate, tmp_path / "tls" / CA_FILE, host)


def test_no_other_host_is_trusted(tmp_path: Path) -> None:
    certificate = own_certificate(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        verify(certificate, tmp_path / CA_FILE, "example.com")
    authority = x509.load_pem_x509_certificate((tmp_path / CA_FILE).read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [x509.DNSName("localhost")]


def test_keys_are_only_for_their_owner(tmp_path: Path) -> None:
    own_certificate(tmp_path)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert {name: mode for name, mode in modes.items() if name.endswith(".key")} == {
        "ca.key": 0o600, "server.key": 0o600,
    }  # fmt: skip
    assert set(modes) == {"ca.pem", "ca.key", "server.pem", "server.key"}


def test_they_are_kept_until_they_are_near_their_end(tmp_path: Path) -> None:
    own_certificate(tmp_path, NOW)
    first = texts(tmp_path)
    own_certificate(tmp_path, NOW + timedelta(days=360))
    assert texts(tmp_path) == first
    own_certificate(tmp_path, NOW + timedelta(days=370))
    second = texts(tmp_path)
    assert {name for name in first if first[name] != second[name]} == {"server.pem", "server.key"}
    own_certificate(tmp_path, NOW + timedelta(days=3400))
    third = texts(tmp_path)
    assert not {name for name in second if second[name] == third[name]}


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "server.pem", "server.key"])
@pytest.mark.parametrize("damage", ["gone", "nonsense", "another"])
def test_what_is_damaged_is_made_again(tmp_path: Path, name: str, damage: str) -> None:
    directory, other = tmp_path / "tls", tmp_path / "other"
    own_certificate(directory)
    own_certificate(other)
    path = directory / name
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"nonsense" if damage == "nonsense" else (other / name).read_bytes())
    verify(own_certificate(directory), directory / CA_FILE, "localhost")


def test_an_authority_that_was_replaced_signs_anew(tmp_path: Path) -> None:
    directory, other = tmp_path / "tls", tmp_path / "other"
    own_certificate(directory)
    own_certificate(other)
    for name in ("ca.pem", "ca.key"):
        (directory / name).write_bytes((other / name).read_bytes())
    verify(own_certificate(directory), other / CA_FILE, "localhost")


class TestGivenFiles:
    def test_they_are_taken(self, tmp_path: Path) -> None:
        own = own_certificate(tmp_path)
        assert load_certificate(own.file, own.key_file) == own

    @pytest.mark.parametrize(
        ("file", "key_file", "says"),
        [
            ("none.pem", "server.key", "none.pem cannot be read"),
            ("server.pem", "none.key", "none.key cannot be read"),
            ("server.key", "server.key", "server.key is no certificate"),
            ("server.pem", "server.pem", "server.pem is no private key"),
            ("server.pem", "ca.key", "ca.key is not the key of the certificate in"),
        ],
    )
    def test_others_are_refused(self, tmp_path: Path, file: str, key_file: str, says: str) -> None:
        own_certificate(tmp_path)
        with pytest.raises(ServiceError, match=says):
            load_certificate(tmp_path / file, tmp_path / key_file)
