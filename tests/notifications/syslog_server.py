"""A syslog server over TLS (RFC 5425) as a program of its own: writes each message to a file, and may die or freeze after some of them.

Arguments: port, certificate with its key, file, after how many messages (0: never), and the signal that it then gives itself.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from pathlib import Path


def take(secured: ssl.SSLSocket, path: str, after: int, signal: int) -> None:
    held, taken = b"", 0
    while True:
        length, space, rest = held.partition(b" ")
        if space and len(rest) >= int(length):
            with Path(path).open("ab") as file:
                file.write(rest[: int(length)] + b"\n")
                os.fsync(file.fileno())
            held, taken = rest[int(length) :], taken + 1
            if taken == after:
                os.kill(os.getpid(), signal)
            continue
        more = secured.recv(1000)
        if not more:
            secured.unwrap()
            return
        held += more


def main(port: str, certificate: str, path: str, after: str, signal: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", int(port))) as server:
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            plain, _ = server.accept()
            try:
                with context.wrap_socket(plain, server_side=True) as secured:
                    take(secured, path, int(after), int(signal))
            except OSError:
                plain.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
