"""Looks at this machine: Python, free disk, who may read the installation's files, certificates. Knows no Django."""

from __future__ import annotations

import datetime
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from ollamamax.doctor.diagnosis import Diagnosis, fault, fine, warning

OLDEST_PYTHON = (3, 11)
LITTLE, TOO_LITTLE = 5 << 30, 1 << 30
"""Bytes of free disk."""
SOON, VERY_SOON = 30, 7
"""Days until a certificate ends."""
PRIVATE = ("secrets.json", "bootstrap.json", "audit/key", "run/settings.json", "node-*/identity.json", "backups/*")


def python(running: tuple[int, int] = sys.version_info[:2]) -> Diagnosis:
    said = ".".join(map(str, running))
    if running < OLDEST_PYTHON:
        return fault("python_old", f"Python {said} runs this.", "Install Python 3.11 or newer.")
    return fine("python", f"Python {said}.")


def disk(folder: Path) -> Diagnosis:
    """Of the disk that the home lies on: PostgreSQL of `make up`, blobs and batches' files stop when it is full."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return fault("disk_unknown", f"{folder}: {error.strerror}.", "Make the folder that OLLAMAMAX_HOME names.")
    said = f"{free / (1 << 30):.1f} GiB are free where {folder} lies."
    if free < TOO_LITTLE:
        return fault("disk_full", said, "Free some space now: models cannot be published, and what writes there stops.")
    if free < LITTLE:
        return warning("disk_low", said, "Free some space, or move OLLAMAMAX_HOME to a larger disk.")
    return fine("disk", said)


def permissions(home: Path) -> list[Diagnosis]:
    """Of the home and of each file with a secret in it."""
    found = []
    for file in [home, *_private(home)]:
        try:
            status = file.lstat()
        except OSError:
            continue
        mode = stat.S_IMODE(status.st_mode)
        # The user that PostgreSQL of `make up` runs as passes through the home, and sees nothing else.
        allowed = 0o710 if file == home else 0o700
        if mode & 0o777 & ~allowed:
            shut = "710" if file == home else "600"
            found.append(
                fault("file_open", f"Others may read or change {file} (mode {mode:o}).", f"chmod {shut} {file}")
            )
        if status.st_uid != os.geteuid():
            found.append(
                warning(
                    "file_of_another",
                    f"{file} belongs to user {status.st_uid}, and this is user {os.geteuid()}.",
                    "Run this as the user that the installation runs as, or give the file to that one.",
                )
            )
    return found or [fine("permissions", f"What {home} holds is its owner's alone.")]


def _private(home: Path) -> Iterator[Path]:
    for pattern in PRIVATE:
        yield from home.glob(pattern)


def certificate(cert: str, key: str, host: str, now: datetime.datetime) -> list[Diagnosis]:
    """Of OLLAMAMAX_TLS_CERT and its key; ``host`` is the public URL's."""
    try:
        chain = x509.load_pem_x509_certificates(Path(cert).read_bytes())
        private = load_pem_private_key(Path(key).read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        return [
            fault(
                "certificate_unreadable",
                f"{cert} or {key} cannot be used: {type(error).__name__}.",
                "OLLAMAMAX_TLS_CERT and OLLAMAMAX_TLS_KEY must be PEM files that this user may read; the key has no password.",
            )
        ]
    found = []
    own = chain[0]
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if own.public_key().public_bytes(*form) != private.public_key().public_bytes(*form):
        found.append(
            fault("certificate_key", f"{key} is not the key of {cert}.", "Name a certificate and its own key.")
        )
    if Path(key).stat().st_mode & 0o007:
        found.append(fault("key_open", f"Everybody may read {key}.", f"chmod 640 {key}"))
    days = (own.not_valid_after_utc - now).total_seconds() / 86400
    if days < 0 or own.not_valid_before_utc > now:
        found.append(
            fault("certificate_expired", f"{cert} is not valid now.", "Renew it; it is read again within a minute.")
        )
    elif days < SOON:
        said = f"{cert} ends in {days:.0f} days."
        make = fault if days < VERY_SOON else warning
        found.append(make("certificate_ends", said, "Renew it; it is read again within a minute."))
    if host and not _names(own, host):
        found.append(
            fault(
                "certificate_name", f"{cert} is not for {host}.", "Get one that names the host of OLLAMAMAX_PUBLIC_URL."
            )
        )
    return found or [fine("certificate", f"{cert} is good for {days:.0f} days.")]


def _names(own: x509.Certificate, host: str) -> bool:
    try:
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    hosts = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    wild = "*." + host.lower().partition(".")[2]
    return host in addresses or host.lower() in hosts or wild in hosts
