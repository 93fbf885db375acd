"""A renewed certificate is served to new connections without a restart; half of one changes nothing."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from ollamamax.processes.certificate import EVERY_SECONDS, ReloadedCertificate

NAME = "ai.example"


def write(made: trustme.LeafCert, folder: Path) -> tuple[Path, Path]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return cert, key


def served(context: ssl.SSLContext, authority: trustme.CA) -> int:
    """The serial number that a client, which checks it, is shown."""
    ours, theirs = socket.socketpair()
    client = ssl.create_default_context()
    authority.configure_trust(client)

    def serve() -> None:
        with context.wrap_socket(theirs, server_side=True) as connection:
            connection.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with client.wrap_socket(ours, server_hostname=NAME) as connection:
        shown = connection.getpeercert(binary_form=True)
        connection.send(b".")
    thread.join(10)
    assert shown
    return x509.load_der_x509_certificate(shown).serial_number


def serial(made: trustme.LeafCert) -> int:
    return x509.load_pem_x509_certificate(made.cert_chain_pems[0].bytes()).serial_number


def test_new_connections_get_the_renewed_one(tmp_path: Path) -> None:
    authority = trustme.CA()
    first, second = authority.issue_cert(NAME), authority.issue_cert(NAME)
    cert, key = write(first, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    watched = ReloadedCertificate(context, str(cert), str(key))
    now = 0.0

    def look() -> bool:
        nonlocal now
        now += EVERY_SECONDS
        return watched.look(now)

    assert not look()
    write(second, tmp_path)
    assert not watched.look(now), "files are looked at every few seconds"
    assert look()
    assert served(context, authority) == serial(second)
    cert.write_bytes(first.cert_chain_pems[0].bytes())  # its key is not there yet
    assert not look()
    assert served(context, authority) == serial(second)
    write(first, tmp_path)
    assert look()
    assert served(context, authority) == serial(first)


@pytest.mark.parametrize("left", [b"", b"no certificate", None])
def test_files_that_are_broken_or_gone_change_nothing(tmp_path: Path, left: bytes | None) -> None:
    authority = trustme.CA()
    made = authority.issue_cert(NAME)
    cert, key = write(made, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    watched = ReloadedCertificate(context, str(cert), str(key))
    if left is None:
        key.unlink()
    else:
        key.write_bytes(left)
    assert not watched.look(100.0)
    assert served(context, authority) == serial(made)
