"""The connection to a directory: by TLS to an address that was checked, over before a deadline, and bounded in what it brings."""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from typing import Any

import ldap3

SECONDS = 5.0
"""For one piece of an answer."""
MOST_BYTES = 8 << 20


class BoundedSocket:
    """Brings `MOST_BYTES` at most, until the ``deadline`` (of `time.monotonic`). Raises `OSError` for what is beyond.

    A directory that drips its answer would otherwise keep whoever asked for as long as it likes.
    """

    def __init__(self, inner: socket.socket, deadline: float) -> None:
        self.inner = inner
        self.deadline = deadline
        self._left = MOST_BYTES

    def recv(self, size: int) -> bytes:
        limit(self.inner, self.deadline)
        found = self.inner.recv(size)
        self._left -= len(found)
        if self._left < 0:
            raise OSError("the answer is too long")
        return found

    def sendall(self, data: bytes) -> None:
        limit(self.inner, self.deadline)
        self.inner.sendall(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class DeadlineTls(ldap3.Tls):  # type: ignore[misc]  # the library has no types
    """TLS whose certificate is of the name in the address, shaken hands on before the deadline."""

    def __init__(self, host: str, ca: str, deadline: float) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._host, self._deadline = host, deadline
        self._context = ssl.create_default_context(cadata=ca or None)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """What the library calls before it speaks ``ldaps``, and once a directory agreed to StartTLS."""
        held = connection.socket
        inner = held.inner if isinstance(held, BoundedSocket) else held
        limit(inner, self._deadline)
        secured = self._context.wrap_socket(inner, server_hostname=self._host, do_handshake_on_connect=False)
        try:
            _shake_hands(secured, self._deadline)
        except OSError:
            secured.close()  # the library would lose it
            raise
        connection.socket = BoundedSocket(secured, self._deadline)


def limit(found: socket.socket, deadline: float) -> None:
    """Wait for the next piece no longer than until the deadline. Raises `TimeoutError` when that is over."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the directory takes too long")
    found.settimeout(min(SECONDS, left))


def _shake_hands(secured: ssl.SSLSocket, deadline: float) -> None:
    """Piece by piece, for a time-out of the socket counts anew with each byte that comes."""
    secured.setblocking(False)
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the directory takes too long")
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            _wait(secured, selectors.EVENT_READ, left)
        except ssl.SSLWantWriteError:
            _wait(secured, selectors.EVENT_WRITE, left)
        else:
            break
    limit(secured, deadline)


def _wait(secured: ssl.SSLSocket, event: int, seconds: float) -> None:
    with selectors.DefaultSelector() as ready:
        ready.register(secured, event)
        ready.select(seconds)
