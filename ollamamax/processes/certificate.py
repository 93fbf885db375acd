"""A certificate that is read again when its files change, as those of ACME programs do, so that a renewal needs no restart."""

from __future__ import annotations

import ssl
from pathlib import Path

from ollamamax import logs

EVERY_SECONDS = 10.0
Mark = tuple[int, int, int]
_log = logs.get(__name__)


class ReloadedCertificate:
    """The files ``cert`` and ``key`` (PEM), of which a server's context has what they held at the last look."""

    def __init__(self, context: ssl.SSLContext, cert: str, key: str) -> None:
        self._context, self._files = context, (Path(cert), Path(key))
        self._seen = self._marks()
        self._next = 0.0

    def look(self, now: float) -> bool:
        """Called often, ``now`` of one monotonic clock. Returns whether new connections get another certificate from now on.

        Files that do not fit together, because only one of them was written yet, change nothing and are tried again.
        """
        if now < self._next:
            return False
        self._next = now + EVERY_SECONDS
        marks = self._marks()
        if marks is None or marks == self._seen:
            return False
        cert, key = self._files
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
            self._context.load_cert_chain(cert, key)
        except (OSError, ValueError) as error:
            _log.warning("certificate_not_taken", file=str(cert), error=str(error))
            return False
        self._seen = marks
        _log.info("certificate_taken", file=str(cert))
        return True

    def _marks(self) -> tuple[Mark, ...] | None:
        """What changes with the files: ``None`` while one is missing."""
        try:
            found = [file.stat() for file in self._files]
        except OSError:
            return None
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)
